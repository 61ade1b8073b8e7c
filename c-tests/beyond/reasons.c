/* Why nothing arrives: the reasons of events, their words, what counts and what is printed of them,
 * and which part of an address is wrong. */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/process.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIMIT = 100 };

static const char *text_of(const struct spmsg_event *event)
{
    static char text[200];
    int length = spmsg_event_text(event, text, sizeof text);
    CHECK_EQ(length, (int)strlen(text));
    return text;
}

static int watched(int type)
{
    int s = nn_socket(AF_SP, type);
    CHECK_OK(s);
    CHECK_OK(spmsg_events(s));
    return s;
}

#define CHECK_REASON(event, expected, expected_error, expected_text) do { \
    CHECK_EQ((event).reason, expected); \
    CHECK_EQ((event).error, expected_error); \
    CHECK_STR(text_of(&(event)), expected_text); \
} while (0)

/* Both sides learn what the other one is, on every transport, whoever was first. */
static void a_wrong_pairing_is_told_to_both(void)
{
    for (size_t i = 0; i < 4; i++)
        for (int late = 0; late < 2; late++) {
            struct url url = unique_url(BEYOND_SCHEMES[i]);
            int push = watched(NN_PUSH), pub = watched(NN_PUB);
            if (late)
                CHECK_OK(nn_connect(pub, url.text));
            CHECK_OK(nn_bind(push, url.text));
            if (!late)
                CHECK_OK(nn_connect(pub, url.text));
            struct spmsg_event event = await_event(push, SPMSG_EVENT_HANDSHAKE_FAILED);
            CHECK_REASON(event, SPMSG_REASON_TYPE, EPROTO, "the peer is of type PUB, not PULL");
            CHECK_EQ(event.found, NN_PUB);
            CHECK_EQ(event.allowed, NN_PULL);
            event = await_event(pub, SPMSG_EVENT_HANDSHAKE_FAILED);
            CHECK_REASON(event, SPMSG_REASON_TYPE, EPROTO, "the peer is of type PUSH, not SUB");
            CHECK_EQ(event.found, NN_PUSH);
            CHECK_EQ(event.allowed, NN_SUB);
            CHECK_STR(event.peer, url.text);
            CHECK_CLOSE(push, pub);
        }
}

/* Inside a process nobody tries again: once is enough. */
static void a_wrong_pairing_inside_is_told_once(void)
{
    struct spmsg_event event;
    int pull = watched(NN_PULL), pub = watched(NN_PUB);
    CHECK_OK(nn_bind(pull, "inproc://once"));
    CHECK_OK(nn_connect(pub, "inproc://once"));
    for (int i = 0; i < 3; i++) {
        int push = open_socket(AF_SP, NN_PUSH);
        CHECK_OK(nn_connect(push, "inproc://once"));
        CHECK_CLOSE(push);
    }
    CHECK_EQ(await_event(pub, SPMSG_EVENT_HANDSHAKE_FAILED).found, NN_PULL);
    CHECK_ERRNO(spmsg_next_event(pub, &event), -1, EAGAIN);
    CHECK_CLOSE(pull, pub);
}

static void a_message_that_is_too_large_is_told_with_its_size(void)
{
    static char big[LIMIT + 1];
    for (size_t i = 1; i < 4; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int pull = watched(NN_PULL), push = watched(NN_PUSH);
        set_int(pull, NN_RCVMAXSIZE, LIMIT);
        CHECK_OK(nn_bind(pull, url.text));
        CHECK_OK(nn_connect(push, url.text));
        CHECK_EQ(nn_send(push, big, sizeof big, 0), sizeof big);
        struct spmsg_event event = await_event(pull, SPMSG_EVENT_DISCONNECTED);
        CHECK_REASON(event, SPMSG_REASON_SIZE, EMSGSIZE,
                     "the peer's message has 101 bytes, more than the 100 of NN_RCVMAXSIZE");
        CHECK_EQ(event.found, LIMIT + 1);
        CHECK_EQ(event.allowed, LIMIT);
        CHECK_EQ(nn_get_statistic(pull, SPMSG_STAT_VIOLATIONS), 1);
        /* Only WebSocket has words for that. */
        event = await_event(push, SPMSG_EVENT_DISCONNECTED);
        if (i == 3)
            CHECK_REASON(event, SPMSG_REASON_PEER_SIZE, EMSGSIZE,
                         "a message is larger than the peer's NN_RCVMAXSIZE");
        else
            CHECK(event.reason == SPMSG_REASON_LEFT || event.reason == SPMSG_REASON_SYSTEM);
        CHECK_CLOSE(pull, push);
    }
}

static void a_size_beyond_all_is_told_as_the_largest_number(void)
{
    const unsigned char huge[8] = {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct url url = unique_url("tcp");
    int s = watched(NN_PAIR), fd;
    CHECK_OK(nn_bind(s, url.text));
    fd = raw_connect(url.text);
    CHECK(raw_greet(fd));
    raw_send(fd, huge, 8);
    struct spmsg_event event = await_event(s, SPMSG_EVENT_DISCONNECTED);
    CHECK_EQ(event.reason, SPMSG_REASON_SIZE);
    CHECK_EQ(event.found, UINT_MAX);
    CHECK_EQ(event.allowed, 1024 * 1024);
    close(fd);
    CHECK_CLOSE(s);
}

static void who_ended_it_is_told(void)
{
    for (size_t i = 0; i < 4; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int here = watched(NN_PAIR), there = watched(NN_PAIR);
        CHECK_OK(nn_bind(here, url.text));
        CHECK_OK(nn_connect(there, url.text));
        struct spmsg_event event = await_event(here, SPMSG_EVENT_CONNECTED);
        CHECK_REASON(event, SPMSG_REASON_NONE, 0, "nothing went wrong");
        for (size_t word = 0; word < sizeof event.reserved / sizeof *event.reserved; word++)
            CHECK_EQ(event.reserved[word], 0);
        await_event(there, SPMSG_EVENT_CONNECTED);
        CHECK_EQ(nn_shutdown(there, 1), 0);
        event = await_event(there, SPMSG_EVENT_DISCONNECTED);
        CHECK_REASON(event, SPMSG_REASON_ENDED, 0, "this side has ended it");
        event = await_event(here, SPMSG_EVENT_DISCONNECTED);
        CHECK_REASON(event, SPMSG_REASON_LEFT, 0, "the peer left");
        CHECK_CLOSE(here, there);
    }
}

static void a_name_without_address_is_told_and_counted(void)
{
    for (size_t i = 2; i < 4; i++) {
        char url[64];
        int s = watched(NN_PAIR);
        snprintf(url, sizeof url, "%s://name.invalid:5", BEYOND_SCHEMES[i]);
        CHECK_OK(nn_connect(s, url));
        struct spmsg_event event = await_event(s, SPMSG_EVENT_CONNECT_FAILED);
        CHECK_REASON(event, SPMSG_REASON_NO_ADDRESS, ENXIO, "the name has no address");
        CHECK_STR(event.peer, url);
        CHECK_AT_LEAST(nn_get_statistic(s, NN_STAT_CONNECT_ERRORS), 1);
        CHECK_EQ(nn_get_statistic(s, NN_STAT_CURRENT_EP_ERRORS), 1);
        CHECK_CLOSE(s);
    }
}

static void the_other_reasons_have_words(void)
{
    struct url url = unique_url("tcp");
    int s = watched(NN_PAIR), fd;
    /* Nobody listens. */
    int there = watched(NN_PAIR);
    CHECK_OK(nn_connect(there, url.text));
    struct spmsg_event event = await_event(there, SPMSG_EVENT_CONNECT_FAILED);
    CHECK_REASON(event, SPMSG_REASON_SYSTEM, ECONNREFUSED, nn_strerror(ECONNREFUSED));
    CHECK_CLOSE(there);
    /* A stranger, and one who says nothing. */
    CHECK_OK(nn_bind(s, url.text));
    fd = raw_connect(url.text);
    raw_send(fd, "not a greeting\r\n\r\n", 18);
    event = await_event(s, SPMSG_EVENT_HANDSHAKE_FAILED);
    CHECK_REASON(event, SPMSG_REASON_VIOLATION, EPROTO,
                 "the peer does not keep to the rules of the protocol");
    close(fd);
    fd = raw_connect(url.text);
    event = await_event(s, SPMSG_EVENT_HANDSHAKE_FAILED);
    CHECK_REASON(event, SPMSG_REASON_TIMEOUT, ETIMEDOUT,
                 "the peer took too long to say what it is");
    close(fd);
    /* One too many. */
    fd = raw_connect(url.text);
    CHECK(raw_greet(fd));
    await_event(s, SPMSG_EVENT_CONNECTED);
    int second = raw_connect(url.text);
    const unsigned char pair[8] = {0, 'S', 'P', 0, 0, 0x10, 0, 0};
    raw_send(second, pair, sizeof pair);
    event = await_event(s, SPMSG_EVENT_REJECTED);
    CHECK_REASON(event, SPMSG_REASON_UNWANTED, 0, "the socket wants no more peers");
    close(second);
    close(fd);
    CHECK_CLOSE(s);
}

static void a_server_that_refuses_is_told_with_its_status(void)
{
    struct url url = unique_url("ws");
    char there[sizeof url.text + 16], elsewhere[sizeof url.text + 16];
    snprintf(there, sizeof there, "%s/there", url.text);
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", url.text);
    int here = watched(NN_PAIR), s = watched(NN_PAIR);
    CHECK_OK(nn_bind(here, there));
    CHECK_OK(nn_connect(s, elsewhere));
    struct spmsg_event event = await_event(s, SPMSG_EVENT_HANDSHAKE_FAILED);
    CHECK_REASON(event, SPMSG_REASON_DENIED, EPROTO, "the server has answered with status 404");
    CHECK_EQ(event.found, 404);
    CHECK_CLOSE(here, s);
}

static void texts_are_cut_where_the_room_ends(void)
{
    struct spmsg_event event = {.reason = SPMSG_REASON_LEFT};
    char text[8] = "xxxxxxx";
    CHECK_EQ(spmsg_event_text(&event, text, 5), 13);
    CHECK_STR(text, "the ");
    CHECK_EQ(spmsg_event_text(&event, NULL, 0), 13);
    CHECK_ERRNO(spmsg_event_text(&event, NULL, 1), -1, EFAULT);
    CHECK_ERRNO(spmsg_event_text(NULL, text, sizeof text), -1, EFAULT);
    /* What a later library might tell: the number has words of its own. */
    event.reason = 1000;
    event.error = ENOSPC;
    CHECK_STR(text_of(&event), nn_strerror(ENOSPC));
}

static const char *error_text(void)
{
    static char text[200];
    int length = spmsg_error_text(text, sizeof text);
    CHECK_EQ(length, (int)strlen(text));
    return text;
}

static void *look_at_another_threads_error(void *text)
{
    strcpy(text, error_text());
    return NULL;
}

static void a_malformed_address_says_which_part_is_wrong(void)
{
    static const char port[] = "the address does not end with a colon and a port, from 1 to 65535";
    static const char host[] =
        "the host is neither a name nor a numeric address, or an address of IPv6 without []";
    static const char local[] =
        "the local address is neither * nor numeric, or of IPv6 while NN_IPV4ONLY is on";
    static const struct {
        const char *address;
        int binds, error;
        const char *text;
    } wrong[] = {
        {"127.0.0.1:5555", 1, EINVAL, "the address has no scheme, as tcp:// is one"},
        {"", 0, EINVAL, "the address has no scheme, as tcp:// is one"},
        {"udp://127.0.0.1:5555", 0, EPROTONOSUPPORT,
         "the scheme is none of inproc, ipc, tcp, tls+tcp, unix, ws and wss"},
        {"tcp://127.0.0.1", 1, EINVAL, port},
        {"tcp://127.0.0.1:70000", 0, EINVAL, port},
        {"ws://127.0.0.1:http/x", 0, EINVAL, port},
        {"tcp://no_name:5555", 0, EINVAL, host},
        {"ws://:5555", 0, EINVAL, host},
        {"tcp://[::1]:5555", 0, EINVAL, "the host is an address of IPv6, and NN_IPV4ONLY is on"},
        {"tcp://eth99:5555", 1, ENODEV, local},
        {"tcp://eth99;127.0.0.1:5555", 0, ENODEV, local},
        {"ws://127.0.0.1:5555/a b", 0, EINVAL, "the path has a blank or a control character"},
        {"ipc://", 1, EINVAL, "the address has no name behind its scheme"},
    };
    int s = open_pair();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_ERRNO((wrong[i].binds ? nn_bind : nn_connect)(s, wrong[i].address), -1,
                    wrong[i].error);
        CHECK_STR(error_text(), wrong[i].text);
        CHECK_ERRNO((wrong[i].binds ? spmsg_bind : spmsg_connect)(s, wrong[i].address), -1,
                    wrong[i].error);
        CHECK_STR(error_text(), wrong[i].text);
    }
    /* It stays until another call fails, and other threads have their own. */
    char text[200] = "?";
    pthread_t thread;
    CHECK_OK(nn_bind(s, "inproc://fine"));
    CHECK_STR(error_text(), "the address has no name behind its scheme");
    CHECK_EQ(pthread_create(&thread, NULL, look_at_another_threads_error, text), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_STR(text, "");
    CHECK_ERRNO(nn_recv(s, text, sizeof text, NN_DONTWAIT), -1, EAGAIN);
    CHECK_STR(error_text(), nn_strerror(EAGAIN));
    CHECK_ERRNO(spmsg_error_text(NULL, 1), -1, EFAULT);
    CHECK_CLOSE(s);
}

struct printing {
    int (*function)(void);
    int end;
};

static int run_printing(void *argument)
{
    struct printing *printing = argument;
    setenv("NN_PRINT_ERRORS", "1", 1);
    dup2(printing->end, 2);
    return printing->function();
}

/* What a child prints. */
static const char *printed(int (*function)(void))
{
    static char text[4096];
    struct child child;
    size_t used = 0;
    ssize_t size;
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    struct printing printing = {function, ends[1]};
    child_start(&child, run_printing, &printing);
    close(ends[1]);
    while (used + 1 < sizeof text
           && (size = read(ends[0], text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)size;
    close(ends[0]);
    text[used] = 0;
    CHECK_EQ(child_wait(&child, 2 * PATIENCE_MS), 0);
    return text;
}

static struct url printed_url;

/* Some attempts, each of which fails in the same way. */
static int pair_wrongly(void)
{
    int pull = watched(NN_PULL), pub = open_socket(AF_SP, NN_PUB);
    int is_stream = strncmp(printed_url.text, "inproc", 6) != 0;
    set_int(pub, NN_RECONNECT_IVL, 5);
    CHECK_OK(nn_bind(pull, printed_url.text));
    CHECK_OK(nn_connect(pub, printed_url.text));
    for (int i = 0; i < (is_stream ? 5 : 1); i++)
        await_event(pull, SPMSG_EVENT_HANDSHAKE_FAILED);
    CHECK_CLOSE(pub, pull);
    return 0;
}

static void a_wrong_pairing_is_printed_once_by_each_side(void)
{
    for (size_t i = 0; i < 4; i++) {
        char expected[2][300];
        printed_url = unique_url(BEYOND_SCHEMES[i]);
        const char *place = strstr(printed_url.text, "://") + 3, *text = printed(pair_wrongly);
        snprintf(expected[0], sizeof expected[0],
                 "nanomsg: socket.0[%s]: Error: the peer is of type PUB, not PUSH\n", place);
        snprintf(expected[1], sizeof expected[1],
                 "nanomsg: socket.1[%s]: Error: the peer is of type PULL, not SUB\n", place);
        CHECK(strstr(text, expected[0]) != NULL);
        CHECK(strstr(text, expected[1]) != NULL);
        CHECK_EQ(strlen(text), strlen(expected[0]) + strlen(expected[1]));
    }
}

static int look_up_in_vain(void)
{
    int s = watched(NN_PAIR);
    set_int(s, NN_RECONNECT_IVL, 5);
    CHECK_OK(nn_connect(s, "tcp://name.invalid:5"));
    for (int i = 0; i < 3; i++)
        await_event(s, SPMSG_EVENT_CONNECT_FAILED);
    CHECK_CLOSE(s);
    return 0;
}

static void a_name_without_address_is_printed_once(void)
{
    CHECK_STR(printed(look_up_in_vain),
              "nanomsg: socket.0[name.invalid:5]: Error: the name has no address\n");
}

static int exceed_the_limit(void)
{
    static char big[LIMIT + 1];
    int pull = watched(NN_PULL), push = watched(NN_PUSH);
    set_int(pull, NN_RCVMAXSIZE, LIMIT);
    CHECK_OK(nn_bind(pull, printed_url.text));
    CHECK_OK(nn_connect(push, printed_url.text));
    CHECK_EQ(nn_send(push, big, sizeof big, 0), sizeof big);
    await_event(pull, SPMSG_EVENT_DISCONNECTED);
    await_event(push, SPMSG_EVENT_DISCONNECTED);
    CHECK_CLOSE(push, pull);
    return case_failed();
}

static void a_message_that_is_too_large_is_printed_with_its_size(void)
{
    for (size_t i = 1; i < 4; i++) {
        char expected[300];
        printed_url = unique_url(BEYOND_SCHEMES[i]);
        const char *place = strstr(printed_url.text, "://") + 3;
        const char *text = printed(exceed_the_limit);
        snprintf(expected, sizeof expected, "nanomsg: socket.0[%s]: Error: "
                 "the peer's message has 101 bytes, more than the 100 of NN_RCVMAXSIZE\n", place);
        CHECK(strstr(text, expected) != NULL);
        snprintf(expected, sizeof expected, "nanomsg: socket.1[%s]: Error: "
                 "a message is larger than the peer's NN_RCVMAXSIZE\n", place);
        CHECK_EQ(strstr(text, expected) != NULL, i == 3);
    }
}

int main(void)
{
    test_begin("beyond/reasons", 50);
    RUN(a_wrong_pairing_is_told_to_both);
    RUN(a_wrong_pairing_inside_is_told_once);
    RUN(a_message_that_is_too_large_is_told_with_its_size);
    RUN(a_size_beyond_all_is_told_as_the_largest_number);
    RUN(who_ended_it_is_told);
    RUN(a_name_without_address_is_told_and_counted);
    RUN(the_other_reasons_have_words);
    RUN(a_server_that_refuses_is_told_with_its_status);
    RUN(texts_are_cut_where_the_room_ends);
    RUN(a_malformed_address_says_which_part_is_wrong);
    RUN(a_wrong_pairing_is_printed_once_by_each_side);
    RUN(a_name_without_address_is_printed_once);
    RUN(a_message_that_is_too_large_is_printed_with_its_size);
    return test_end();
}
