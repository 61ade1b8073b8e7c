/* What doc/guide/migrating.md says of ZeroMQ and of us, side by side: each line of its table that
 * can be run is a case here, in which libzmq shows the left side and we the right one. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>

#include <poll.h>
#include <string.h>
#include <zmq.h>

enum { SOON_MS = 100 };

static void *context;

/* One of theirs, which cannot make the test hang, and leaves nothing to be waited for. */
static void *open_theirs(int type)
{
    int patience = PATIENCE_MS, nothing = 0;
    void *s = zmq_socket(context, type);
    REQUIRE(s != NULL);
    zmq_setsockopt(s, ZMQ_SNDTIMEO, &patience, sizeof patience);
    zmq_setsockopt(s, ZMQ_RCVTIMEO, &patience, sizeof patience);
    zmq_setsockopt(s, ZMQ_LINGER, &nothing, sizeof nothing);
    return s;
}

static void set_theirs(void *s, int option, int value)
{
    CHECK_EQ(zmq_setsockopt(s, option, &value, sizeof value), 0);
}

static int get_theirs(void *s, int option)
{
    int value = 0;
    size_t size = sizeof value;
    CHECK_EQ(zmq_getsockopt(s, option, &value, &size), 0);
    return value;
}

static int is_readable(int fd)
{
    struct pollfd entry = {fd, POLLIN, 0};
    return poll(&entry, 1, 0) == 1;
}

static void a_context_there_and_nothing_here(void)
{
    CHECK(zmq_socket(NULL, ZMQ_REQ) == NULL);
    int s = nn_socket(AF_SP, NN_REQ);
    CHECK_OK(s);
    CHECK_CLOSE(s);
}

static void several_parts_there_and_one_message_here(void)
{
    void *push = open_theirs(ZMQ_PUSH), *pull = open_theirs(ZMQ_PULL);
    char body[8];
    CHECK_EQ(zmq_bind(pull, "inproc://parts"), 0);
    CHECK_EQ(zmq_connect(push, "inproc://parts"), 0);
    CHECK_EQ(zmq_send(push, "ab", 2, ZMQ_SNDMORE), 2);
    CHECK_EQ(zmq_send(push, "cd", 2, 0), 2);
    CHECK_EQ(zmq_recv(pull, body, sizeof body, 0), 2);
    CHECK_EQ(get_theirs(pull, ZMQ_RCVMORE), 1);
    CHECK_EQ(zmq_recv(pull, body, sizeof body, 0), 2);
    zmq_close(push);
    zmq_close(pull);

    int both[2];
    open_both(NN_PULL, NN_PUSH, "inproc", both);
    struct nn_iovec parts[] = {{"ab", 2}, {"cd", 2}};
    struct nn_msghdr message = {parts, 2, NULL, 0};
    CHECK_EQ(nn_sendmsg(both[1], &message, 0), 4);
    CHECK_RECV(both[0], "abcd");
    CHECK_CLOSE(both[0], both[1]);
}

/* A raw PUB hears nothing of it, and cannot receive at all. */
static void subscriptions_reach_the_publisher_there_and_stay_here(void)
{
    void *pub = open_theirs(ZMQ_XPUB), *sub = open_theirs(ZMQ_SUB);
    char body[8];
    CHECK_EQ(zmq_bind(pub, "inproc://topics"), 0);
    CHECK_EQ(zmq_connect(sub, "inproc://topics"), 0);
    CHECK_EQ(zmq_setsockopt(sub, ZMQ_SUBSCRIBE, "t", 1), 0);
    CHECK_EQ(zmq_recv(pub, body, sizeof body, 0), 2);
    CHECK_MEM(body, "\1t", 2);
    zmq_close(pub);
    zmq_close(sub);

    struct url url = unique_url("inproc");
    int raw = open_bound(AF_SP_RAW, NN_PUB, url.text), other = nn_socket(AF_SP, NN_SUB);
    subscribe(other, "t");
    CHECK_OK(nn_connect(other, url.text));
    CHECK_PIPES(raw, 1);
    CHECK_ERRNO(nn_recv(raw, body, sizeof body, NN_DONTWAIT), -1, ENOTSUP);
    /* So that all messages travel, wanted or not. */
    CHECK_EQ(nn_send(raw, "no", 2, 0), 2);
    CHECK_EQ(nn_send(raw, "to", 2, 0), 2);
    CHECK_RECV(other, "to");
    CHECK_EQ(nn_get_statistic(raw, NN_STAT_MESSAGES_SENT), 2);
    CHECK_CLOSE(raw, other);
}

/* Both servers take a request and die. Only ours is asked again by the one that comes next. */
static void a_request_is_lost_with_its_server_there_and_sent_again_here(void)
{
    struct url url = unique_url("tcp");
    void *req = open_theirs(ZMQ_REQ), *rep = open_theirs(ZMQ_REP);
    char body[8];
    CHECK_EQ(zmq_bind(rep, url.text), 0);
    CHECK_EQ(zmq_connect(req, url.text), 0);
    CHECK_EQ(zmq_send(req, "ask", 3, 0), 3);
    CHECK_EQ(zmq_recv(rep, body, sizeof body, 0), 3);
    zmq_close(rep);
    rep = open_theirs(ZMQ_REP);
    CHECK(wait_until(zmq_bind(rep, url.text) == 0, PATIENCE_MS));
    set_theirs(rep, ZMQ_RCVTIMEO, 5 * SOON_MS);
    CHECK_ERRNO(zmq_recv(rep, body, sizeof body, 0), -1, EAGAIN);
    CHECK_EQ(zmq_send(req, "again", 5, ZMQ_DONTWAIT), -1);
    CHECK_EQ(zmq_errno(), EFSM);
    zmq_close(rep);
    zmq_close(req);

    struct url ours = unique_url("tcp");
    int server = open_bound(AF_SP, NN_REP, ours.text);
    int client = open_connected(AF_SP, NN_REQ, ours.text);
    CHECK_EQ(nn_send(client, "ask", 3, 0), 3);
    CHECK_RECV(server, "ask");
    CHECK_CLOSE(server);
    server = open_bound(AF_SP, NN_REP, ours.text);
    CHECK_RECV(server, "ask");
    CHECK_EQ(nn_send(server, "yes", 3, 0), 3);
    CHECK_RECV(client, "yes");
    CHECK_CLOSE(server, client);
}

/* As many messages there, whatever their size, and as many bytes here, however many they are. */
static void limits_count_messages_there_and_bytes_here(void)
{
    static const char body[4096];
    static const size_t sizes[] = {1, sizeof body};
    /* They give a name back some time after the close. */
    static const char *const names[] = {"inproc://small", "inproc://large"};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        void *push = open_theirs(ZMQ_PUSH), *pull = open_theirs(ZMQ_PULL);
        int count = 0;
        set_theirs(push, ZMQ_SNDHWM, 5);
        set_theirs(pull, ZMQ_RCVHWM, 5);
        CHECK_EQ(zmq_bind(pull, names[i]), 0);
        CHECK_EQ(zmq_connect(push, names[i]), 0);
        while (count < 1000 && zmq_send(push, body, sizes[i], ZMQ_DONTWAIT) >= 0)
            count++;
        CHECK_EQ(count, 10);
        zmq_close(push);
        zmq_close(pull);

        struct url url = unique_url("inproc");
        int full = 4 * sizeof body, from, to = nn_socket(AF_SP, NN_PULL);
        set_int(to, NN_RCVBUF, full);
        CHECK_OK(nn_bind(to, url.text));
        from = open_connected(AF_SP, NN_PUSH, url.text);
        CHECK_PIPES(to, 1);
        for (count = 0; nn_send(from, body, sizes[i], NN_DONTWAIT) >= 0;)
            count++;
        CHECK_AT_MOST(count * sizes[i], full + sizes[i]);
        CHECK_AT_LEAST((count + 1) * sizes[i], full);
        CHECK_CLOSE(from, to);
    }
}

static void pushing_without_a_peer_waits_on_both_sides(void)
{
    void *theirs = open_theirs(ZMQ_PUSH);
    set_theirs(theirs, ZMQ_SNDTIMEO, SOON_MS);
    int64_t began = now_us();
    CHECK_ERRNO(zmq_send(theirs, "x", 1, 0), -1, EAGAIN);
    CHECK_NOT_EARLY(began, SOON_MS);
    zmq_close(theirs);

    int ours = open_socket(AF_SP, NN_PUSH);
    set_int(ours, NN_SNDTIMEO, SOON_MS);
    began = now_us();
    CHECK_ERRNO(nn_send(ours, "x", 1, 0), -1, ETIMEDOUT);
    CHECK_NOT_EARLY(began, SOON_MS);
    CHECK_CLOSE(ours);
}

/* Theirs tells that something has happened, once; what, has to be asked for. Ours is readable for as
 * long as there is something to receive, and no longer. */
static void a_descriptor_tells_of_edges_there_and_of_levels_here(void)
{
    void *push = open_theirs(ZMQ_PUSH), *pull = open_theirs(ZMQ_PULL);
    char body[8];
    CHECK_EQ(zmq_bind(pull, "inproc://edges"), 0);
    CHECK_EQ(zmq_connect(push, "inproc://edges"), 0);
    int theirs = get_theirs(pull, ZMQ_FD);
    CHECK_EQ(zmq_send(push, "one", 3, 0), 3);
    CHECK(wait_until(get_theirs(pull, ZMQ_EVENTS) & ZMQ_POLLIN, PATIENCE_MS));
    /* Asking takes the edge away, and not the message. */
    CHECK_EQ(is_readable(theirs), 0);
    CHECK_EQ(zmq_recv(pull, body, sizeof body, ZMQ_DONTWAIT), 3);
    zmq_close(push);
    zmq_close(pull);

    int both[2];
    open_both(NN_PULL, NN_PUSH, "inproc", both);
    int ours = get_int(both[0], NN_SOL_SOCKET, NN_RCVFD);
    CHECK_EQ(is_readable(ours), 0);
    CHECK_EQ(nn_send(both[1], "one", 3, 0), 3);
    CHECK_EQ(nn_send(both[1], "two", 3, 0), 3);
    for (int i = 0; i < 3; i++)
        CHECK(wait_until(is_readable(ours), PATIENCE_MS));
    CHECK_RECV(both[0], "one");
    CHECK(wait_until(is_readable(ours), PATIENCE_MS));
    CHECK_RECV(both[0], "two");
    CHECK(wait_until(!is_readable(ours), PATIENCE_MS));
    CHECK_CLOSE(both[0], both[1]);
}

static void a_close_waits_for_ever_there_and_for_a_second_here(void)
{
    void *theirs = zmq_socket(context, ZMQ_PUSH);
    REQUIRE(theirs != NULL);
    CHECK_EQ(get_theirs(theirs, ZMQ_LINGER), -1);
    zmq_close(theirs);
    int ours = nn_socket(AF_SP, NN_PUSH);
    CHECK_EQ(get_int(ours, NN_SOL_SOCKET, NN_LINGER), 1000);
    CHECK_CLOSE(ours);
}

static void *receive_once(void *s)
{
    CHECK_RECV(*(int *)s, "for one");
    return NULL;
}

/* That theirs may not be is a rule, which nothing can show. */
static void a_socket_is_used_by_several_threads_here(void)
{
    struct thread threads[3];
    int both[2];
    open_both(NN_PULL, NN_PUSH, "inproc", both);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        thread_start(&threads[i], receive_once, &both[0]);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        CHECK_EQ(nn_send(both[1], "for one", 7, 0), 7);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        thread_join(&threads[i]);
    CHECK_CLOSE(both[0], both[1]);
}

int main(void)
{
    test_begin("interop/migrating-zmq", 50);
    context = zmq_ctx_new();
    REQUIRE(context != NULL);
    RUN(a_context_there_and_nothing_here);
    RUN(several_parts_there_and_one_message_here);
    RUN(subscriptions_reach_the_publisher_there_and_stay_here);
    RUN(a_request_is_lost_with_its_server_there_and_sent_again_here);
    RUN(limits_count_messages_there_and_bytes_here);
    RUN(pushing_without_a_peer_waits_on_both_sides);
    RUN(a_descriptor_tells_of_edges_there_and_of_levels_here);
    RUN(a_close_waits_for_ever_there_and_for_a_second_here);
    RUN(a_socket_is_used_by_several_threads_here);
    CHECK_EQ(zmq_ctx_term(context), 0);
    return test_end();
}
