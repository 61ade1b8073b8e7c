/* nn_poll in several threads, for many sockets, and while everything comes and goes. */

#include "poll.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct taker {
    int s;
    int count;
};

static void *take_numbers(void *argument)
{
    struct taker *taker = argument;
    for (int i = 0; i < taker->count; i++) {
        int number = -1;
        if (nn_recv(taker->s, &number, sizeof number, 0) != sizeof number || number != i) {
            FAIL("message %d did not come, but %d, errno %d", i, number, errno);
            break;
        }
    }
    return NULL;
}

struct watcher {
    struct nn_pollfd entries[2];
    int stop;
    int wakes;
};

static void *watch_until_told(void *argument)
{
    struct watcher *watcher = argument;
    while (!__atomic_load_n(&watcher->stop, __ATOMIC_ACQUIRE)) {
        int result = nn_poll(watcher->entries, 2, watcher->wakes % 2 ? -1 : 5);
        if (result < 0) {
            FAIL("nn_poll says %d, errno %d", result, errno);
            break;
        }
        watcher->wakes++;
    }
    return NULL;
}

/* core 1.5: a thread in nn_recv beside threads in nn_poll, on one socket; whoever reads the stream,
 * the message reaches the one that receives. One at a time, so that a missed wake-up is a hang. */
static void receiving_goes_on_beside_polling(void)
{
    EACH_SCHEME(scheme) {
        enum { COUNT = 2000 };
        int both[2], idle = open_pair(), back = -1;
        open_both(NN_PAIR, NN_PAIR, *scheme, both);
        struct taker taker = {both[0], COUNT};
        struct watcher watchers[2] = {{{ask(both[0], IN), ask(idle, IN)}, 0, 0},
                                      {{ask(idle, IN), ask(both[0], IN)}, 0, 0}};
        struct thread receiver, pollers[2];
        for (int i = 0; i < 2; i++)
            thread_start(&pollers[i], watch_until_told, &watchers[i]);
        thread_start(&receiver, take_numbers, &taker);
        for (int i = 0; i < COUNT; i++) {
            CHECK_EQ(nn_send(both[1], &i, sizeof i, 0), sizeof i);
            if (i % 2)
                CHECK(wait_stat(both[0], NN_STAT_MESSAGES_RECEIVED, (uint64_t)i + 1, PATIENCE_MS));
        }
        thread_join(&receiver);
        /* And one that wakes the pollers for good. */
        for (int i = 0; i < 2; i++)
            __atomic_store_n(&watchers[i].stop, 1, __ATOMIC_RELEASE);
        CHECK_EQ(nn_send(both[1], &back, sizeof back, 0), sizeof back);
        for (int i = 0; i < 2; i++)
            thread_join(&pollers[i]);
        CHECK_CLOSE(both[1], both[0], idle);
    }
}

struct crosser {
    int first, second;
    int *received;
    int wanted;
};

static void *take_from_either(void *argument)
{
    struct crosser *crosser = argument;
    struct nn_pollfd entries[] = {ask(crosser->first, IN), ask(crosser->second, IN)};
    while (__atomic_load_n(crosser->received, __ATOMIC_ACQUIRE) < crosser->wanted) {
        if (nn_poll(entries, 2, 20) < 1)
            continue;
        for (int i = 0; i < 2; i++) {
            char byte;
            if (entries[i].revents && nn_recv(entries[i].fd, &byte, 1, NN_DONTWAIT) == 1)
                __atomic_fetch_add(crosser->received, 1, __ATOMIC_ACQ_REL);
        }
    }
    return NULL;
}

/* core 1.5: threads that poll the same sockets, in either order, and take what they find. */
static void pollers_of_the_same_sockets_find_everything(void)
{
    EACH_SCHEME(scheme) {
        enum { COUNT = 2000, THREADS = 4 };
        int a[2], b[2], received = 0;
        struct thread threads[THREADS];
        struct crosser crossers[THREADS];
        open_both(NN_PULL, NN_PUSH, *scheme, a);
        open_both(NN_PULL, NN_PUSH, *scheme, b);
        for (int i = 0; i < THREADS; i++) {
            crossers[i] = (struct crosser){i % 2 ? a[0] : b[0], i % 2 ? b[0] : a[0], &received,
                                           COUNT};
            thread_start(&threads[i], take_from_either, &crossers[i]);
        }
        for (int i = 0; i < COUNT; i++)
            CHECK_SEND(i % 3 ? a[1] : b[1], "x");
        for (int i = 0; i < THREADS; i++)
            thread_join(&threads[i]);
        CHECK_EQ(received, COUNT);
        CHECK_CLOSE(a[1], a[0], b[1], b[0]);
    }
}

/* core 8.2 rule 4: of two hundred exactly those that have something, also beside one that always
 * has. */
static void two_hundred_sockets_can_be_polled(void)
{
    enum { COUNT = 200 };
    EACH_SCHEME(scheme) {
        static int pulls[COUNT];
        static struct nn_pollfd entries[COUNT + 1];
        struct url url = unique_url(*scheme);
        int bus = open_socket(AF_SP, NN_BUS), push = open_socket(AF_SP, NN_PUSH);
        CHECK_OK(nn_bind(push, url.text));
        for (int i = 0; i < COUNT; i++) {
            pulls[i] = open_socket(AF_SP, NN_PULL);
            CHECK_OK(nn_connect(pulls[i], url.text));
            entries[i] = ask(pulls[i], IN);
        }
        entries[COUNT] = ask(bus, OUT);
        CHECK(wait_stat(push, NN_STAT_CURRENT_CONNECTIONS, COUNT, PATIENCE_MS));
        CHECK_EQ(nn_poll(entries, COUNT, 0), 0);
        for (int round = 0; round < COUNT / 2; round++) {
            int found = -1;
            CHECK_SEND(push, "x");
            CHECK_EQ(nn_poll(entries, COUNT, PATIENCE_MS), 1);
            for (int i = 0; i < COUNT; i++)
                if (entries[i].revents == IN)
                    found = i;
            REQUIRE(found >= 0);
            CHECK_RECV(pulls[found], "x");
        }
        for (int i = 0; i < COUNT; i++)
            CHECK_SEND(push, "x");
        CHECK(wait_until(nn_poll(entries, COUNT + 1, PATIENCE_MS) == COUNT + 1, PATIENCE_MS));
        for (int i = 0; i < COUNT; i++) {
            CHECK_RECV(pulls[i], "x");
            CHECK_CLOSE(pulls[i]);
        }
        CHECK_CLOSE(push, bus);
    }
}

/* core 8.2: who asks again and again without waiting learns of everything in the end. */
static void looking_without_waiting_sees_what_arrives(void)
{
    EACH_SCHEME(scheme) {
        int both[2], bus = open_socket(AF_SP, NN_BUS);
        open_both(NN_PAIR, NN_PAIR, *scheme, both);
        for (int round = 0; round < 50; round++) {
            struct nn_pollfd entries[] = {ask(bus, OUT), ask(both[0], IN)};
            CHECK_SEND(both[1], "x");
            CHECK(wait_until(nn_poll(entries, 2, 0) == 2, PATIENCE_MS));
            CHECK_RECV(both[0], "x");
            CHECK_EQ(nn_poll(entries, 2, 0), 1);
        }
        CHECK_CLOSE(both[1], both[0], bus);
    }
}

/* core 8.2 rule 4: a socket that can send is no reason to overlook what it can receive. What has
 * reached the kernel is seen at the first look; the reference's thread needs a moment. */
static void room_does_not_hide_what_has_arrived(void)
{
    EACH_SCHEME(scheme) {
        if (strcmp(*scheme, "inproc") == 0)
            continue;
        struct url url = unique_url(*scheme);
        int s = open_pair(), unsent;
        CHECK_OK(nn_bind(s, url.text));
        int fd = raw_connect(url.text);
        CHECK(raw_greet(fd));
        CHECK_EQ(poll_one(s, OUT, PATIENCE_MS), OUT);
        for (int round = 0; round < 20; round++) {
            CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
            raw_message(fd, url.text, "x", 1);
            CHECK(wait_until(ioctl(fd, TIOCOUTQ, &unsent) == 0 && (unsent == 0 || is_ipc(url.text)),
                             PATIENCE_MS));
            if (reference())
                CHECK(wait_until(poll_one(s, IN | OUT, 0) == (IN | OUT), PATIENCE_MS));
            else
                CHECK_EQ(poll_one(s, IN | OUT, 0), IN | OUT);
            CHECK_RECV(s, "x");
        }
        close(fd);
        CHECK_CLOSE(s);
    }
}

enum { SEATS = 6 };

static struct {
    int handles[SEATS];
    int stop;
    long polls;
    struct url urls[SEATS];
} arena;

static long poll_count(void)
{
    return __atomic_load_n(&arena.polls, __ATOMIC_RELAXED);
}

static void *poll_anything(void *argument)
{
    unsigned random = (unsigned)(uintptr_t)argument * 7919 + 17;
    while (!__atomic_load_n(&arena.stop, __ATOMIC_ACQUIRE)) {
        struct nn_pollfd entries[SEATS];
        random = random * 1103515245 + 12345;
        int count = 1 + (int)(random >> 20) % SEATS;
        for (int i = 0; i < count; i++) {
            random = random * 1103515245 + 12345;
            int s = __atomic_load_n(&arena.handles[(random >> 18) % SEATS], __ATOMIC_ACQUIRE);
            entries[i] = ask(s, 1 + (int)(random >> 24) % 3);
        }
        int result = nn_poll(entries, count, (int)(random >> 26) % 4 ? 1 : -1);
        __atomic_fetch_add(&arena.polls, 1, __ATOMIC_RELAXED);
        if (result < 0 && errno != EBADF)
            FAIL("nn_poll says errno %d", errno);
        for (int i = 0; i < count && result > 0; i++)
            if (entries[i].revents & IN)
                nn_recv(entries[i].fd, NULL, 0, NN_DONTWAIT);
    }
    return NULL;
}

static void take_seat(int seat)
{
    int s = nn_socket(AF_SP, NN_BUS);
    REQUIRE(s >= 0);
    CHECK_OK(nn_bind(s, arena.urls[seat].text));
    for (int i = 0; i < SEATS; i++)
        if (i != seat && i % 2 == seat % 2)
            CHECK_OK(nn_connect(s, arena.urls[i].text));
    __atomic_store_n(&arena.handles[seat], s, __ATOMIC_RELEASE);
}

/* reliability P1 and P3: sockets are opened and closed under threads that poll them. */
static void polling_survives_what_comes_and_goes(void)
{
    enum { THREADS = 6, ROUNDS = 400, POLLS = 1000 };
    for (int transport = 0; transport < 3; transport++) {
        struct thread threads[THREADS];
        memset(&arena, 0, sizeof arena);
        for (int i = 0; i < SEATS; i++)
            arena.urls[i] = unique_url(SCHEMES[transport]);
        for (int i = 0; i < SEATS; i++)
            take_seat(i);
        for (int i = 0; i < THREADS; i++)
            thread_start(&threads[i], poll_anything, (void *)(uintptr_t)(i + 1));
        int64_t deadline = now_ms() + PATIENCE_MS;
        for (int round = 0; now_ms() < deadline && (round < ROUNDS || poll_count() < POLLS);
             round++) {
            int seat = round % SEATS, s = arena.handles[(round + 3) % SEATS];
            nn_send(s, "hello", 5, NN_DONTWAIT);
            CHECK_CLOSE(arena.handles[seat]);
            take_seat(seat);
        }
        __atomic_store_n(&arena.stop, 1, __ATOMIC_RELEASE);
        /* Those that wait for ever end with their sockets. */
        for (int i = 0; i < SEATS; i++)
            CHECK_CLOSE(arena.handles[i]);
        for (int i = 0; i < THREADS; i++)
            thread_join(&threads[i]);
        CHECK_AT_LEAST(arena.polls, POLLS);
    }
}

int main(void)
{
    test_begin("api/poll-threads", 110);
    RUN(receiving_goes_on_beside_polling);
    RUN(pollers_of_the_same_sockets_find_everything);
    RUN(two_hundred_sockets_can_be_polled);
    RUN(looking_without_waiting_sees_what_arrives);
    RUN(room_does_not_hide_what_has_arrived);
    RUN(polling_survives_what_comes_and_goes);
    return test_end();
}
