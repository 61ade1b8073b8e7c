/* tls+tcp and wss: conversations, whom one believes, and everybody who speaks something else. The
 * authority is made on the spot, with openssl(1). */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/directory.h"
#include "support/ports.h"
#include "support/process.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BIG = 1000000 };

static const char *const ENCRYPTED[] = {"tls+tcp", "wss"};
#define EACH_ENCRYPTED(scheme) \
    for (const char *const *scheme = ENCRYPTED; scheme < ENCRYPTED + 2; scheme++)

/* A file that make_authority leaves. */
static const char *file(const char *name)
{
    static char paths[8][128];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", test_directory(), name);
    return path;
}

static void run(const char *command)
{
    char line[1024];
    snprintf(line, sizeof line, "cd '%s' && { %s; } >log 2>&1", test_directory(), command);
    REQUIRE(system(line) == 0);
}

#define KEY "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "

/* An authority, and certificates: good for this machine, good for another one, and one for which
 * nobody vouches. */
static void make_authority(void)
{
    run("openssl req -x509 " KEY "-keyout ca.key -out ca.pem -days 30 -subj /CN=ours");
    run("for name in here:DNS:localhost,IP:127.0.0.1 there:DNS:elsewhere.test; do"
        "  file=${name%%:*};"
        "  echo subjectAltName=${name#*:} >$file.ext;"
        "  openssl req " KEY "-keyout $file.key -out $file.csr -subj /CN=$file &&"
        "  openssl x509 -req -in $file.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30"
        "    -out $file.pem -extfile $file.ext || exit 1;"
        "done");
    run("openssl req -x509 " KEY "-keyout alone.key -out alone.pem -days 30 -subj /CN=alone"
        " -addext subjectAltName=IP:127.0.0.1");
}

static void set_text(int s, int option, const char *text)
{
    CHECK_EQ(nn_setsockopt(s, SPMSG_TLS, option, text, strlen(text)), 0);
}

static void set_number(int s, int option, int value)
{
    CHECK_EQ(nn_setsockopt(s, SPMSG_TLS, option, &value, sizeof value), 0);
}

/* It shows the certificate of that name. */
static void show(int s, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "%s.pem", name);
    set_text(s, SPMSG_TLS_CERTIFICATE, file(path));
    snprintf(path, sizeof path, "%s.key", name);
    set_text(s, SPMSG_TLS_KEY, file(path));
}

/* A socket that shows the certificate of that name where it listens, and trusts our authority. */
static int open_trusting(int type, const char *name)
{
    int s = open_socket(AF_SP, type);
    show(s, name);
    set_text(s, SPMSG_TLS_TRUST, file("ca.pem"));
    CHECK_OK(spmsg_events(s));
    return s;
}

/* The same address over tcp. */
static struct url beneath(const struct url *url)
{
    struct url plain;
    snprintf(plain.text, sizeof plain.text, "tcp://127.0.0.1:%d", port_of(url->text));
    return plain;
}

/* Whoever failed before may have tried again. */
static void check_failed(int s, unsigned found)
{
    struct spmsg_event event;
    do
        event = await_event(s, SPMSG_EVENT_HANDSHAKE_FAILED);
    while (event.type != -1 && event.found != found);
    CHECK_EQ(event.reason, SPMSG_REASON_TLS);
    CHECK_EQ(event.found, found);
    CHECK_EQ(event.error, EPROTO);
}

/* Somebody who is as he should be comes and talks to the PAIR that listens. */
static void check_next_is_fine(int s, const struct url *url)
{
    int next = open_trusting(NN_PAIR, "here");
    CHECK_OK(nn_connect(next, url->text));
    CHECK_TALK(s, next);
    CHECK_CLOSE(next);
    CHECK_PIPES(s, 0);
}

static char sent[BIG], received[BIG];

static void *send_big(void *s)
{
    CHECK_EQ(nn_send(*(int *)s, sent, BIG, 0), BIG);
    return NULL;
}

/* Both at once, so that neither can rely on the other to read first. */
static void big_messages_pass_each_other(void)
{
    for (int i = 0; i < BIG; i++)
        sent[i] = (char)(i * 7 % 251);
    EACH_ENCRYPTED(scheme) {
        int s[2] = {open_trusting(NN_PAIR, "here"), open_trusting(NN_PAIR, "here")};
        struct url url = listen_at(s[0], *scheme);
        CHECK_OK(nn_connect(s[1], url.text));
        for (int round = 0; round < 5; round++) {
            pthread_t threads[2];
            for (int i = 0; i < 2; i++)
                REQUIRE(pthread_create(&threads[i], NULL, send_big, &s[i]) == 0);
            for (int i = 0; i < 2; i++) {
                memset(received, 0, BIG);
                CHECK_EQ(nn_recv(s[i], received, BIG, 0), BIG);
                CHECK(memcmp(received, sent, BIG) == 0);
            }
            for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        }
        CHECK_CLOSE(s[0], s[1]);
    }
}

/* Messages of all sizes around those of records, and many in one record: each can be received, and
 * a poll says so, although the kernel has nothing left of them. */
static void what_is_decrypted_is_readable(void)
{
    static const int sizes[] = {0, 1, 100, 16375, 16376, 16377, 16384, 40000, 3};
    EACH_ENCRYPTED(scheme) {
        int to = open_trusting(NN_PAIR, "here"), from = open_trusting(NN_PAIR, "here");
        struct url url = listen_at(to, *scheme);
        CHECK_OK(nn_connect(from, url.text));
        for (int round = 0; round < 20; round++) {
            for (size_t i = 0; i < COUNT_OF(sizes); i++)
                CHECK_EQ(nn_send(from, sent, sizes[i], 0), sizes[i]);
            for (size_t i = 0; i < COUNT_OF(sizes); i++) {
                struct nn_pollfd ready = {to, NN_POLLIN, 0};
                if (round % 2)
                    CHECK_EQ(nn_poll(&ready, 1, PATIENCE_MS), 1);
                CHECK_EQ(nn_recv(to, received, BIG, 0), sizes[i]);
            }
        }
        CHECK_CLOSE(from, to);
    }
}

/* A client that streams and closes: nothing of it is lost. */
static void a_close_delivers(void)
{
    enum { COUNT = 5000 };
    EACH_ENCRYPTED(scheme) {
        int to = open_trusting(NN_PAIR, "here"), from = open_trusting(NN_PAIR, "here");
        struct url url = listen_at(to, *scheme);
        CHECK_OK(nn_connect(from, url.text));
        for (int i = 0; i < COUNT; i++)
            if (nn_send(from, &i, sizeof i, NN_DONTWAIT) != sizeof i) {
                CHECK_EQ(nn_send(from, &i, sizeof i, 0), sizeof i);
            }
        CHECK_CLOSE(from);
        for (int i = 0, got = -1; i < COUNT; i++) {
            CHECK_EQ(nn_recv(to, &got, sizeof got, 0), sizeof got);
            CHECK_EQ(got, i);
        }
        struct spmsg_event event = await_event(to, SPMSG_EVENT_DISCONNECTED);
        CHECK_EQ(event.reason, SPMSG_REASON_LEFT);
        CHECK_CLOSE(to);
    }
}

static void requests_and_topics(void)
{
    EACH_ENCRYPTED(scheme) {
        int rep = open_trusting(NN_REP, "here"), req = open_trusting(NN_REQ, "here");
        struct url url = listen_at(rep, *scheme);
        CHECK_OK(nn_connect(req, url.text));
        for (int i = 0; i < 100; i++) {
            CHECK_SEND(req, "question");
            CHECK_RECV(rep, "question");
            CHECK_SEND(rep, "answer");
            CHECK_RECV(req, "answer");
        }
        CHECK_CLOSE(rep, req);
        int pub = open_trusting(NN_PUB, "here"), sub = open_trusting(NN_SUB, "here");
        subscribe(sub, "a");
        url = listen_at(pub, *scheme);
        CHECK_OK(nn_connect(sub, url.text));
        CHECK_PIPES(pub, 1);
        CHECK_SEND(pub, "b is not for everybody");
        CHECK_SEND(pub, "a is");
        CHECK_RECV(sub, "a is");
        CHECK_CLOSE(pub, sub);
    }
}

/* Each side learns why, and whoever is as he should be is served then. */
static void who_is_not_believed_is_told(void)
{
    EACH_ENCRYPTED(scheme) {
        int s = open_trusting(NN_PAIR, "there");
        struct url url = listen_at(s, *scheme);
        int client = open_trusting(NN_PAIR, "here");
        CHECK_OK(nn_connect(client, url.text));
        check_failed(client, SPMSG_TLS_FAULT_WRONG_NAME);
        struct spmsg_event event = await_event(s, SPMSG_EVENT_HANDSHAKE_FAILED);
        CHECK_EQ(event.reason, SPMSG_REASON_TLS);
        CHECK(event.found > SPMSG_TLS_FAULT_ALERT);
        CHECK_CLOSE(client);
        /* The name that it is for will do. */
        client = open_trusting(NN_PAIR, "here");
        set_text(client, SPMSG_TLS_NAME, "elsewhere.test");
        CHECK_OK(nn_connect(client, url.text));
        CHECK_TALK(s, client);
        CHECK_CLOSE(client, s);
        s = open_trusting(NN_PAIR, "alone");
        url = listen_at(s, *scheme);
        client = open_trusting(NN_PAIR, "here");
        CHECK_OK(nn_connect(client, url.text));
        check_failed(client, SPMSG_TLS_FAULT_UNTRUSTED);
        CHECK_CLOSE(client);
        client = open_trusting(NN_PAIR, "here");
        set_number(client, SPMSG_TLS_VERIFY, SPMSG_TLS_VERIFY_NONE);
        CHECK_OK(nn_connect(client, url.text));
        CHECK_TALK(s, client);
        CHECK_CLOSE(client, s);
    }
}

static void a_listener_can_ask_for_certificates(void)
{
    EACH_ENCRYPTED(scheme) {
        int s = open_trusting(NN_PAIR, "here");
        set_number(s, SPMSG_TLS_VERIFY, SPMSG_TLS_VERIFY_REQUIRED);
        struct url url = listen_at(s, *scheme);
        int client = open_socket(AF_SP, NN_PAIR);
        set_text(client, SPMSG_TLS_TRUST, file("ca.pem"));
        CHECK_OK(nn_connect(client, url.text));
        check_failed(s, SPMSG_TLS_FAULT_NO_CERTIFICATE);
        CHECK_CLOSE(client);
        client = open_trusting(NN_PAIR, "alone");
        CHECK_OK(nn_connect(client, url.text));
        check_failed(s, SPMSG_TLS_FAULT_UNTRUSTED);
        CHECK_CLOSE(client);
        check_next_is_fine(s, &url);
        CHECK_CLOSE(s);
    }
}

/* What is no TLS, and TLS where none is expected. */
static void strangers_are_told_apart(void)
{
    EACH_ENCRYPTED(scheme) {
        int s = open_trusting(NN_PAIR, "here");
        struct url url = listen_at(s, *scheme), plain = beneath(&url);
        int pair = open_pair();
        CHECK_OK(nn_connect(pair, plain.text));
        check_failed(s, SPMSG_TLS_FAULT_NOT_TLS);
        CHECK_CLOSE(pair);
        static const char *const words[] = {"GET / HTTP/1.1\r\nHost: here\r\n\r\n", "\x16\x03\x01"
            "\xff\xff-------------------------------------------------------------------"};
        for (size_t i = 0; i < COUNT_OF(words); i++) {
            int fd = raw_connect(plain.text);
            raw_send(fd, words[i], strlen(words[i]));
            CHECK(raw_end(fd, PATIENCE_MS) != RAW_OPEN);
            check_failed(s, SPMSG_TLS_FAULT_NOT_TLS);
            close(fd);
        }
        /* Who leaves in the middle has only left. */
        int fd = raw_connect(plain.text);
        raw_send(fd, "\x16\x03\x01\x01", 4);
        close(fd);
        CHECK_EQ(await_event(s, SPMSG_EVENT_HANDSHAKE_FAILED).reason, SPMSG_REASON_TLS);
        check_next_is_fine(s, &url);
        CHECK_CLOSE(s);
        int bound = open_pair();
        plain = unique_url("tcp");
        CHECK_OK(nn_bind(bound, plain.text));
        int client = open_trusting(NN_PAIR, "here");
        snprintf(url.text, sizeof url.text, "%s://127.0.0.1:%d", *scheme, port_of(plain.text));
        CHECK_OK(nn_connect(client, url.text));
        CHECK_EQ(await_event(client, SPMSG_EVENT_HANDSHAKE_FAILED).reason, SPMSG_REASON_TLS);
        check_serves(bound, plain.text);
        CHECK_CLOSE(client, bound);
    }
}

/* Those who say nothing, or say it slowly, are in nobody's way, and are given up in the end. */
static void who_is_silent_is_given_up(void)
{
    int s = open_trusting(NN_PAIR, "here");
    struct url url = listen_at(s, "tls+tcp"), plain = beneath(&url);
    int silent[20];
    for (size_t i = 0; i < COUNT_OF(silent); i++) {
        silent[i] = raw_connect(plain.text);
        raw_send(silent[i], "\x16\x03\x01\x01\x00\x01", i % 6);
    }
    check_next_is_fine(s, &url);
    for (size_t i = 0; i < COUNT_OF(silent); i++) {
        CHECK(raw_end(silent[i], 3 * PATIENCE_MS) != RAW_OPEN);
        close(silent[i]);
        struct spmsg_event event = await_event(s, SPMSG_EVENT_HANDSHAKE_FAILED);
        CHECK_EQ(event.reason, SPMSG_REASON_TIMEOUT);
    }
    check_next_is_fine(s, &url);
    CHECK_CLOSE(s);
}

static int talk_until_killed(void *url)
{
    int s = open_trusting(NN_PAIR, "here");
    CHECK_OK(nn_connect(s, url));
    while (nn_send(s, "here", 4, 0) != 0)
        ;
    return 0;
}

/* A stream that ended is told from one that was cut off. */
static void who_is_killed_has_not_said_good_bye(void)
{
    EACH_ENCRYPTED(scheme) {
        struct child child;
        int s = open_trusting(NN_PAIR, "here");
        struct url url = listen_at(s, *scheme);
        child_start(&child, talk_until_killed, url.text);
        CHECK_RECV(s, "here");
        child_kill(&child);
        while (nn_recv(s, received, BIG, NN_DONTWAIT) >= 0 || !wait_stat(s,
               NN_STAT_CURRENT_CONNECTIONS, 0, 1))
            ;
        struct spmsg_event event = await_event(s, SPMSG_EVENT_DISCONNECTED);
        if (event.reason != SPMSG_REASON_SYSTEM) {
            CHECK_EQ(event.reason, SPMSG_REASON_TLS);
            CHECK_EQ(event.found, SPMSG_TLS_FAULT_TRUNCATED);
        }
        check_next_is_fine(s, &url);
        CHECK_CLOSE(s);
    }
}

static void what_cannot_be_used_is_refused_at_once(void)
{
    char text[64];
    size_t size = sizeof text;
    EACH_ENCRYPTED(scheme) {
        struct url url;
        snprintf(url.text, sizeof url.text, "%s://127.0.0.1:%d", *scheme, free_port());
        int s = open_socket(AF_SP, NN_PAIR);
        CHECK_ERRNO(nn_bind(s, url.text), -1, EINVAL);
        set_text(s, SPMSG_TLS_CERTIFICATE, "/nowhere/at/all.pem");
        CHECK_ERRNO(nn_bind(s, url.text), -1, ENOENT);
        char words[256];
        CHECK_OK(spmsg_error_text(words, sizeof words));
        CHECK(strstr(words, "SPMSG_TLS_CERTIFICATE") != NULL);
        show(s, "here");
        set_text(s, SPMSG_TLS_KEY, file("there.key"));
        CHECK_ERRNO(nn_bind(s, url.text), -1, EINVAL);
        set_text(s, SPMSG_TLS_TRUST, file("ca.key"));
        CHECK_ERRNO(nn_connect(s, url.text), -1, EINVAL);
        CHECK_ERRNO(nn_getsockopt(s, SPMSG_TLS, SPMSG_TLS_KEY, text, &size), -1, ENOPROTOOPT);
        set_text(s, SPMSG_TLS_NAME, "here.test");
        CHECK_OK(nn_getsockopt(s, SPMSG_TLS, SPMSG_TLS_NAME, text, &size));
        CHECK_MEM(text, "here.test", 10);
        int bad = 11;
        CHECK_ERRNO(nn_setsockopt(s, SPMSG_TLS, SPMSG_TLS_VERSION_MIN, &bad, sizeof bad), -1,
                    EINVAL);
        CHECK_CLOSE(s);
    }
}

/* A certificate that has changed is shown from then on, and who is there stays. */
static void certificates_can_be_changed(void)
{
    int s = open_trusting(NN_PAIR, "here");
    int many = 1;
    CHECK_OK(nn_setsockopt(s, NN_PAIR, SPMSG_PAIR_MANY, &many, sizeof many));
    run("cp there.pem now.pem && cp there.key now.key");
    show(s, "now");
    struct url url = listen_at(s, "tls+tcp");
    int old = open_trusting(NN_PAIR, "here");
    set_text(old, SPMSG_TLS_NAME, "elsewhere.test");
    CHECK_OK(nn_connect(old, url.text));
    CHECK_TALK(s, old);
    run("echo nothing >now.pem");
    CHECK_ERRNO(spmsg_tls_reload(s), -1, EINVAL);
    run("cp here.pem now.pem && cp here.key now.key");
    CHECK_OK(spmsg_tls_reload(s));
    CHECK_SEND(old, "still here");
    CHECK_RECV(s, "still here");
    CHECK_CLOSE(old);
    CHECK_PIPES(s, 0);
    check_next_is_fine(s, &url);
    CHECK_CLOSE(s);
    CHECK_ERRNO(spmsg_tls_reload(s), -1, EBADF);
}

/* A socket with two endpoints: what cannot be changed for one is not changed for the other. */
static void certificates_are_changed_everywhere_or_nowhere(void)
{
    int s = open_trusting(NN_PAIR, "here");
    run("cp there.pem now.pem && cp there.key now.key && cp ca.pem trust.pem");
    show(s, "now");
    set_text(s, SPMSG_TLS_TRUST, file("trust.pem"));
    struct url url = listen_at(s, "tls+tcp"), nowhere;
    snprintf(nowhere.text, sizeof nowhere.text, "tls+tcp://127.0.0.1:%d", free_port());
    CHECK_OK(nn_connect(s, nowhere.text));
    run("cp here.pem now.pem && cp here.key now.key && echo nothing >trust.pem");
    CHECK_ERRNO(spmsg_tls_reload(s), -1, EINVAL);
    int client = open_trusting(NN_PAIR, "here");
    set_text(client, SPMSG_TLS_NAME, "elsewhere.test");
    CHECK_OK(nn_connect(client, url.text));
    CHECK_TALK(s, client);
    CHECK_CLOSE(client, s);
}

/* A PAIR has its peer; another one is asked to wait, and goes on talking, more than is kept of it.
 * It loses its place, and nobody else notices. */
static void who_waits_and_goes_on_talking_is_let_go(void)
{
    int s = open_trusting(NN_PAIR, "here"), peer = open_trusting(NN_PAIR, "here");
    struct url url = listen_at(s, "wss");
    CHECK_OK(nn_connect(peer, url.text));
    CHECK_TALK(s, peer);
    FILE *words = fopen(file("words"), "w");
    REQUIRE(words != NULL);
    fprintf(words,
            "GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: pair.sp.nanomsg.org\r\n\r\n");
    for (int i = 0; i < 40000; i++)
        fputc('-', words);
    REQUIRE(fclose(words) == 0);
    char command[256];
    snprintf(command, sizeof command,
             "{ cat words; sleep 3; } | timeout 20 openssl s_client -quiet -nocommands"
             " -connect 127.0.0.1:%d || true",
             port_of(url.text));
    run(command);
    CHECK_EQ(await_event(s, SPMSG_EVENT_HANDSHAKE_FAILED).error, 0);
    CHECK_TALK(s, peer);
    CHECK_CLOSE(peer);
    CHECK_PIPES(s, 0);
    check_next_is_fine(s, &url);
    CHECK_CLOSE(s);
}

/* The file that the library under test was loaded from. */
static const char *library(void)
{
    static char line[1024];
    FILE *maps = fopen("/proc/self/maps", "r");
    char *path = NULL;
    while (maps && path == NULL && fgets(line, sizeof line, maps)) {
        path = strchr(line, '/');
        if (path && strstr(path, "/libspmsg.so") == NULL)
            path = NULL;
    }
    if (maps)
        fclose(maps);
    if (path)
        path[strcspn(path, "\n")] = 0;
    return path;
}

/* What the program does instead of its cases where what encrypts cannot be used. */
static int be_refused(void)
{
    EACH_ENCRYPTED(scheme) {
        char address[64], text[128];
        snprintf(address, sizeof address, "%s://127.0.0.1:%d", *scheme, free_port());
        int s = open_socket(AF_SP, NN_PAIR);
        CHECK_ERRNO(nn_bind(s, address), -1, EPROTONOSUPPORT);
        CHECK_OK(spmsg_error_text(text, sizeof text));
        CHECK(strstr(text, "libspmsg-tls") != NULL);
        CHECK_ERRNO(nn_connect(s, address), -1, EPROTONOSUPPORT);
        /* Nothing else is refused for that. */
        struct url plain = unique_url("tcp");
        CHECK_OK(nn_bind(s, plain.text));
        check_serves(s, plain.text);
        CHECK_CLOSE(s);
    }
    return case_failed();
}

/* Runs the program once more, with the library alone in a directory, or with `companion`. */
static void check_refused_beside(const char *companion)
{
    char command[2048], path[160], trace[160];
    snprintf(command, sizeof command, "rm -rf alone trace && mkdir alone && ln -s '%s' "
             "alone/libspmsg.so.0 && { [ -z '%s' ] || ln -s '%s' alone/libspmsg-tls.so.0; }",
             library(), companion, companion);
    run(command);
    snprintf(path, sizeof path, "LD_LIBRARY_PATH=%s", file("alone"));
    snprintf(trace, sizeof trace, "SPMSG_TRACE=%s", file("trace"));
    char *const words[] = {"/proc/self/exe", "refused", NULL};
    char *const environment[] = {path, trace, NULL};
    struct child child;
    child_exec(&child, words, environment);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    /* Two addresses, bound and connected to. */
    run("[ $(grep -c ' encryption .*words=libspmsg-tls' trace) = 4 ]");
    run("rm -r alone");
}

static void without_what_encrypts_only_that_is_refused(void)
{
    if (library() == NULL) {
        test_skip("where the library lies is not known");
        return;
    }
    check_refused_beside("");
    check_refused_beside(OF_ANOTHER_VERSION);
}

/* What the program does in the directory of the certificates: nobody vouches for the one shown. */
static int be_untrusted(void)
{
    EACH_ENCRYPTED(scheme) {
        int s = open_socket(AF_SP, NN_PAIR), client = open_socket(AF_SP, NN_PAIR);
        set_text(s, SPMSG_TLS_CERTIFICATE, "alone.pem");
        set_text(s, SPMSG_TLS_KEY, "alone.key");
        set_text(client, SPMSG_TLS_TRUST, "ca.pem");
        CHECK_OK(spmsg_events(s));
        CHECK_OK(spmsg_events(client));
        struct url url = listen_at(s, *scheme);
        CHECK_OK(nn_connect(client, url.text));
        check_failed(client, SPMSG_TLS_FAULT_UNTRUSTED);
        await_event(s, SPMSG_EVENT_HANDSHAKE_FAILED);
        CHECK_CLOSE(client, s);
    }
    return case_failed();
}

static void a_refused_certificate_is_printed_and_traced(void)
{
    char trace[160], directory[160];
    snprintf(trace, sizeof trace, "SPMSG_TRACE=%s", file("told"));
    snprintf(directory, sizeof directory, "%s", test_directory());
    char *const words[] = {"/proc/self/exe", "untrusted", directory, NULL};
    char *const environment[] = {"NN_PRINT_ERRORS=1", trace, NULL};
    struct child child;
    child_exec(&child, words, environment);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    /* By each side, over each transport. */
    run("[ $(grep -c 'socket=1 .* error=Tls number=6$' told) -ge 2 ]");
    run("[ $(grep -c 'socket=0 .* error=Tls number=[0-9]*$' told) -ge 2 ]");
    run("[ $(grep -c '^nanomsg: socket.1.*Error: nobody .*vouches' printed) -ge 2 ]");
    run("[ $(grep -c '^nanomsg: socket.0.*Error: ' printed) -ge 2 ]");
}

int main(int count, char **words)
{
    if (count == 3 && strcmp(words[1], "untrusted") == 0) {
        test_begin("beyond/tls", 20);
        REQUIRE(chdir(words[2]) == 0);
        REQUIRE(freopen("printed", "w", stderr) != NULL);
        return be_untrusted();
    }
    if (count == 2 && strcmp(words[1], "refused") == 0) {
        test_begin("beyond/tls", 20);
        return be_refused();
    }
    test_begin("beyond/tls", 110);
    make_authority();
    RUN(requests_and_topics);
    RUN(what_is_decrypted_is_readable);
    RUN(big_messages_pass_each_other);
    RUN(a_close_delivers);
    RUN(who_is_not_believed_is_told);
    RUN(a_listener_can_ask_for_certificates);
    RUN(a_refused_certificate_is_printed_and_traced);
    RUN(strangers_are_told_apart);
    RUN(who_is_silent_is_given_up);
    RUN(who_is_killed_has_not_said_good_bye);
    RUN(what_cannot_be_used_is_refused_at_once);
    RUN(certificates_can_be_changed);
    RUN(certificates_are_changed_everywhere_or_nowhere);
    RUN(who_waits_and_goes_on_talking_is_let_go);
    RUN(without_what_encrypts_only_that_is_refused);
    return test_end();
}
