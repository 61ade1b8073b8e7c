/* Headers given to types of socket that have none: they come in front of the body, and are body at
 * the peer (protocols 1 and 2.2, core 5.6). */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/message.h"
#include "support/raw-peer.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>

#include <string.h>
#include <unistd.h>

static const int HEADED[3][2] = {{NN_PAIR, NN_PAIR}, {NN_PUB, NN_SUB}, {NN_PUSH, NN_PULL}};

/* protocols 2.2, core 5.6 and 9, core-quirks: the header comes in front of the body,
 * and the body alone is counted. */
static void a_header_precedes_the_body_on_the_wire(void)
{
    for (size_t scheme = 1; scheme < COUNT_OF(SCHEMES); scheme++)
        for (unsigned i = 0; i < 6; i++) {
            struct url url = unique_url(SCHEMES[scheme]);
            int s = open_socket(DOMAINS[i % 2], HEADED[i / 2][0]);
            CHECK_OK(nn_bind(s, url.text));
            int fd = raw_join(s, url.text, HEADED[i / 2][1], HEADED[i / 2][0]);
            CHECK_EQ(send_message(s, "HEAD", 4, "body", 4, 0), 4);
            CHECK_WIRE(fd, url.text, "HEADbody", 8);
            CHECK_EQ(send_message(s, "\0\1\2", 3, NULL, 0, 0), 0);
            CHECK_WIRE(fd, url.text, "\0\1\2", 3);
            CHECK_EQ(send_message(s, "", 0, "bare", 4, 0), 4);
            CHECK_WIRE(fd, url.text, "bare", 4);
            CHECK_EQ(nn_get_statistic(s, NN_STAT_BYTES_SENT), 8);
            CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), 3);
            close(fd);
            CHECK_CLOSE(s);
        }
}

/* As above between two sockets: the peer sees it as body and never as header (protocols 1). */
static void a_header_becomes_body_at_the_peer(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++)
        for (unsigned i = 0; i < 12; i++) {
            struct url url = unique_url(SCHEMES[scheme]);
            int from = open_socket(DOMAINS[i % 2], HEADED[i / 4][0]);
            int to = open_socket(DOMAINS[i / 2 % 2], HEADED[i / 4][1]);
            struct message message;
            char got[16];
            if (HEADED[i / 4][1] == NN_SUB)
                subscribe(to, "HE");
            CHECK_OK(nn_bind(from, url.text));
            join(to, 0, from, 0, url.text);
            CHECK_EQ(send_message(from, "HEAD", 4, "body", 4, 0), 4);
            CHECK_TAKES(to, &message, "HEADbody");
            CHECK_EQ(message.header_size, 0);
            CHECK_EQ(send_message(from, "HEADHEADHEAD", 12, "", 0, 0), 0);
            CHECK_EQ(nn_recv(to, got, sizeof got, 0), 12);
            CHECK_MEM(got, "HEADHEADHEAD", 12);
            CHECK_EQ(nn_get_statistic(to, NN_STAT_BYTES_RECEIVED), 20);
            CHECK_EQ(nn_get_statistic(from, NN_STAT_BYTES_SENT), 4);
            CHECK_CLOSE(from, to);
        }
}

/* protocols 2.2 and 1: nothing of this is shown as header by types that have none. */
static void these_types_show_no_header(void)
{
    static const struct {
        struct nn_cmsghdr head;
        size_t size;
    } none = {{sizeof none, 1, 1}, 0};
    for (unsigned i = 0; i < 12; i++) {
        struct url url = unique_url("inproc");
        int from = open_socket(DOMAINS[i % 2], HEADED[i / 4][0]);
        int to = open_socket(DOMAINS[i / 2 % 2], HEADED[i / 4][1]);
        unsigned char control[40];
        char got[8];
        struct nn_iovec part = {got, sizeof got};
        struct nn_msghdr message = {&part, 1, control, sizeof none};
        if (HEADED[i / 4][1] == NN_SUB)
            subscribe(to, "");
        CHECK_OK(nn_bind(from, url.text));
        CHECK_OK(nn_connect(to, url.text));
        memset(control, 0xee, sizeof control);
        CHECK_SEND(from, "x");
        CHECK_EQ(nn_recvmsg(to, &message, 0), 1);
        CHECK_MEM(control, &none, sizeof none);
        CHECK_EQ(control[sizeof none], 0xee);
        CHECK_EQ(message.msg_controllen, sizeof none);
        /* One byte less, and nothing is written (core-quirks A-41). */
        memset(control, 0xee, sizeof control);
        message.msg_controllen = sizeof none - 1;
        CHECK_SEND(from, "x");
        CHECK_EQ(nn_recvmsg(to, &message, 0), 1);
        for (size_t k = 0; k < sizeof control; k++)
            CHECK_EQ(control[k], 0xee);
        CHECK_CLOSE(from, to);
    }
}

int main(void)
{
    test_begin("protocols/headers", 55);
    RUN(a_header_precedes_the_body_on_the_wire);
    RUN(a_header_becomes_body_at_the_peer);
    RUN(these_types_show_no_header);
    return test_end();
}
