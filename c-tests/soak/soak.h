/* What the parts of the soak share: the lanes, and the memory in which processes tell each other
 * how they are.
 *
 * A lane is a pattern on a transport. Its ends are places; each place is a thread of one process.
 * On inproc every process has the whole lane for itself. */

#ifndef SPMSG_SOAK_H
#define SPMSG_SOAK_H

#include <nanomsg/nn.h>

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { INPROC, IPC, TCP, WS, TRANSPORTS };
enum { PAIR, REQREP, PUBSUB, PIPELINE, SURVEY, BUS, DEVICE, PATTERNS };
enum { LANES = PATTERNS * TRANSPORTS, PLACES = 4, PROCESSES = 4 };

struct lane {
    int pattern, transport;
    int places;                        /* how many ends it has */
    char front[NN_SOCKADDR_MAX];       /* where place 0 is bound */
    char back[NN_SOCKADDR_MAX];        /* where a device has its workers */
};

/* What the controller wants a process to suffer. */
enum order { ORDER_NONE, ORDER_FAULT, ORDER_LIMIT };

/* Written by one process and read by others, without locks: each member is a number of its own. */
struct process {
    pid_t pid; /* 0 while it is dead */
    uint32_t incarnation;
    uint64_t progress[LANES][PLACES];
    uint32_t calm; /* the last quiet time that it has noticed */
    int descriptors;
    long resident_kb;
    enum order order;
    uint32_t order_number; /* increases with each order */
    uint64_t order_seed;
    int order_ms;
};

struct soak {
    uint64_t seed;
    int stop;
    long failures; /* that processes have told of */
    uint32_t quiet; /* odd while nothing shall happen */
    struct lane lanes[LANES];
    struct process processes[PROCESSES];
};

extern struct soak *soak;

extern const char *const PATTERN_NAMES[PATTERNS], *const TRANSPORT_NAMES[TRANSPORTS];

#define SHARED(member) __atomic_load_n(&(member), __ATOMIC_ACQUIRE)
#define SHARE(member, value) __atomic_store_n(&(member), (value), __ATOMIC_RELEASE)

/* Which process has that place of a lane over streams. */
int process_of(int lane, int place);

/* The life of a process: all its ends, until the soak is over. Returns its exit status. */
int process_main(int process);

/* One end of a lane. */
struct end {
    int process, lane, place;
    uint64_t random;
    uint64_t number; /* of the last message that was sent */
    uint32_t serial; /* of the socket */
    struct order_book *book;
};

/* Runs until the soak is over; the argument is an end. */
void *end_main(void *argument);

/* ---- messages that tell what they are ---- */

struct head {
    uint32_t magic;
    uint8_t lane, process, place, unused;
    uint32_t incarnation, unused_too;
    uint64_t epoch; /* changes when the sender's socket or its connections do */
    uint64_t number;
};

/* The next message of an end on its socket `s`, to be freed. */
unsigned char *message_make(struct end *end, int s, size_t *size);

/* Whether these bytes are a whole message of that lane. */
int message_is_whole(const unsigned char *body, size_t size, int lane);

/* What an end has heard, by the place of the sender. */
struct order_book {
    struct heard {
        uint32_t incarnation;
        uint64_t epoch, last, before;
    } heard[PLACES];
};

/* Fails when the message came before an older one over the same connection, or again. */
void message_in_order(struct end *end, const unsigned char *body);

/* ---- peers that are none ---- */

/* Connects to a lane and says something that is no message; it stays until garbage_end. */
void garbage_come(uint64_t *state);

void garbage_end(void);

#endif
