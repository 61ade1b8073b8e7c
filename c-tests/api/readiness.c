/* NN_SNDFD and NN_RCVFD: descriptors that are readable as long as the socket can send or receive,
 * and no longer, whoever waits for them and however. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/types.h>
#include <unistd.h>

static int descriptor(int s, int option)
{
    return get_int(s, NN_SOL_SOCKET, option);
}

static int by_poll(int fd, int ms)
{
    struct pollfd entry = {fd, POLLIN, 0};
    return poll(&entry, 1, ms) == 1 && entry.revents == POLLIN;
}

static int by_select(int fd, int ms)
{
    struct timeval timeout = {ms / 1000, ms % 1000 * 1000};
    fd_set set;
    REQUIRE(fd < FD_SETSIZE);
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return select(fd + 1, &set, NULL, NULL, &timeout) == 1 && FD_ISSET(fd, &set);
}

static int by_epoll(int fd, int ms)
{
    struct epoll_event wanted = {.events = EPOLLIN}, found;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    CHECK_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted), 0);
    int count = epoll_wait(epoll, &found, 1, ms);
    close(epoll);
    return count == 1;
}

static int (*const WAYS[])(int fd, int ms) = {by_poll, by_select, by_epoll};

static int readable(int fd)
{
    return by_poll(fd, 0);
}

/* core 8.1 and 1.2, reliability P4: the same each time, two different ones, close-on-exec and not
 * blocking. */
static void a_socket_keeps_its_descriptors(void)
{
    int s = open_pair(), other = open_pair();
    int recv_fd = descriptor(s, NN_RCVFD), send_fd = descriptor(s, NN_SNDFD);
    CHECK_NE(recv_fd, send_fd);
    CHECK_NE(descriptor(other, NN_RCVFD), recv_fd);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(descriptor(s, NN_RCVFD), recv_fd);
        CHECK_EQ(descriptor(s, NN_SNDFD), send_fd);
    }
    CHECK_EQ(fcntl(recv_fd, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(fcntl(send_fd, F_GETFD), FD_CLOEXEC);
    CHECK(fcntl(recv_fd, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(send_fd, F_GETFL) & O_NONBLOCK);
    CHECK_CLOSE(s, other);
}

/* core 8.1, core-quirks A-22 */
static void a_direction_that_is_missing_has_no_descriptor(void)
{
    static const int wrong[][2] = {{NN_PUB, NN_RCVFD}, {NN_PUSH, NN_RCVFD}, {NN_SUB, NN_SNDFD},
                                   {NN_PULL, NN_SNDFD}};
    for (int domain = AF_SP; domain <= AF_SP_RAW; domain++)
        for (int i = 0; i < 4; i++) {
            int fd = -7, s = nn_socket(domain, wrong[i][0]);
            size_t size = sizeof fd;
            CHECK_ERRNO(nn_getsockopt(s, NN_SOL_SOCKET, wrong[i][1], &fd, &size), -1, ENOPROTOOPT);
            CHECK_EQ(fd, -7);
            CHECK_CLOSE(s);
        }
}

/* core 6.1 */
static void they_cannot_be_set(void)
{
    int s = open_pair(), fd = 0;
    CHECK_ERRNO(nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVFD, &fd, sizeof fd), -1, ENOPROTOOPT);
    CHECK_ERRNO(nn_setsockopt(s, NN_SOL_SOCKET, NN_SNDFD, &fd, sizeof fd), -1, ENOPROTOOPT);
    CHECK_CLOSE(s);
}

/* core 8.1 and 7.3: level-triggered, for every way of waiting. */
static void it_is_readable_as_long_as_there_is_a_message(void)
{
    EACH_SCHEME(scheme) {
        int both[2];
        open_both(NN_PAIR, NN_PAIR, *scheme, both);
        int fd = descriptor(both[0], NN_RCVFD);
        for (int way = 0; way < 3; way++) {
            CHECK(!WAYS[way](fd, 0));
            CHECK(!WAYS[way](fd, 20));
            for (int i = 0; i < 3; i++)
                CHECK_SEND(both[1], "x");
            CHECK(WAYS[way](fd, PATIENCE_MS));
            for (int i = 0; i < 3; i++) {
                CHECK(WAYS[way](fd, PATIENCE_MS));
                CHECK(WAYS[way](fd, 0));
                CHECK_RECV(both[0], "x");
            }
            CHECK(!WAYS[way](fd, 0));
        }
        CHECK_CLOSE(both[1], both[0]);
    }
}

/* core 7.3: over inproc there is no moment in between. */
static void over_inproc_it_changes_within_the_call(void)
{
    int both[2];
    open_both(NN_PAIR, NN_PAIR, "inproc", both);
    int fd = descriptor(both[0], NN_RCVFD), room = descriptor(both[1], NN_SNDFD);
    for (int i = 0; i < 200; i++) {
        CHECK(readable(room));
        CHECK_SEND(both[1], "x");
        CHECK(readable(fd));
        CHECK_RECV(both[0], "x");
        CHECK(!readable(fd));
    }
    CHECK_CLOSE(both[0]);
    CHECK(!readable(room));
    CHECK_CLOSE(both[1]);
}

/* core 8.1, core-quirks A-50 */
static void room_shows_by_being_readable(void)
{
    EACH_SCHEME(scheme) {
        static char body[100000];
        int both[2], sent = 0, received = 0;
        open_both(NN_PULL, NN_PUSH, *scheme, both);
        int fd = descriptor(both[1], NN_SNDFD);
        CHECK(by_poll(fd, PATIENCE_MS));
        /* Full is what stays full for a while: over streams the bytes move on by themselves. */
        for (;;) {
            if (wait_until(nn_send(both[1], body, sizeof body, NN_DONTWAIT) >= 0, 100))
                sent++;
            else if (!readable(fd))
                break;
        }
        while (!readable(fd) && received < sent) {
            CHECK_EQ(nn_recv(both[0], NULL, 0, 0), sizeof body);
            received++;
            by_poll(fd, 20);
        }
        CHECK(readable(fd));
        CHECK_EQ(nn_send(both[1], body, sizeof body, NN_DONTWAIT), sizeof body);
        for (sent++; received < sent; received++)
            CHECK_EQ(nn_recv(both[0], NULL, 0, 0), sizeof body);
        CHECK_CLOSE(both[1], both[0]);
    }
}

/* core 8.1: descriptors that are asked for late show what is there already. */
static void asking_late_is_soon_enough(void)
{
    EACH_SCHEME(scheme) {
        int both[2];
        open_both(NN_PAIR, NN_PAIR, *scheme, both);
        for (int i = 0; i < 2; i++)
            CHECK_SEND(both[1], "x");
        CHECK_RECV(both[0], "x");
        CHECK(by_poll(descriptor(both[0], NN_RCVFD), PATIENCE_MS));
        CHECK(by_poll(descriptor(both[0], NN_SNDFD), PATIENCE_MS));
        CHECK_RECV(both[0], "x");
        CHECK(!readable(descriptor(both[0], NN_RCVFD)));
        CHECK_CLOSE(both[1], both[0]);
    }
}

/* core 8.1: on a fresh socket, every type */
static void fresh_sockets_show_what_their_type_says(void)
{
    static const struct { int domain, type, recv, send; } fresh[] = {
        {AF_SP, NN_PAIR, 0, 0}, {AF_SP, NN_PUB, -1, 1}, {AF_SP, NN_SUB, 0, -1},
        {AF_SP, NN_PUSH, -1, 0}, {AF_SP, NN_PULL, 0, -1}, {AF_SP, NN_REQ, 0, 1},
        {AF_SP, NN_REP, 0, 0}, {AF_SP, NN_SURVEYOR, 1, 1}, {AF_SP, NN_RESPONDENT, 0, 0},
        {AF_SP, NN_BUS, 0, 1}, {AF_SP_RAW, NN_PAIR, 0, 0}, {AF_SP_RAW, NN_PUB, -1, 1},
        {AF_SP_RAW, NN_SUB, 0, -1}, {AF_SP_RAW, NN_PUSH, -1, 0}, {AF_SP_RAW, NN_PULL, 0, -1},
        {AF_SP_RAW, NN_REQ, 0, 0}, {AF_SP_RAW, NN_REP, 0, 1}, {AF_SP_RAW, NN_SURVEYOR, 0, 1},
        {AF_SP_RAW, NN_RESPONDENT, 0, 1}, {AF_SP_RAW, NN_BUS, 0, 1},
    };
    for (size_t i = 0; i < COUNT_OF(fresh); i++) {
        int s = nn_socket(fresh[i].domain, fresh[i].type);
        if (fresh[i].recv >= 0)
            CHECK_EQ(readable(descriptor(s, NN_RCVFD)), fresh[i].recv);
        if (fresh[i].send >= 0)
            CHECK_EQ(readable(descriptor(s, NN_SNDFD)), fresh[i].send);
        CHECK_CLOSE(s);
    }
}

/* core 8.1, core-quirks A-53 */
static void states_of_a_service_show(void)
{
    static const int types[][2] = {{NN_REP, NN_REQ}, {NN_RESPONDENT, NN_SURVEYOR}};
    EACH_SCHEME(scheme)
        for (int i = 0; i < 2; i++) {
            int both[2];
            open_both(types[i][0], types[i][1], *scheme, both);
            int recv_fd = descriptor(both[0], NN_RCVFD), send_fd = descriptor(both[0], NN_SNDFD);
            CHECK(!readable(recv_fd) && !readable(send_fd));
            CHECK_SEND(both[1], "question");
            CHECK(by_poll(recv_fd, PATIENCE_MS) && !readable(send_fd));
            CHECK_RECV(both[0], "question");
            CHECK(!readable(recv_fd) && readable(send_fd));
            CHECK_SEND(both[0], "answer");
            CHECK(!readable(recv_fd) && !readable(send_fd));
            CHECK(by_poll(descriptor(both[1], NN_RCVFD), PATIENCE_MS));
            CHECK_RECV(both[1], "answer");
            CHECK(readable(descriptor(both[1], NN_SNDFD)));
            CHECK_CLOSE(both[1], both[0]);
        }
}

/* core 8.1, core-quirks A-51: the end of a survey shows although nobody is inside the library. */
static void the_end_of_a_survey_shows(void)
{
    int s = nn_socket(AF_SP, NN_SURVEYOR), deadline = 50;
    int fd = descriptor(s, NN_RCVFD);
    CHECK_EQ(nn_setsockopt(s, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &deadline, sizeof deadline), 0);
    for (int round = 0; round < 3; round++) {
        CHECK(readable(fd));
        int64_t start = now_us();
        CHECK_SEND(s, "question");
        CHECK(!readable(fd));
        CHECK(by_poll(fd, PATIENCE_MS));
        CHECK_NOT_EARLY(start, 50);
        CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, ETIMEDOUT);
    }
    CHECK_CLOSE(s);
}

/* core 3.4 and 8.1: whoever waits finds out, and then the numbers are free. */
struct waiter {
    int fd;
    int way;
    int result;
};

static void *wait_for_it(void *argument)
{
    struct waiter *waiter = argument;
    /* An epoll may lose the descriptor before it has seen that it became readable. */
    waiter->result = WAYS[waiter->way](waiter->fd, waiter->way < 2 ? PATIENCE_MS : 500);
    return NULL;
}

static void they_close_with_the_socket(void)
{
    for (int way = 0; way < 3; way++)
        for (int option = NN_SNDFD; option <= NN_RCVFD; option++) {
            int s = open_pair(), fd = descriptor(s, option);
            struct waiter waiter = {fd, way, 0};
            struct thread thread;
            thread_start(&thread, wait_for_it, &waiter);
            CHECK(thread_asleep(&thread));
            int64_t start = now_ms();
            CHECK_CLOSE(s);
            CHECK_ERRNO(fcntl(fd, F_GETFD), -1, EBADF);
            thread_join(&thread);
            CHECK_AT_MOST(now_ms() - start, 2000);
        }
}

/* core 8.1: an application that waits with an event loop of its own, for many sockets, takes all
 * messages without ever looking where nothing is shown. Edge-triggered loops take until EAGAIN. */
static void an_event_loop_misses_nothing(void)
{
    enum { PEERS = 20, MESSAGES = 3000 };
    EACH_SCHEME(scheme)
        for (int edge = 0; edge < 2; edge++) {
            struct url url = unique_url(*scheme);
            int pulls[PEERS], received = 0, sent = 0, push = nn_socket(AF_SP, NN_PUSH);
            int epoll = epoll_create1(EPOLL_CLOEXEC);
            set_int(push, NN_SNDTIMEO, PATIENCE_MS);
            CHECK_OK(nn_bind(push, url.text));
            for (int i = 0; i < PEERS; i++) {
                pulls[i] = nn_socket(AF_SP, NN_PULL);
                CHECK_OK(nn_connect(pulls[i], url.text));
                struct epoll_event wanted = {.events = EPOLLIN | (edge ? EPOLLET : 0)};
                wanted.data.fd = pulls[i];
                CHECK_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor(pulls[i], NN_RCVFD), &wanted),
                         0);
            }
            CHECK(wait_stat(push, NN_STAT_CURRENT_CONNECTIONS, PEERS, PATIENCE_MS));
            while (received < MESSAGES) {
                struct epoll_event found[8];
                for (int i = 0; i < 7 && sent < MESSAGES; i++, sent++)
                    CHECK_SEND(push, "x");
                int count = epoll_wait(epoll, found, 8, received < sent ? PATIENCE_MS : 0);
                CHECK_AT_LEAST(count, 1);
                if (count < 1)
                    break;
                for (int i = 0; i < count; i++) {
                    int taken = 0;
                    while ((edge || taken == 0)
                           && nn_recv(found[i].data.fd, NULL, 0, NN_DONTWAIT) == 1)
                        taken++;
                    received += taken;
                }
            }
            CHECK_EQ(received, MESSAGES);
            for (int i = 0; i < PEERS; i++) {
                CHECK(!readable(descriptor(pulls[i], NN_RCVFD)));
                CHECK_CLOSE(pulls[i]);
            }
            CHECK_CLOSE(push);
            close(epoll);
        }
}

struct taker {
    int s, fd, wanted, received;
};

/* Never asks the socket unless the descriptor says so. */
static void *take_what_is_shown(void *argument)
{
    struct taker *taker = argument;
    while (taker->received < taker->wanted) {
        if (!by_poll(taker->fd, PATIENCE_MS))
            break;
        int size = nn_recv(taker->s, NULL, 0, NN_DONTWAIT);
        if (size == 1)
            taker->received++;
        else if (size >= 0 || errno != EAGAIN)
            break;
    }
    return NULL;
}

/* core 8.1: never stale and never missed, with a sender in another thread. */
static void a_stream_of_messages_is_shown_to_its_end(void)
{
    EACH_SCHEME(scheme) {
        enum { COUNT = 20000 };
        int both[2];
        open_both(NN_PULL, NN_PUSH, *scheme, both);
        struct taker taker = {both[0], descriptor(both[0], NN_RCVFD), COUNT, 0};
        struct thread thread;
        thread_start(&thread, take_what_is_shown, &taker);
        for (int i = 0; i < COUNT; i++)
            CHECK_SEND(both[1], "x");
        thread_join(&thread);
        CHECK_EQ(taker.received, COUNT);
        CHECK(!readable(taker.fd));
        CHECK_CLOSE(both[1], both[0]);
    }
}

struct senders {
    int s, count;
};

static void *send_many(void *argument)
{
    struct senders *senders = argument;
    for (int i = 0; i < senders->count; i++)
        CHECK_SEND(senders->s, "x");
    return NULL;
}

/* core 8.1: what is shown is there, and what is not shown is not, for one who alone receives while
 * two threads send. */
static void what_is_shown_is_what_one_gets(void)
{
    EACH_SCHEME(scheme) {
        enum { EACH = 5000 };
        int both[2];
        open_both(NN_PULL, NN_PUSH, *scheme, both);
        int fd = descriptor(both[0], NN_RCVFD);
        struct senders senders = {both[1], EACH};
        struct thread threads[2];
        for (int i = 0; i < 2; i++)
            thread_start(&threads[i], send_many, &senders);
        for (int received = 0; received < 2 * EACH; received++) {
            REQUIRE(by_poll(fd, PATIENCE_MS));
            CHECK_EQ(nn_recv(both[0], NULL, 0, NN_DONTWAIT), 1);
        }
        for (int i = 0; i < 2; i++)
            thread_join(&threads[i]);
        CHECK(!readable(fd));
        CHECK_ERRNO(nn_recv(both[0], NULL, 0, NN_DONTWAIT), -1, EAGAIN);
        CHECK_CLOSE(both[1], both[0]);
    }
}

/* core 8.1: a message is not there before its last byte is, whether or not somebody has tried to
 * receive it, and however often that has happened on the same stream. */
static void a_part_of_a_message_is_not_shown(void)
{
    static const char *const SCHEMES[] = {"ipc", "tcp"};
    for (int i = 0; i < 2; i++) {
        struct url url = unique_url(SCHEMES[i]);
        int s = nn_socket(AF_SP, NN_PAIR);
        CHECK_OK(nn_bind(s, url.text));
        int peer = raw_join(s, url.text, NN_PAIR, NN_PAIR), fd = descriptor(s, NN_RCVFD);
        unsigned char wire[9 + 4];
        size_t size = raw_prefix(url.text, 4, wire) + 4;
        memcpy(wire + size - 4, "body", 4);
        for (size_t cut = 1; cut < size; cut++) {
            raw_send(peer, wire, cut);
            CHECK(!by_poll(fd, 15));
            if (cut % 2 == 0) {
                CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
                CHECK(!readable(fd));
            }
            raw_send(peer, wire + cut, size - cut);
            CHECK(by_poll(fd, PATIENCE_MS));
            CHECK_RECV(s, "body");
            CHECK(!readable(fd));
        }
        close(peer);
        CHECK_CLOSE(s);
    }
}

/* core 1.5: a thread that receives beside one that watches the descriptor. */
static void receiving_elsewhere_ends_it(void)
{
    EACH_SCHEME(scheme) {
        int both[2];
        open_both(NN_PAIR, NN_PAIR, *scheme, both);
        int fd = descriptor(both[0], NN_RCVFD);
        for (int i = 0; i < 300; i++) {
            struct nn_pollfd entry = {both[0], NN_POLLIN, 0};
            CHECK_SEND(both[1], "x");
            if (i % 3 == 0)
                CHECK(by_poll(fd, PATIENCE_MS));
            if (i % 3 == 1)
                CHECK_EQ(nn_poll(&entry, 1, PATIENCE_MS), 1);
            CHECK_RECV(both[0], "x");
            CHECK(!readable(fd));
        }
        CHECK_CLOSE(both[1], both[0]);
    }
}

/* core 8.1, core-quirks B-25: it must only be polled, but reading it harms nobody: from the next
 * change on it is right again, and the socket always is. */
static void draining_them_is_survived(void)
{
    EACH_SCHEME(scheme) {
        int both[2];
        uint64_t count;
        open_both(NN_PAIR, NN_PAIR, *scheme, both);
        int recv_fd = descriptor(both[0], NN_RCVFD), send_fd = descriptor(both[0], NN_SNDFD);
        for (int i = 0; i < 50; i++) {
            struct nn_pollfd entry = {both[0], NN_POLLIN | NN_POLLOUT, 0};
            CHECK_SEND(both[1], "x");
            CHECK(by_poll(recv_fd, PATIENCE_MS));
            CHECK_EQ(read(recv_fd, &count, sizeof count), sizeof count);
            CHECK_EQ(read(send_fd, &count, sizeof count), i == 0 ? (ssize_t)sizeof count : -1);
            CHECK_EQ(nn_poll(&entry, 1, 0), 1);
            CHECK_EQ(entry.revents, NN_POLLIN | NN_POLLOUT);
            CHECK_RECV(both[0], "x");
            CHECK(!readable(recv_fd));
            CHECK_SEND(both[0], "y");
            CHECK_RECV(both[1], "y");
        }
        /* What is written to them by mistake is drained with the rest. The end of a pipe that is
         * polled cannot be written to. */
        count = 5;
        CHECK_EQ(write(recv_fd, &count, sizeof count),
                 is_pipe(recv_fd) ? -1 : (ssize_t)sizeof count);
        CHECK_SEND(both[1], "x");
        CHECK_RECV(both[0], "x");
        CHECK_SEND(both[1], "x");
        CHECK(by_poll(recv_fd, PATIENCE_MS));
        CHECK_RECV(both[0], "x");
        CHECK(!readable(recv_fd));
        /* A peer that goes and another that comes is a change for the one that shows room. */
        CHECK_CLOSE(both[1]);
        CHECK(wait_stat(both[0], NN_STAT_CURRENT_CONNECTIONS, 0, PATIENCE_MS));
        CHECK(!readable(send_fd));
        CHECK_CLOSE(both[0]);
    }
}

int main(void)
{
    test_begin("api/readiness", 80);
    RUN(a_socket_keeps_its_descriptors);
    RUN(a_direction_that_is_missing_has_no_descriptor);
    RUN(they_cannot_be_set);
    RUN(it_is_readable_as_long_as_there_is_a_message);
    RUN(over_inproc_it_changes_within_the_call);
    RUN(room_shows_by_being_readable);
    RUN(asking_late_is_soon_enough);
    RUN(fresh_sockets_show_what_their_type_says);
    RUN(states_of_a_service_show);
    RUN(the_end_of_a_survey_shows);
    RUN(they_close_with_the_socket);
    RUN(an_event_loop_misses_nothing);
    RUN(a_stream_of_messages_is_shown_to_its_end);
    RUN(what_is_shown_is_what_one_gets);
    RUN(a_part_of_a_message_is_not_shown);
    RUN(receiving_elsewhere_ends_it);
    RUN(draining_them_is_survived);
    return test_end();
}
