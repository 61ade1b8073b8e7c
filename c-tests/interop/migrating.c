/* What doc/guide/migrating.md says of going from 0.x to 1.x: each line of its table that can be run
 * is a case of that name here, and holds on both libraries where the line says so. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <string.h>

static void pipelines_are_push_and_pull(void)
{
    int both[2];
    open_both(NN_PULL, NN_PUSH, "inproc", both);
    CHECK_EQ(nn_send(both[1], "work", 4, 0), 4);
    CHECK_RECV(both[0], "work");
    CHECK_CLOSE(both[0], both[1]);
#ifdef __has_include
#if __has_include(<nanomsg/fanin.h>) || __has_include(<nanomsg/fanout.h>)
    FAIL("the headers of 0.x are there");
#endif
#endif
#if defined NN_SOURCE || defined NN_SINK
    FAIL("the names of 0.x are there");
#endif
}

/* Not the bare header, but an entry with it. */
static void headers_of_raw_sockets_are_control_data(void)
{
    struct url url = unique_url("inproc");
    int rep = open_bound(AF_SP_RAW, NN_REP, url.text);
    int req = open_connected(AF_SP, NN_REQ, url.text);
    char body[8];
    void *control = NULL;
    struct nn_iovec part = {body, sizeof body};
    struct nn_msghdr message = {&part, 1, &control, NN_MSG};
    CHECK_EQ(nn_send(req, "ask", 3, 0), 3);
    CHECK_EQ(nn_recvmsg(rep, &message, 0), 3);
    struct nn_cmsghdr *entry = NN_CMSG_FIRSTHDR(&message);
    REQUIRE(entry != NULL);
    CHECK_EQ(entry->cmsg_level, PROTO_SP);
    CHECK_EQ(entry->cmsg_type, SP_HDR);
    size_t size;
    memcpy(&size, NN_CMSG_DATA(entry), sizeof size);
    /* The pipe that it came by, and the request. */
    CHECK_EQ(size, 8);
    CHECK(NN_CMSG_NXTHDR(&message, entry) == NULL);
    CHECK_EQ(nn_freemsg(control), 0);
    CHECK_CLOSE(rep, req);
}

static void the_end_of_a_survey_is_etimedout_once(void)
{
    int both[2], soon = 20;
    char byte;
    open_both(NN_RESPONDENT, NN_SURVEYOR, "inproc", both);
    CHECK_EQ(nn_setsockopt(both[1], NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &soon, sizeof soon), 0);
    CHECK_EQ(nn_send(both[1], "who", 3, 0), 3);
    CHECK_ERRNO(nn_recv(both[1], &byte, 1, 0), -1, ETIMEDOUT);
    CHECK_ERRNO(nn_recv(both[1], &byte, 1, 0), -1, EFSM);
    CHECK_CLOSE(both[0], both[1]);
}

static void there_is_no_tcpmux(void)
{
    int s = open_pair();
    CHECK_ERRNO(nn_bind(s, "tcpmux://127.0.0.1:5555"), -1, EPROTONOSUPPORT);
    CHECK_ERRNO(nn_connect(s, "tcpmux://127.0.0.1:5555"), -1, EPROTONOSUPPORT);
    CHECK_CLOSE(s);
}

/* Last, because it cannot be taken back. */
static void behind_a_term_only_opening_tells_it(void)
{
    int s = open_pair();
    char byte;
    nn_term();
    CHECK_ERRNO(nn_socket(AF_SP, NN_PAIR), -1, ETERM);
    CHECK_ERRNO(nn_send(s, "x", 1, NN_DONTWAIT), -1, EBADF);
    CHECK_ERRNO(nn_recv(s, &byte, 1, NN_DONTWAIT), -1, EBADF);
    CHECK_ERRNO(nn_bind(s, "inproc://none"), -1, EBADF);
}

int main(void)
{
    test_begin("interop/migrating", 25);
    RUN(pipelines_are_push_and_pull);
    RUN(headers_of_raw_sockets_are_control_data);
    RUN(the_end_of_a_survey_is_etimedout_once);
    RUN(there_is_no_tcpmux);
    RUN(behind_a_term_only_opening_tells_it);
    return test_end();
}
