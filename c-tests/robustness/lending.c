/* Big messages that are written from the memory of their sender, and read into that of a receiver
 * who waits without a limit: nothing of it is used behind the call, nothing is lost with a call that
 * ends early, and memory that is not there harms nobody else.
 *
 *   lending inproc|ipc|tcp|ws|tls+tcp|wss [EFFORT [SEED]] */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/message.h"
#include "support/random.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/reqrep.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEGABYTE ((size_t)1 << 20)
#define LARGEST (5 * MEGABYTE)

enum { PAGE = 4096, ROUNDS = 40, WAIT_MS = 5000 };

static const size_t sizes[] = {16384, 16385, 40000, 65536, 300000, MEGABYTE, LARGEST};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static struct url url;

/* Who may have to leave without a message has it read elsewhere first. */
static int recv_limit = WAIT_MS;

static void without_limit(void (*run)(void))
{
    recv_limit = -1;
    run();
    recv_limit = WAIT_MS;
}

static void make_patient(int s)
{
    set_int(s, NN_RCVMAXSIZE, -1);
    set_int(s, NN_SNDTIMEO, WAIT_MS);
    set_int(s, NN_RCVTIMEO, recv_limit);
}

static void open_two(int type, int peer_type, int *a, int *b)
{
    url = unique_url(trial.scheme);
    *a = open_bound(AF_SP, type, url.text);
    *b = open_connected(AF_SP, peer_type, url.text);
    make_patient(*a);
    make_patient(*b);
}

static char *buffer_of(size_t size)
{
    char *buffer = malloc(size);
    REQUIRE(buffer != NULL);
    return buffer;
}

/* Receives the body with that number, of any of the sizes. */
static void check_arrives(int s, char *buffer, size_t size, uint64_t number)
{
    memset(buffer, 0xdd, LARGEST);
    CHECK_EQ(nn_recv(s, buffer, LARGEST, 0), size);
    CHECK(is_body(buffer, size, number));
}

struct sender {
    int s;
    int count;
};

/* Uses the same memory for each message, and spoils it at once. */
static void *send_and_spoil(void *argument)
{
    struct sender *sender = argument;
    char *buffer = buffer_of(LARGEST);
    for (int i = 0; i < sender->count && !case_failed(); i++) {
        size_t size = sizes[i % SIZES];
        fill_body(buffer, size, (uint64_t)i);
        CHECK_EQ(nn_send(sender->s, buffer, size, 0), size);
        memset(buffer, 0xee, size);
    }
    free(buffer);
    return NULL;
}

static void stream_from(int from, int to)
{
    struct sender sender = {from, ROUNDS * trial.effort};
    struct thread thread;
    char *buffer = buffer_of(LARGEST);
    thread_start(&thread, send_and_spoil, &sender);
    /* The kernel is full, and has taken a part of something. */
    while (!thread_asleep(&thread) && !thread_done(&thread))
        ;
    for (int i = 0; i < sender.count && !case_failed(); i++) {
        check_arrives(to, buffer, sizes[i % SIZES], (uint64_t)i);
        if (i % 5 == 0)
            nap_ms(2);
    }
    thread_join(&thread);
    free(buffer);
}

static void what_is_spoilt_behind_the_call_has_been_sent_as_it_was(void)
{
    int a, b;
    open_two(NN_PAIR, NN_PAIR, &a, &b);
    stream_from(a, b);
    stream_from(b, a);
    CHECK_CLOSE(a, b);
    open_two(NN_PULL, NN_PUSH, &a, &b);
    stream_from(b, a);
    CHECK_CLOSE(a, b);
}

/* Of a socket with several peers, and behind a header. */
static void replies_are_spoilt_behind_the_call_without_harm(void)
{
    enum { ASKERS = 3 };
    int askers[ASKERS], rep;
    char *buffer = buffer_of(LARGEST);
    open_two(NN_REP, NN_REQ, &rep, &askers[0]);
    for (int i = 1; i < ASKERS; i++) {
        askers[i] = open_connected(AF_SP, NN_REQ, url.text);
        make_patient(askers[i]);
    }
    for (int i = 0; i < ROUNDS * trial.effort && !case_failed(); i++) {
        size_t size = sizes[i % SIZES];
        int asker = askers[i % ASKERS];
        fill_body(buffer, size, (uint64_t)i);
        CHECK_EQ(nn_send(asker, buffer, size, 0), size);
        check_arrives(rep, buffer, size, (uint64_t)i);
        fill_body(buffer, size, (uint64_t)i + 1);
        CHECK_EQ(nn_send(rep, buffer, size, 0), size);
        check_arrives(asker, buffer, size, (uint64_t)i + 1);
    }
    free(buffer);
    for (int i = 0; i < ASKERS; i++)
        CHECK_CLOSE(askers[i]);
    CHECK_CLOSE(rep);
}

/* Of several threads on one socket, each has its own memory. */
static void threads_lend_side_by_side(void)
{
    enum { THREADS = 4 };
    struct sender sender;
    struct thread threads[THREADS];
    char *buffer = buffer_of(LARGEST);
    int a, b, seen[SIZES] = {0};
    open_two(NN_PULL, NN_PUSH, &a, &b);
    sender.s = b;
    sender.count = SIZES * 4;
    for (int i = 0; i < THREADS; i++)
        thread_start(&threads[i], send_and_spoil, &sender);
    for (int i = 0; i < THREADS * sender.count && !case_failed(); i++) {
        int size = nn_recv(a, buffer, LARGEST, 0), number = 0;
        while (number < sender.count
               && !((size_t)size == sizes[number % SIZES]
                    && is_body(buffer, (size_t)size, (uint64_t)number)))
            number++;
        CHECK_AT_MOST(number, sender.count - 1);
        seen[number % SIZES]++;
    }
    for (int i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
    for (int i = 0; i < SIZES; i++)
        CHECK_EQ(seen[i], THREADS * 4);
    free(buffer);
    CHECK_CLOSE(a, b);
}

/* A mapping of which only the first so many bytes are there. */
static char *holed(size_t size, size_t readable)
{
    char *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(start != MAP_FAILED);
    REQUIRE(mprotect(start + readable, size - readable, PROT_NONE) == 0);
    return start;
}

static void memory_that_is_not_there_is_no_message(void)
{
    char *none = holed(MEGABYTE, 0), *buffer = buffer_of(LARGEST);
    int a, b;
    open_two(NN_PULL, NN_PUSH, &a, &b);
    fill_body(buffer, MEGABYTE, 7);
    CHECK_EQ(nn_send(b, buffer, MEGABYTE, 0), MEGABYTE);
    check_arrives(a, buffer, MEGABYTE, 7);
    uint64_t sent = nn_get_statistic(b, NN_STAT_MESSAGES_SENT);
    for (int i = 0; i < 3; i++) {
        CHECK_ERRNO(nn_send(b, none, MEGABYTE, 0), -1, EFAULT);
        CHECK_EQ(nn_get_statistic(b, NN_STAT_MESSAGES_SENT), sent + (uint64_t)i);
        fill_body(buffer, MEGABYTE, (uint64_t)i);
        CHECK_EQ(nn_send(b, buffer, MEGABYTE, 0), MEGABYTE);
        check_arrives(a, buffer, MEGABYTE, (uint64_t)i);
    }
    /* It was one connection all the time. */
    CHECK_EQ(nn_get_statistic(b, NN_STAT_BROKEN_CONNECTIONS), 0);
    CHECK_EQ(munmap(none, MEGABYTE), 0);
    free(buffer);
    CHECK_CLOSE(a, b);
}

/* A megabyte of which the last page has been unmapped. */
static char *without_its_end(void)
{
    char *gone = holed(MEGABYTE, MEGABYTE);
    memset(gone, 1, MEGABYTE);
    REQUIRE(munmap(gone + MEGABYTE - PAGE, PAGE) == 0);
    return gone;
}

/* What is encrypted is read in the process, which asks first whether it is there. */
static void memory_that_is_unmapped_is_no_encrypted_message(void)
{
    char *gone = without_its_end(), *buffer = buffer_of(LARGEST);
    int a, b;
    open_two(NN_PULL, NN_PUSH, &a, &b);
    fill_body(buffer, MEGABYTE, 7);
    CHECK_EQ(nn_send(b, buffer, MEGABYTE, 0), MEGABYTE);
    check_arrives(a, buffer, MEGABYTE, 7);
    for (int i = 0; i < 3; i++) {
        CHECK_ERRNO(nn_send(b, gone, MEGABYTE, 0), -1, EFAULT);
        fill_body(buffer, MEGABYTE, (uint64_t)i);
        CHECK_EQ(nn_send(b, buffer, MEGABYTE, 0), MEGABYTE);
        check_arrives(a, buffer, MEGABYTE, (uint64_t)i);
    }
    /* It was one connection all the time. */
    CHECK_EQ(nn_get_statistic(b, NN_STAT_BROKEN_CONNECTIONS), 0);
    CHECK_EQ(munmap(gone, MEGABYTE - PAGE), 0);
    free(buffer);
    CHECK_CLOSE(a, b);
}

/* Whose turn it is among several is found out late, and it may be one that is read here. */
static void memory_that_is_unmapped_is_no_message_among_many_peers(void)
{
    char *gone = without_its_end(), *buffer = buffer_of(LARGEST);
    int a, b;
    open_two(NN_PUSH, NN_PULL, &a, &b);
    int c = open_connected(AF_SP, NN_PULL, url.text);
    make_patient(c);
    CHECK_PIPES(a, 2);
    for (int i = 0; i < 4; i++) {
        CHECK_ERRNO(nn_send(a, gone, MEGABYTE, 0), -1, EFAULT);
        fill_body(buffer, MEGABYTE, (uint64_t)i);
        CHECK_EQ(nn_send(a, buffer, MEGABYTE, 0), MEGABYTE);
        struct nn_pollfd both[2] = {{.fd = b, .events = NN_POLLIN}, {.fd = c, .events = NN_POLLIN}};
        REQUIRE(nn_poll(both, 2, PATIENCE_MS) == 1);
        check_arrives(both[0].revents ? b : c, buffer, MEGABYTE, (uint64_t)i);
    }
    CHECK_EQ(nn_get_statistic(a, NN_STAT_BROKEN_CONNECTIONS), 0);
    CHECK_EQ(munmap(gone, MEGABYTE - PAGE), 0);
    free(buffer);
    CHECK_CLOSE(a, b, c);
}

/* A part of it has gone then, which cannot be taken back: the peer never hears of it. */
static void memory_that_ends_too_early_is_no_message_either(void)
{
    enum { WHOLE = 256 * 1024, THERE = 25 * PAGE };
    char *half = holed(WHOLE, THERE), *buffer = buffer_of(LARGEST);
    int a, b;
    open_two(NN_PULL, NN_PUSH, &a, &b);
    for (int i = 0; i < 3; i++) {
        CHECK_ERRNO(nn_send(b, half, WHOLE, 0), -1, EFAULT);
        fill_body(buffer, MEGABYTE, (uint64_t)i);
        /* The connection is made again. */
        CHECK_EQ(nn_send(b, buffer, MEGABYTE, 0), MEGABYTE);
        check_arrives(a, buffer, MEGABYTE, (uint64_t)i);
    }
    CHECK_EQ(munmap(half, WHOLE), 0);
    free(buffer);
    CHECK_CLOSE(a, b);
}

/* Behind messages that the kernel has not taken. Only the first page goes: a hole as large as a
 * message is where the next one may be put. */
static void memory_that_is_gone_is_no_message_behind_others(void)
{
    char *gone = holed(MEGABYTE, MEGABYTE), *buffer = buffer_of(LARGEST);
    int a, b, count = 0;
    open_two(NN_PULL, NN_PUSH, &a, &b);
    CHECK_PIPES(b, 1);
    fill_body(buffer, LARGEST, 1);
    while (nn_send(b, buffer, LARGEST, NN_DONTWAIT) == (int)LARGEST)
        count++;
    CHECK_AT_LEAST(count, 2);
    CHECK_EQ(munmap(gone, PAGE), 0);
    CHECK_ERRNO(nn_send(b, gone, MEGABYTE, NN_DONTWAIT), -1, EAGAIN);
    for (int found = EAGAIN; count > 0; count--) {
        check_arrives(a, buffer, LARGEST, 1);
        CHECK_EQ(nn_send(b, gone, MEGABYTE, NN_DONTWAIT), -1);
        CHECK(errno == EFAULT || (errno == EAGAIN && found == EAGAIN));
        found = errno;
    }
    /* Who has written the last bytes may not have come as far as saying so. */
    CHECK(wait_until(nn_send(b, gone, MEGABYTE, NN_DONTWAIT) == -1 && errno == EFAULT,
        PATIENCE_MS));
    CHECK_EQ(munmap(gone + PAGE, MEGABYTE - PAGE), 0);
    free(buffer);
    CHECK_CLOSE(a, b);
}

/* Whatever the size of the buffer, nothing behind it is touched, nor behind the body. */
static void check_fits(int from, int to, char *sent, char *buffer, size_t size, size_t room)
{
    static uint64_t number;
    size_t count = room < size ? room : size;
    fill_body(sent, size, ++number);
    memset(buffer, 0xdd, LARGEST + PAGE);
    CHECK_EQ(nn_send(from, sent, size, 0), size);
    CHECK_EQ(nn_recv(to, buffer, room, 0), size);
    CHECK_EQ(memcmp(buffer, sent, count), 0);
    for (size_t at = count; at < count + PAGE; at++)
        if ((unsigned char)buffer[at] != 0xdd)
            FAIL("byte %zu of a body of %zu in %zu was touched", at, size, room);
}

struct receiver {
    int s;
    int count;
    size_t size, room;
};

static void *receive_in_turn(void *argument)
{
    struct receiver *receiver = argument;
    char *buffer = buffer_of(LARGEST + PAGE), *expected = buffer_of(LARGEST);
    size_t size = receiver->size, room = receiver->room, count = room < size ? room : size;
    for (int i = 0; i < receiver->count && !case_failed(); i++) {
        memset(buffer, 0xdd, LARGEST + PAGE);
        fill_body(expected, size, (uint64_t)i);
        CHECK_EQ(nn_recv(receiver->s, buffer, room, 0), size);
        CHECK_EQ(memcmp(buffer, expected, count), 0);
        CHECK((unsigned char)buffer[count] == 0xdd && (unsigned char)buffer[count + 99] == 0xdd);
        CHECK_EQ(nn_send(receiver->s, "", 0, 0), 0);
    }
    free(expected);
    free(buffer);
    return NULL;
}

static void buffers_of_any_size_get_what_fits(void)
{
    char *sent = buffer_of(LARGEST), *buffer = buffer_of(LARGEST + PAGE);
    int a, b;
    open_two(NN_PAIR, NN_PAIR, &a, &b);
    for (int i = 0; i < SIZES; i++) {
        size_t size = sizes[i];
        size_t rooms[] = {0, 1, size / 2, size - 1, size, size + 1, LARGEST};
        for (size_t k = 0; k < sizeof rooms / sizeof rooms[0] && !case_failed(); k++) {
            struct receiver receiver = {a, 5, size, rooms[k]};
            struct thread thread;
            check_fits(b, a, sent, buffer, size, rooms[k]);
            /* Somebody who waits, too. */
            thread_start(&thread, receive_in_turn, &receiver);
            for (int n = 0; n < receiver.count && !case_failed(); n++) {
                if (n == 0)
                    thread_asleep(&thread);
                fill_body(sent, size, (uint64_t)n);
                CHECK_EQ(nn_send(b, sent, size, 0), size);
                CHECK_EQ(nn_recv(b, buffer, 1, 0), 0);
            }
            thread_join(&thread);
        }
    }
    free(buffer);
    free(sent);
    CHECK_CLOSE(a, b);
}

/* The first half of a message, and the rest. */
static size_t send_half(int fd, const char *body, size_t size)
{
    unsigned char prefix[9];
    raw_send(fd, prefix, raw_prefix(url.text, size, prefix));
    raw_send(fd, body, size / 2);
    return size / 2;
}

static void who_stops_in_the_middle_holds_up_nobody(void)
{
    char *body = buffer_of(MEGABYTE), *buffer = buffer_of(LARGEST);
    int pull, push;
    open_two(NN_PULL, NN_PUSH, &pull, &push);
    CHECK_PIPES(push, 1);
    for (int i = 0; i < 3 && !case_failed(); i++) {
        CHECK_PIPES(pull, 1);
        int raw = raw_join(pull, url.text, NN_PUSH, NN_PULL);
        fill_body(body, MEGABYTE, 99);
        size_t half = send_half(raw, body, MEGABYTE);
        for (int k = 0; k < SIZES; k++) {
            fill_body(buffer, sizes[k], (uint64_t)k);
            CHECK_EQ(nn_send(push, buffer, sizes[k], 0), sizes[k]);
            check_arrives(pull, buffer, sizes[k], (uint64_t)k);
        }
        /* The last one is gone in the middle, and nothing of it is ever received. */
        if (i < 2) {
            raw_send(raw, body + half, MEGABYTE - half);
            check_arrives(pull, buffer, MEGABYTE, 99);
        }
        close(raw);
    }
    CHECK_EQ(nn_send(push, "end", 3, 0), 3);
    CHECK_EQ(nn_recv(pull, buffer, LARGEST, 0), 3);
    free(buffer);
    free(body);
    CHECK_CLOSE(pull, push);
}

static void on_signal(int number)
{
    (void)number;
}

struct call {
    int s;
    int error;
    char *buffer;
};

static void *receive_once(void *argument)
{
    struct call *call = argument;
    memset(call->buffer, 0xdd, LARGEST);
    errno = 0;
    call->error = nn_recv(call->s, call->buffer, LARGEST, 0) < 0 ? errno : 0;
    return NULL;
}

/* Whoever waits while the first half comes has nothing, and the next one gets the message. */
static void calls_that_end_in_the_middle_lose_nothing(void)
{
    char *body = buffer_of(MEGABYTE), *buffer = buffer_of(LARGEST);
    struct sigaction action;
    url = unique_url(trial.scheme);
    int pull = open_bound(AF_SP, NN_PULL, url.text);
    make_patient(pull);
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
    int raw = raw_join(pull, url.text, NN_PUSH, NN_PULL);
    for (int i = 0; i < 12 && !case_failed(); i++) {
        struct call call = {pull, 0, buffer_of(LARGEST)};
        struct thread thread;
        int is_interrupted = i % 2, is_cancelled = is_interrupted && i % 3 == 0;
        fill_body(body, MEGABYTE, (uint64_t)i);
        /* The first message of each two begins before the call, the second in it. */
        size_t half = i % 4 < 2 ? send_half(raw, body, MEGABYTE) : 0;
        set_int(pull, NN_RCVTIMEO, is_interrupted ? recv_limit : 40);
        thread_start(&thread, receive_once, &call);
        if (!half) {
            thread_asleep(&thread);
            half = send_half(raw, body, MEGABYTE);
        }
        while (is_interrupted && !is_cancelled && !thread_done(&thread)) {
            nap_ms(5);
            pthread_kill(thread.id, SIGUSR1);
        }
        if (is_cancelled) {
            thread_asleep(&thread);
            pthread_cancel(thread.id);
        }
        void *ended = thread_join(&thread);
        CHECK_EQ(ended == PTHREAD_CANCELED, is_cancelled);
        if (!is_cancelled)
            CHECK_EQ(call.error, is_interrupted ? EINTR : ETIMEDOUT);
        for (size_t at = 0; !is_interrupted && at < MEGABYTE; at++)
            if ((unsigned char)call.buffer[at] != 0xdd)
                FAIL("byte %zu was touched by a call without a message", at);
        memset(call.buffer, 0xcc, LARGEST);
        free(call.buffer);
        set_int(pull, NN_RCVTIMEO, recv_limit);
        if (i % 3 == 0)
            CHECK_ERRNO(nn_recv(pull, buffer, LARGEST, NN_DONTWAIT), -1, EAGAIN);
        raw_send(raw, body + half, MEGABYTE - half);
        check_arrives(pull, buffer, MEGABYTE, (uint64_t)i);
    }
    close(raw);
    free(buffer);
    free(body);
    CHECK_CLOSE(pull);
}

static void calls_without_limit_that_end_in_the_middle_lose_nothing(void)
{
    without_limit(calls_that_end_in_the_middle_lose_nothing);
}

static void who_stops_in_the_middle_holds_up_nobody_without_limit(void)
{
    without_limit(who_stops_in_the_middle_holds_up_nobody);
}

static void buffers_of_any_size_get_what_fits_without_limit(void)
{
    without_limit(buffers_of_any_size_get_what_fits);
}

static void streams_arrive_without_limit(void)
{
    without_limit(what_is_spoilt_behind_the_call_has_been_sent_as_it_was);
}

struct reader {
    int s;
    int seen[SIZES];
    int rest; /* of a page, in which its memory begins */
};

/* Receives until an empty message comes. */
static void *receive_all(void *argument)
{
    struct reader *reader = argument;
    char *memory = buffer_of(LARGEST + 2 * PAGE), *buffer = memory;
    while ((uintptr_t)buffer % PAGE != (uintptr_t)reader->rest)
        buffer++;
    for (int size; (size = nn_recv(reader->s, buffer, LARGEST, 0)) != 0 && !case_failed();) {
        int number = 0;
        while (number < SIZES
               && !((size_t)size == sizes[number]
                    && is_body(buffer, (size_t)size, (uint64_t)number)))
            number++;
        CHECK_AT_MOST(number, SIZES - 1);
        reader->seen[number % SIZES]++;
        memset(buffer, 0xcc, (size_t)size);
    }
    free(memory);
    return NULL;
}

/* Each gets whole messages in memory of its own, wherever that begins. */
static void threads_receive_side_by_side(void)
{
    enum { THREADS = 3, EACH = 12 };
    struct reader readers[THREADS] = {{0}};
    struct thread threads[THREADS];
    char *buffer = buffer_of(LARGEST);
    int a, b;
    recv_limit = -1;
    open_two(NN_PULL, NN_PUSH, &a, &b);
    recv_limit = WAIT_MS;
    for (int i = 0; i < THREADS; i++) {
        readers[i].s = a;
        readers[i].rest = i == 0 ? 0 : i == 1 ? 16 : 64;
        thread_start(&threads[i], receive_all, &readers[i]);
    }
    for (int i = 0; i < SIZES * EACH && !case_failed(); i++) {
        fill_body(buffer, sizes[i % SIZES], (uint64_t)(i % SIZES));
        CHECK_EQ(nn_send(b, buffer, sizes[i % SIZES], 0), sizes[i % SIZES]);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(nn_send(b, "", 0, 0), 0);
    for (int i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
    for (int i = 0; i < SIZES; i++)
        CHECK_EQ(readers[0].seen[i] + readers[1].seen[i] + readers[2].seen[i], EACH);
    free(buffer);
    CHECK_CLOSE(a, b);
}

/* Whoever waits for the rest of a message hears that its socket is gone. */
static void closing_ends_a_call_in_the_middle(void)
{
    char *body = buffer_of(MEGABYTE);
    for (int i = 0; i < 4 && !case_failed(); i++) {
        url = unique_url(trial.scheme);
        int pull = open_bound(AF_SP, NN_PULL, url.text);
        struct call call = {pull, 0, buffer_of(LARGEST)};
        struct thread thread;
        int raw = raw_join(pull, url.text, NN_PUSH, NN_PULL);
        thread_start(&thread, receive_once, &call);
        send_half(raw, body, MEGABYTE);
        thread_asleep(&thread);
        CHECK_CLOSE(pull);
        thread_join(&thread);
        CHECK_EQ(call.error, EBADF);
        free(call.buffer);
        close(raw);
    }
    free(body);
}

int main(int count, char **words)
{
    trial_begin("robustness/lending", "inproc|ipc|tcp|ws|tls+tcp|wss", 75, count, words);
    RUN(what_is_spoilt_behind_the_call_has_been_sent_as_it_was);
    RUN(replies_are_spoilt_behind_the_call_without_harm);
    RUN(threads_lend_side_by_side);
    RUN(buffers_of_any_size_get_what_fits);
    RUN(buffers_of_any_size_get_what_fits_without_limit);
    RUN(streams_arrive_without_limit);
    RUN(threads_receive_side_by_side);
    if (strcmp(trial.scheme, "ipc") == 0 || strcmp(trial.scheme, "tcp") == 0) {
        RUN(memory_that_is_not_there_is_no_message);
        RUN(memory_that_ends_too_early_is_no_message_either);
        RUN(memory_that_is_gone_is_no_message_behind_others);
        RUN(who_stops_in_the_middle_holds_up_nobody);
        RUN(calls_that_end_in_the_middle_lose_nothing);
        RUN(calls_without_limit_that_end_in_the_middle_lose_nothing);
        RUN(who_stops_in_the_middle_holds_up_nobody_without_limit);
        RUN(closing_ends_a_call_in_the_middle);
    }
    if (strcmp(trial.scheme, "tls+tcp") == 0 || strcmp(trial.scheme, "wss") == 0)
        RUN(memory_that_is_unmapped_is_no_encrypted_message);
    RUN(memory_that_is_unmapped_is_no_message_among_many_peers);
    RUN(nothing_is_left);
    return test_end();
}
