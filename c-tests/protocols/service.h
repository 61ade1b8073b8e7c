/* A raw REP or RESPONDENT, which sees all that is asked and answers what it likes. */

#ifndef SPMSG_PROTOCOLS_SERVICE_H
#define SPMSG_PROTOCOLS_SERVICE_H

#include "support/address.h"
#include "support/check.h"
#include "support/message.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>

#include <stdint.h>

static inline int open_req(const char *url)
{
    return open_connected(AF_SP, NN_REQ, url);
}

static inline int open_service(const char *url)
{
    return open_bound(AF_SP_RAW, NN_REP, url);
}

/* The subject of most cases: a service, and a REQ that is connected to it. */
static inline void with_service(void (*function)(int service, int req))
{
    struct url url = unique_url("inproc");
    int service = open_service(url.text), req = open_req(url.text);
    function(service, req);
    CHECK_CLOSE(req, service);
}

/* Each of many questions is handed over, although nobody waits for its answers any more. */
static inline void check_quick_succession(int asker, int answerer)
{
    struct message question;
    uint32_t first = 0;
    for (int i = 0; i < 100; i++)
        CHECK_SEND(asker, "q");
    for (uint32_t i = 0; i < 100; i++) {
        CHECK_TAKES(answerer, &question, "q");
        first = i ? first : id_of(&question);
        CHECK_EQ(id_of(&question), (first + i) | TOP_BIT);
    }
    answer(answerer, &question, "a");
    CHECK_RECV(asker, "a");
}

#endif
