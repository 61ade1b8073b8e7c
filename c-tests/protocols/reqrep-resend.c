/* REQ and several services: which of them gets a request, and when it is sent again. The services
 * are raw REP sockets, which see the id of each copy. */

#include "service.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/message.h"
#include "support/readiness.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>

#include <errno.h>
#include <stdint.h>

static void set_resend(int s, int ms)
{
    CHECK_EQ(nn_setsockopt(s, NN_REQ, NN_REQ_RESEND_IVL, &ms, sizeof ms), 0);
}

/* protocols 4.2: with two services the copies alternate, all with one id, none too early. */
static void a_request_is_resent_to_one_service_after_the_other(void)
{
    enum { INTERVAL_MS = 40 };
    struct url urls[2] = {unique_url("inproc"), unique_url("inproc")};
    struct message request;
    int services[2] = {open_service(urls[0].text), open_service(urls[1].text)};
    int req = open_req(urls[0].text);
    uint32_t id = 0;
    CHECK_OK(nn_connect(req, urls[1].text));
    set_resend(req, INTERVAL_MS);
    int64_t since = now_us();
    CHECK_SEND(req, "q");
    for (int copy = 0; copy < 6; copy++) {
        CHECK_TAKES(services[copy % 2], &request, "q");
        CHECK_NOT_EARLY(since, INTERVAL_MS * copy);
        id = copy ? id : id_of(&request);
        CHECK_EQ(id_of(&request), id);
    }
    answer(services[1], &request, "a");
    CHECK_RECV(req, "a");
    /* core 11: resends are not counted. */
    CHECK_EQ(nn_get_statistic(req, NN_STAT_MESSAGES_SENT), 1);
    CHECK_CLOSE(req, services[0], services[1]);
}

/* protocols 4.2: the reply stops the timer. */
static void an_answered_request_is_not_resent(int service, int req)
{
    struct message request;
    set_resend(req, 30);
    CHECK_SEND(req, "q");
    CHECK_TAKES(service, &request, "q");
    answer(service, &request, "a");
    /* A slow machine may have seen a copy or two by now; they end with the reply. */
    CHECK(wait_until(CAN_RECV(req), PATIENCE_MS));
    while (recv_message(service, &request, NN_DONTWAIT) >= 0)
        continue;
    nap_ms(100);
    CHECK_AGAIN(service);
    CHECK_RECV(req, "a");
    nap_ms(100);
    CHECK_AGAIN(service);
}

/* protocols 4.2: the first request goes to the first service, the next to the second. */
static void requests_go_round_the_services(void)
{
    struct url urls[3] = {unique_url("inproc"), unique_url("inproc"), unique_url("inproc")};
    struct message request;
    int services[3], req = open_socket(AF_SP, NN_REQ);
    for (int i = 0; i < 3; i++) {
        services[i] = open_service(urls[i].text);
        CHECK_OK(nn_connect(req, urls[i].text));
    }
    for (int i = 0; i < 9; i++) {
        CHECK_SEND(req, "q");
        CHECK_TAKES(services[i % 3], &request, "q");
        answer(services[i % 3], &request, "a");
        CHECK_RECV(req, "a");
    }
    CHECK_CLOSE(req);
    for (int i = 0; i < 3; i++)
        CHECK_CLOSE(services[i]);
}

/* protocols 2.4, core-quirks: a worse level only while no better one is there. */
static void the_better_service_is_asked_while_it_is_there(void)
{
    struct url better = unique_url("inproc"), worse = unique_url("inproc");
    struct message request;
    int good = open_service(better.text), bad = open_service(worse.text);
    int req = open_socket(AF_SP, NN_REQ);
    CHECK_EQ(nn_get_statistic(req, NN_STAT_CURRENT_SND_PRIORITY), 0);
    set_int(req, NN_SNDPRIO, 9);
    CHECK_OK(nn_connect(req, worse.text));
    CHECK_EQ(nn_get_statistic(req, NN_STAT_CURRENT_SND_PRIORITY), 9);
    set_int(req, NN_SNDPRIO, 2);
    CHECK_OK(nn_connect(req, better.text));
    CHECK_EQ(nn_get_statistic(req, NN_STAT_CURRENT_SND_PRIORITY), 2);
    for (int i = 0; i < 3; i++) {
        CHECK_SEND(req, "q");
        CHECK_TAKES(good, &request, "q");
        CHECK_AGAIN(bad);
    }
    CHECK_CLOSE(good);
    CHECK_TAKES(bad, &request, "q");
    CHECK_EQ(nn_get_statistic(req, NN_STAT_CURRENT_SND_PRIORITY), 9);
    CHECK_CLOSE(bad);
    CHECK_EQ(nn_get_statistic(req, NN_STAT_CURRENT_SND_PRIORITY), UINT64_MAX);
    CHECK_CLOSE(req);
}

/* protocols 4.2, SENT: "detach of P: hand over again at once (same id)" */
static void the_loss_of_the_service_resends_at_once(void)
{
    struct url one = unique_url("inproc"), two = unique_url("inproc");
    struct message first, second;
    int a = open_service(one.text), b = open_service(two.text), req = open_req(one.text);
    CHECK_OK(nn_connect(req, two.text));
    CHECK_SEND(req, "q");
    CHECK_TAKES(a, &first, "q");
    CHECK_AGAIN(b);
    CHECK_CLOSE(a);
    CHECK_TAKES(b, &second, "q");
    CHECK_EQ(id_of(&second), id_of(&first));
    answer(b, &second, "a");
    CHECK_RECV(req, "a");
    CHECK_CLOSE(req, b);
}

/* protocols 4.2: "A detached pipe other than P has no effect." */
static void the_loss_of_another_service_changes_nothing(void)
{
    struct url one = unique_url("inproc"), two = unique_url("inproc");
    struct message request;
    int a = open_service(one.text), b = open_service(two.text), req = open_req(one.text);
    CHECK_OK(nn_connect(req, two.text));
    CHECK_SEND(req, "q");
    CHECK_TAKES(a, &request, "q");
    CHECK_CLOSE(b);
    CHECK_PIPES(req, 1);
    CHECK_AGAIN(a);
    answer(a, &request, "a");
    CHECK_RECV(req, "a");
    CHECK_CLOSE(req, a);
}

/* protocols 4.2: with its last service gone the request waits again, and goes to the next. */
static void the_loss_of_the_last_service_makes_the_request_wait(void)
{
    struct url url = unique_url("inproc");
    struct message first, second;
    int service = open_service(url.text), req = open_req(url.text);
    CHECK_SEND(req, "q");
    CHECK_TAKES(service, &first, "q");
    for (int i = 0; i < 3; i++) {
        CHECK_CLOSE(service);
        CHECK_AGAIN(req);
        service = open_service(url.text);
        CHECK_TAKES(service, &second, "q");
        CHECK_EQ(id_of(&second), id_of(&first));
    }
    answer(service, &second, "a");
    CHECK_RECV(req, "a");
    CHECK_CLOSE(req, service);
}

/* protocols 4.2: "a late reply to the first copy is accepted after a resend" */
static void a_reply_to_an_earlier_copy_counts(void)
{
    struct url one = unique_url("inproc"), two = unique_url("inproc");
    struct message first, second;
    int a = open_service(one.text), b = open_service(two.text), req = open_req(one.text);
    CHECK_OK(nn_connect(req, two.text));
    set_resend(req, 20);
    CHECK_SEND(req, "q");
    CHECK_TAKES(a, &first, "q");
    CHECK_TAKES(b, &second, "q");
    answer(a, &first, "from a");
    CHECK_RECV(req, "from a");
    answer(b, &second, "from b");
    CHECK_ERRNO(nn_recv(req, NULL, 0, NN_DONTWAIT), -1, EFSM);
    CHECK_CLOSE(req, a, b);
}

/* protocols 12: the value is used from the next hand-over on. */
static void a_new_interval_serves_the_next_hand_over(int service, int req)
{
    struct message request;
    CHECK_SEND(req, "slow");
    CHECK_TAKES(service, &request, "slow");
    set_resend(req, 30);
    nap_ms(100);
    CHECK_AGAIN(service);
    CHECK_SEND(req, "fast");
    uint32_t id = 0;
    for (int copy = 0; copy < 3; copy++) {
        CHECK_TAKES(service, &request, "fast");
        id = copy ? id : id_of(&request);
        CHECK_EQ(id_of(&request), id);
    }
}

/* protocols 12: "0 and negative = never resend on a timer (resend on disconnect stays)" */
static void an_interval_below_one_means_never(void)
{
    static const int intervals[] = {0, -1, -60000};
    for (int i = 0; i < 3; i++) {
        struct url url = unique_url("inproc");
        struct message request;
        int service = open_service(url.text), req = open_req(url.text);
        set_resend(req, intervals[i]);
        CHECK_EQ(get_int(req, NN_REQ, NN_REQ_RESEND_IVL), intervals[i]);
        CHECK_SEND(req, "q");
        CHECK_TAKES(service, &request, "q");
        nap_ms(50);
        CHECK_AGAIN(service);
        CHECK_CLOSE(service);
        service = open_service(url.text);
        CHECK_TAKES(service, &request, "q");
        answer(service, &request, "a");
        CHECK_RECV(req, "a");
        CHECK_CLOSE(req, service);
    }
}

struct crew {
    const char *url;
    int number;
    int home;
};

/* Serves some requests and leaves in the middle of one, again and again. */
static void *come_and_go(void *argument)
{
    struct crew *crew = argument;
    int number;
    for (unsigned turn = (unsigned)crew->number; !__atomic_load_n(&crew->home, __ATOMIC_ACQUIRE);
         turn++) {
        int rep = open_connected(AF_SP, NN_REP, crew->url);
        set_int(rep, NN_RCVTIMEO, 100);
        for (unsigned served = 0; served < turn % 7; served++) {
            if (nn_recv(rep, &number, sizeof number, 0) != sizeof number)
                break;
            number = ~number;
            CHECK_EQ(nn_send(rep, &number, sizeof number, 0), sizeof number);
        }
        nn_recv(rep, &number, sizeof number, 0);
        CHECK_CLOSE(rep);
    }
    return NULL;
}

/* protocols 4.2, reliability P2: every request gets its reply, and no other, from services that
 * come and go; that a service has left is enough, the interval is far too long to help. Over inproc
 * the reference would die of it (reliability P1). */
static void every_request_is_answered_at_last(void)
{
    enum { CREWS = 3, REQUESTS = 200 };
    for (int i = reference() ? 1 : 0; i < 3; i++) {
        struct url url = unique_url(SCHEMES[i]);
        struct thread threads[CREWS];
        struct crew crews[CREWS];
        int req = open_bound(AF_SP, NN_REQ, url.text), number;
        for (int j = 0; j < CREWS; j++) {
            crews[j] = (struct crew){url.text, j, 0};
            thread_start(&threads[j], come_and_go, &crews[j]);
        }
        for (int j = 0; j < REQUESTS; j++) {
            CHECK_EQ(nn_send(req, &j, sizeof j, 0), sizeof j);
            REQUIRE(nn_recv(req, &number, sizeof number, 0) == sizeof number);
            CHECK_EQ(number, ~j);
        }
        for (int j = 0; j < CREWS; j++)
            __atomic_store_n(&crews[j].home, 1, __ATOMIC_RELEASE);
        for (int j = 0; j < CREWS; j++)
            thread_join(&threads[j]);
        CHECK_EQ(nn_get_statistic(req, NN_STAT_MESSAGES_SENT), REQUESTS);
        CHECK_CLOSE(req);
    }
}

int main(void)
{
    test_begin("protocols/reqrep-resend", 58);
    RUN(a_request_is_resent_to_one_service_after_the_other);
    RUN_WITH(with_service, an_answered_request_is_not_resent);
    RUN(requests_go_round_the_services);
    RUN(the_better_service_is_asked_while_it_is_there);
    RUN(the_loss_of_the_service_resends_at_once);
    RUN(the_loss_of_another_service_changes_nothing);
    RUN(the_loss_of_the_last_service_makes_the_request_wait);
    RUN(a_reply_to_an_earlier_copy_counts);
    RUN_WITH(with_service, a_new_interval_serves_the_next_hand_over);
    RUN(an_interval_below_one_means_never);
    RUN(every_request_is_answered_at_last);
    return test_end();
}
