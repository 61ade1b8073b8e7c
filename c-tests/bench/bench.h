/*
 * The benchmark: one case per process, over nothing but the public nanomsg API, so that the same
 * program measures whichever library the loader finds under the name libspmsg.so.0.
 *
 * Two parties take part in most cases. The near party connects and drives; the far party binds and
 * echoes or counts. Over inproc they are two threads, otherwise two processes, and a control
 * channel that is not part of what is measured joins them.
 */

#ifndef SPMSG_BENCH_H
#define SPMSG_BENCH_H

#include <stddef.h>
#include <stdint.h>

/* What a case measures. */
enum activity {
    ROUND_TRIP,  /* lat: one message there, one back. */
    STREAM,      /* thr: messages one way, as fast as they go. */
    HAND_OVER,   /* zc: the same, with NN_MSG buffers. */
    ALONE,       /* alone: one thread sends a message and takes it. */
    BURST,       /* burst: N messages there, one back. */
    TAIL,        /* tail: the delay of the last of N messages. */
    POLL_ONE,    /* poll: a round trip that waits for the descriptor of the socket. */
    POLL_MANY,   /* pollv: round trips over one of N connections, waiting for all in nn_poll. */
    FAN_IN,      /* fanin: N sockets in one thread send to one. */
    MANY,        /* many: N sockets in one thread ask one that keeps many peers. */
    CONTEXTS,    /* ctx: N requests at a time through contexts of one socket. */
    THREADS,     /* threads4: four threads send on one socket. */
    ASKING,      /* askers: N threads ask through one socket, each with its context. */
    FAN_OUT,     /* fanout: one publishes to N, in windows. */
    OLDEST,      /* oldest: the same where the oldest would make room for the newest. */
    COUNTED,     /* counted: the same with queues that are counted in messages. */
    LAST,        /* last: the same where a subscriber keeps the newest message only. */
    TOPICS,      /* subs: one publishes to a subscriber of K topics. */
    SURVEY,      /* survey: one asks N respondents. */
    BUS,         /* bus: each of N sockets sends to all others. */
    DEVICE,      /* dev: a round trip through a device. */
    OPEN_CLOSE,  /* churn:sock: open and close while another socket stays open. */
    COLD_START,  /* churn:cold: open the first socket and close the last one. */
    CONNECTING,  /* churn:conn: connect, ask, be answered, close. */
    BINDING,     /* churn:bind: open, bind, close. */
    OPENING,     /* opened: open sockets that stay open for a while. */
    SUBSCRIBING, /* subadd: subscribe to one more topic. */
    IDLE_MEMORY, /* mem:idle: what a socket takes. */
    CONNECTION_MEMORY, /* mem:conn: what a connection takes on the side that accepted it. */
    USED_MEMORY, /* mem:used: the same after a request and its reply. */
    RAW_MEMORY   /* mem:raw: what a connected peer takes that never says a word. */
};

enum transport { INPROC, IPC, TCP, WS, TLS, WSS };

/* The socket types of the two parties. A new protocol is a new row in plan.c. */
struct pattern {
    const char *name;
    int near_protocol;
    int far_protocol;
    int replies; /* Whether the far socket can answer, as round trips and bursts require. */
};

/* Everything that is decided before the first library call. */
struct plan {
    const char *name;
    enum activity activity;
    const struct pattern *pattern;
    enum transport transport;
    size_t size;        /* Bytes in a message. */
    unsigned length;    /* Messages in a burst, peers, topics; 1 in a round trip. */
    unsigned near_sockets;
    unsigned far_sockets; /* Each bound to an address of its own. */
    unsigned senders;     /* Sequences that mix on the way to one receiver. */
    int pinned;         /* Everybody runs on CPU 0. */
    int nodelay;        /* NN_TCP_NODELAY is set on both sockets. */
    int verify;         /* Every byte of every message is checked, not only marks. */
    double seconds;     /* How long to measure... */
    double warm;        /* ...after this long a warm-up. */
    uint64_t count;     /* Not zero: measure exactly this many operations instead. */
    uint64_t warm_count;
};

/* What came out; times are NAN where the case has none. */
struct outcome {
    uint64_t count;   /* Operations: messages of a stream, bursts, round trips, sockets. */
    uint64_t errors;  /* Messages that were wrong, missing or out of order. */
    double rate;      /* Operations a second. */
    double cpu_us;    /* User and system time of both parties, for all operations together. */
    double p50_us;
    double p99_us;
    double bytes;     /* What one socket or connection takes, in memory... */
    double fds;       /* ...and in descriptors. */
};

/* cases.c */
const char *const *standard_cases(void);
/* Every size on every transport, pinned twins and rarer pairings; some are in both lists. */
const char *const *further_cases(void);

/* plan.c */
/* Returns NULL, or what is wrong with the name. */
const char *parse_case(const char *name, struct plan *plan);

/* measure.c */
struct histogram;

struct meter {
    uint64_t started_ns;
    uint64_t stopped_ns;
    double started_cpu_us;
    double cpu_us;
};

uint64_t now_ns(void);
/* Whether a phase of so many operations and so much time is over. */
int phase_is_over(const struct plan *plan, uint64_t done, uint64_t elapsed_ns, double seconds,
                  uint64_t count);
void meter_start(struct meter *meter);
void meter_stop(struct meter *meter);
double meter_seconds(const struct meter *meter);
struct histogram *histogram_new(void);
void histogram_add(struct histogram *histogram, uint64_t ns);
double histogram_quantile_us(const struct histogram *histogram, double quantile);

/* message.c */
enum kind { WARM, DATA, STOP };

#define STAMPED_SIZE_MIN 18u

unsigned char *pattern_new(size_t size);
unsigned char *buffer_new(size_t size);
void buffer_free(unsigned char *buffer);
void message_mark(unsigned char *message, size_t size, enum kind kind, uint64_t sequence);
void message_stamp(unsigned char *message, uint64_t ns);
uint64_t message_stamped(const unsigned char *message);
enum kind message_kind(const unsigned char *message);
/* Of a message that has one. */
uint64_t message_sequence(const unsigned char *message);
/* Returns 1 when the message is not the expected one, else 0. With a pattern all bytes count. */
int message_is_wrong(const unsigned char *message, size_t got, size_t size, uint64_t sequence,
                     const unsigned char *pattern);

/* address.c */
#define ADDRESS_BYTES 128

/* Binds where nobody else is, and tells where. The path is for ipc; each number has its own. */
void bind_somewhere(int socket, enum transport transport, const char *ipc_path, unsigned number,
                    char *address);
/* The socket shows what stands in own.pem of the directory BENCH_TLS, its certificate and key, and
 * trusts whom ca.pem there names; over transports that encrypt. */
void protect(int socket, enum transport transport);
/* What to connect to for that address: BENCH_CONNECT, if something stands between the sides, which
 * leads to where BENCH_BIND has had the far one bind. */
void go_round(char *address);
/* The files of so many numbers will go away in every case. */
void choose_ipc_path(char *path, unsigned numbers);

/* wait.c */
struct waiter;

/* NULL when the activity waits in nn_recv. */
struct waiter *waiter_new(const struct plan *plan, const int *sockets, unsigned count);
void waiter_free(struct waiter *waiter);
/* Receives on the socket with this index; the waiter says when. */
int recv_on(struct waiter *waiter, const int *sockets, unsigned index, void *buffer, size_t size);

/* device.c */
struct device;

/* Starts a third party, which joins two sockets of the given protocols; before any library call. */
struct device *device_start(const struct plan *plan);
/* Connects the device to this address, and writes the one where the near party finds it instead. */
void device_insert(struct device *device, char *address);
void device_meter_start(struct device *device);
double device_meter_stop(struct device *device);
void device_end(struct device *device);

/* party.c */
struct party {
    const struct plan *plan;
    int control;            /* One end of the control channel. */
    int socket;             /* The first, and mostly the only one, of these: */
    int *sockets;
    unsigned socket_count;
    char address[ADDRESS_BYTES]; /* Of the far party's last socket. */
    unsigned char *pattern; /* NULL when nobody compares whole messages. */
    unsigned char *outbox;
    unsigned char *inbox;
    struct waiter *waiter;
    struct device *device;  /* Of the near party, else NULL. */
    uint64_t errors;
    struct meter meter;
};

/* What one party tells the other at the end. */
struct report {
    uint64_t received; /* Messages inside the measured phase. */
    uint64_t errors;
    double rate;
    double cpu_us;
    double p50_us;
    double p99_us;
    double bytes;
    double fds;
};

typedef void near_part(struct party *party, struct outcome *outcome);
typedef void far_part(struct party *party, struct report *report);

void party_open(struct party *party, const struct plan *plan, int control, int protocol,
                unsigned sockets);
void party_close(struct party *party);
void await_connections(int socket, uint64_t count);
void run_two_parties(const struct plan *plan, near_part *near, far_part *far,
                     struct report *report, struct outcome *outcome);
void control_send(int control, const void *bytes, size_t size);
void control_recv(int control, void *bytes, size_t size);
void party_check(struct party *party, const unsigned char *message, size_t got, uint64_t sequence);

/* Each family in a file of its own. */
void run_exchange(const struct plan *plan, struct outcome *outcome);
void run_stream(const struct plan *plan, struct outcome *outcome);
void run_alone(const struct plan *plan, struct outcome *outcome);
void run_fan_in(const struct plan *plan, struct outcome *outcome);
void run_contexts(const struct plan *plan, struct outcome *outcome);
far_part far_crowd;
void run_threads(const struct plan *plan, struct outcome *outcome);
void run_fan_out(const struct plan *plan, struct outcome *outcome);
void run_survey(const struct plan *plan, struct outcome *outcome);
void run_bus(const struct plan *plan, struct outcome *outcome);
void run_batches(const struct plan *plan, struct outcome *outcome);
void run_memory(const struct plan *plan, struct outcome *outcome);
void run_churn(const struct plan *plan, struct outcome *outcome);
void run_connecting(const struct plan *plan, struct outcome *outcome);

/* guard.c */
void guard_start(const struct plan *plan);
void guard_child(void);
void guard_expect_exit(void);
void guard_remove_at_exit(const char *path);
void guard_end(void);
void fail(const char *what) __attribute__((noreturn));
void fail_errno(const char *what) __attribute__((noreturn));
/* Returns its argument unless a library call failed, which ends the run. */
int must(int result, const char *what);

#endif
