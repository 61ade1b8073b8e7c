/* tls+tcp and wss: who a peer is, whom one believes, and what one is told about it. Authority and
 * certificates are made on the spot, with openssl(1); strangers are Python's and OpenSSL's. */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/directory.h"
#include "support/ports.h"
#include "support/process.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *const ENCRYPTED[] = {"tls+tcp", "wss"};
#define EACH_ENCRYPTED(scheme) \
    for (const char *const *scheme = ENCRYPTED; scheme < ENCRYPTED + 2; scheme++)

/* The directory of another process that is a part of the test, in that. */
static const char *directory;

/* A file in the directory of the test. */
static const char *file(const char *name)
{
    static char paths[8][128];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", directory ? directory : test_directory(), name);
    return path;
}

static int succeeds(const char *command)
{
    char line[2048];
    snprintf(line, sizeof line, "cd '%s' && { %s; } >log 2>&1", test_directory(), command);
    return system(line) == 0;
}

static void run(const char *command)
{
    if (!succeeds(command)) {
        char line[256];
        FILE *log = fopen(file("log"), "r");
        while (log && fgets(line, sizeof line, log))
            fputs(line, stdout);
        REQUIRE(!"a command fails");
    }
}

/* The first line of what a command says. */
static const char *said(const char *command)
{
    static char lines[4][1024];
    static int next;
    char *line = lines[next++ % 4];
    run(command);
    FILE *log = fopen(file("log"), "r");
    REQUIRE(log != NULL);
    REQUIRE(fgets(line, sizeof lines[0], log) != NULL);
    fclose(log);
    line[strcspn(line, "\n")] = 0;
    return line;
}

#define KEY "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
#define VOUCH "openssl ca -batch -config ca.cnf -notext "

/* An authority that keeps books, and whom it vouches for: here, a guest, somebody elsewhere,
 * somebody whose time is over, or has not come, and somebody whom it has revoked. */
static void make_authority(void)
{
    run("openssl req -x509 " KEY "-keyout ca.key -out ca.pem -days 30 -subj /CN=ours");
    run("cat >ca.cnf <<END\n"
        "[ca]\ndefault_ca=ours\n[ours]\ndatabase=index\nserial=serial\ncrlnumber=number\n"
        "new_certs_dir=.\ncertificate=ca.pem\nprivate_key=ca.key\ndefault_md=sha256\n"
        "policy=any\ncopy_extensions=copy\nunique_subject=no\ndefault_crl_days=30\n"
        "default_days=30\ncrl_extensions=lists\n"
        "[any]\ncommonName=supplied\norganizationName=optional\n"
        "[lists]\nauthorityKeyIdentifier=keyid:always\n"
        "END\n"
        "touch index; echo 1000 >serial; echo 01 >number");
    run("for name in here guest there expired early revoked; do"
        "  names=DNS:localhost,IP:127.0.0.1,URI:spiffe://ours/$name; subject=/O=Us,\\ too/CN=$name;"
        "  [ $name = there ] && names=DNS:elsewhere.test;"
        "  openssl req " KEY "-keyout $name.key -out $name.csr -subj \"$subject\""
        "    -addext subjectAltName=$names || exit 1;"
        "  dates=;"
        "  [ $name = expired ] && dates='-startdate 20200101000000Z -enddate 20200201000000Z';"
        "  [ $name = early ] && dates='-startdate 20900101000000Z -enddate 20900201000000Z';"
        "  " VOUCH "-in $name.csr -out $name.pem $dates || exit 1;"
        "done");
    run("openssl ca -config ca.cnf -gencrl -out none.crl &&"
        " openssl ca -config ca.cnf -gencrl -crl_lastupdate 20200101000000Z"
        "   -crl_nextupdate 20200201000000Z -out old.crl &&"
        " openssl ca -config ca.cnf -revoke revoked.pem &&"
        " openssl ca -config ca.cnf -gencrl -out some.crl");
    run("openssl req -x509 " KEY "-keyout alone.key -out alone.pem -days 30 -subj /CN=alone"
        " -addext subjectAltName=IP:127.0.0.1");
}

static void set_text(int s, int option, const char *text)
{
    CHECK_EQ(nn_setsockopt(s, SPMSG_TLS, option, text, strlen(text)), 0);
}

static void set_number(int s, int level, int option, int value)
{
    CHECK_EQ(nn_setsockopt(s, level, option, &value, sizeof value), 0);
}

static void show(int s, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "%s.pem", name);
    set_text(s, SPMSG_TLS_CERTIFICATE, file(path));
    snprintf(path, sizeof path, "%s.key", name);
    set_text(s, SPMSG_TLS_KEY, file(path));
}

/* A PAIR that shows the certificate of that name, or none, trusts our authority, and verifies as
 * asked for. */
static int open_as(const char *name, int verify)
{
    int s = open_socket(AF_SP, NN_PAIR);
    if (name)
        show(s, name);
    set_text(s, SPMSG_TLS_TRUST, file("ca.pem"));
    set_number(s, SPMSG_TLS, SPMSG_TLS_VERIFY, verify);
    set_number(s, NN_SOL_SOCKET, NN_RECONNECT_IVL, 20);
    CHECK_OK(spmsg_events(s));
    return s;
}

/* The next event of that type, and the certificate with it. */
static struct spmsg_event await_certified(int s, int type, char *certificate)
{
    struct spmsg_event event = {.type = -1};
    struct pollfd ready = {spmsg_events(s), POLLIN, 0};
    do {
        CHECK_EQ(poll(&ready, 1, PATIENCE_MS), 1);
        int length = spmsg_next_event_certificate(s, &event, certificate, SPMSG_CERTIFICATE_MAX);
        CHECK_EQ(length, (int)strlen(certificate));
    } while (event.type != type && event.type != -1);
    CHECK_EQ(event.type, type);
    return event;
}

static struct spmsg_event await_failure(int s)
{
    char certificate[SPMSG_CERTIFICATE_MAX] = "";
    struct spmsg_event event = await_certified(s, SPMSG_EVENT_HANDSHAKE_FAILED, certificate);
    CHECK_EQ(event.reason, SPMSG_REASON_TLS);
    CHECK_EQ(event.error, EPROTO);
    return event;
}

static void check_words(const struct spmsg_event *event, const char *expected)
{
    char text[256];
    CHECK_OK(spmsg_event_text(event, text, sizeof text));
    if (strstr(text, expected) == NULL)
        printf("it says: %s\n", text);
    CHECK(strstr(text, expected) != NULL);
}

/* What OpenSSL says of the certificate of that name is what `told` says. */
static void check_identity(const char *told, const char *name)
{
    char command[256], value[SPMSG_CERTIFICATE_MAX], uri[64];
    snprintf(command, sizeof command,
             "openssl x509 -in %s.pem -outform DER | openssl dgst -sha256 -r", name);
    const char *digest = said(command);
    CHECK_EQ(spmsg_certificate_field(told, SPMSG_CERTIFICATE_SHA256, 0, value, sizeof value), 64);
    CHECK(strncmp(digest, value, 64) == 0);
    snprintf(command, sizeof command, "openssl x509 -in %s.pem -noout -subject -nameopt RFC2253",
             name);
    const char *subject = said(command);
    CHECK_OK(spmsg_certificate_field(told, SPMSG_CERTIFICATE_SUBJECT, 0, value, sizeof value));
    CHECK(strncmp(subject, "subject=", 8) == 0 && strcmp(subject + 8, value) == 0);
    snprintf(uri, sizeof uri, "URI:spiffe://ours/%s", name);
    const char *const names[] = {"DNS:localhost", "IP:127.0.0.1", uri};
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(spmsg_certificate_field(told, SPMSG_CERTIFICATE_NAME, i, value, sizeof value),
                 (int)strlen(names[i]));
        CHECK(strcmp(value, names[i]) == 0);
    }
    CHECK_ERRNO(spmsg_certificate_field(told, SPMSG_CERTIFICATE_NAME, 3, value, sizeof value), -1,
                EINVAL);
    CHECK(strncmp(told, "sha256=", 7) == 0 && told[strlen(told) - 1] == '\n');
}

/* Receives a message, and stores the certificate that is told with it; says how many are, and
 * checks that nothing stands behind it but headers. */
static int receive(int s, char *certificate)
{
    void *body = NULL, *control = NULL;
    struct nn_iovec piece = {&body, NN_MSG};
    struct nn_msghdr message = {&piece, 1, &control, NN_MSG};
    int found = 0;
    CHECK_OK(nn_recvmsg(s, &message, 0));
    nn_freemsg(body);
    struct nn_msghdr view = {NULL, 0, &control, NN_MSG};
    struct nn_cmsghdr *entry = NN_CMSG_FIRSTHDR(&view);
    for (; entry; entry = NN_CMSG_NXTHDR(&view, entry)) {
        int is_ours = entry->cmsg_level == SPMSG_CONTROL;
        if (found)
            CHECK(is_ours && entry->cmsg_type == SPMSG_PEER_HEADERS);
        if (is_ours && entry->cmsg_type == SPMSG_PEER_CERTIFICATE) {
            const char *text = (const char *)NN_CMSG_DATA(entry);
            size_t room = entry->cmsg_len - sizeof *entry, length = strnlen(text, room);
            CHECK(length < room && length < SPMSG_CERTIFICATE_MAX);
            snprintf(certificate, SPMSG_CERTIFICATE_MAX, "%s", text);
            found++;
        }
    }
    nn_freemsg(control);
    return found;
}

/* Each end knows the other one, with its messages and with its coming and going. */
static void peers_are_known_by_their_certificates(void)
{
    char told[SPMSG_CERTIFICATE_MAX];
    EACH_ENCRYPTED(scheme) for (int info = 1; info <= 2; info++) {
        int s = open_as("here", SPMSG_TLS_VERIFY_REQUIRED);
        int client = open_as("guest", SPMSG_TLS_VERIFY_REQUIRED);
        set_number(s, NN_SOL_SOCKET, SPMSG_PEER_INFO, info);
        set_number(client, NN_SOL_SOCKET, SPMSG_PEER_INFO, info);
        struct url url = listen_at(s, *scheme);
        CHECK_OK(nn_connect(client, url.text));
        for (int i = 0; i < 2; i++) {
            CHECK_SEND(client, "who are you?");
            CHECK_EQ(receive(s, told), 1);
            check_identity(told, "guest");
            CHECK_SEND(s, "and you?");
            CHECK_EQ(receive(client, told), 1);
            check_identity(told, "here");
        }
        struct spmsg_event event = await_certified(client, SPMSG_EVENT_CONNECTED, told);
        check_identity(told, "here");
        event = await_certified(s, SPMSG_EVENT_CONNECTED, told);
        CHECK(event.number != 0);
        check_identity(told, "guest");
        CHECK_CLOSE(client);
        event = await_certified(s, SPMSG_EVENT_DISCONNECTED, told);
        check_identity(told, "guest");
        /* Whoever reads events without it misses nothing else. */
        client = open_as("guest", SPMSG_TLS_VERIFY_REQUIRED);
        CHECK_OK(nn_connect(client, url.text));
        CHECK_EQ(next_event(s).type, SPMSG_EVENT_CONNECTED);
        CHECK_CLOSE(client, s);
    }
}

/* There is nothing where the peer has shown none, and where nothing is encrypted. */
static void who_shows_nothing_has_no_name(void)
{
    static const char *const schemes[] = {"tls+tcp", "wss", "tcp", "ws"};
    char told[SPMSG_CERTIFICATE_MAX] = "before";
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        int s = open_as("here", SPMSG_TLS_VERIFY_OPTIONAL);
        int client = open_as(NULL, SPMSG_TLS_VERIFY_REQUIRED);
        set_number(s, NN_SOL_SOCKET, SPMSG_PEER_INFO, 1);
        struct url url = listen_at(s, schemes[i]);
        CHECK_OK(nn_connect(client, url.text));
        CHECK_SEND(client, "nobody");
        CHECK_EQ(receive(s, told), 0);
        await_certified(s, SPMSG_EVENT_CONNECTED, told);
        CHECK(strcmp(told, "") == 0);
        CHECK_CLOSE(client, s);
    }
}

static void what_is_asked_wrongly_is_refused(void)
{
    static const char text[] = "sha256=00\nsubject=CN=a\nname=DNS:b\nname=DNS:c\n";
    char value[8] = "before";
    struct spmsg_event event;
    CHECK_EQ(spmsg_certificate_field(text, SPMSG_CERTIFICATE_NAME, 1, value, 3), 5);
    CHECK(strcmp(value, "DN") == 0);
    CHECK_EQ(spmsg_certificate_field(text, SPMSG_CERTIFICATE_SUBJECT, 0, NULL, 0), 4);
    CHECK_ERRNO(spmsg_certificate_field(text, SPMSG_CERTIFICATE_SUBJECT, 1, NULL, 0), -1, EINVAL);
    CHECK_ERRNO(spmsg_certificate_field(text, SPMSG_CERTIFICATE_NAME, -1, NULL, 0), -1, EINVAL);
    CHECK_ERRNO(spmsg_certificate_field(text, 0, 0, NULL, 0), -1, EINVAL);
    CHECK_ERRNO(spmsg_certificate_field(text, 4, 0, NULL, 0), -1, EINVAL);
    CHECK_ERRNO(spmsg_certificate_field("", SPMSG_CERTIFICATE_SHA256, 0, NULL, 0), -1, EINVAL);
    CHECK_ERRNO(spmsg_certificate_field(NULL, SPMSG_CERTIFICATE_SHA256, 0, NULL, 0), -1, EFAULT);
    CHECK_ERRNO(spmsg_certificate_field(text, SPMSG_CERTIFICATE_NAME, 0, NULL, 1), -1, EFAULT);
    int s = open_as("here", SPMSG_TLS_VERIFY_NONE), client = open_as(NULL, SPMSG_TLS_VERIFY_NONE);
    CHECK_ERRNO(spmsg_next_event_certificate(s, &event, value, sizeof value), -1, EAGAIN);
    struct url url = listen_at(s, "tls+tcp");
    CHECK_OK(nn_connect(client, url.text));
    CHECK_TALK(s, client);
    CHECK_ERRNO(spmsg_next_event_certificate(client, NULL, value, sizeof value), -1, EFAULT);
    CHECK_ERRNO(spmsg_next_event_certificate(client, &event, NULL, 1), -1, EFAULT);
    /* The event is still there. */
    CHECK_AT_LEAST(spmsg_next_event_certificate(client, &event, value, sizeof value), 64);
    CHECK_EQ(event.type, SPMSG_EVENT_CONNECTED);
    CHECK(strcmp(value, "sha256=") == 0);
    CHECK_CLOSE(client, s);
    CHECK_ERRNO(spmsg_next_event_certificate(s, &event, value, sizeof value), -1, EBADF);
}

/* Both ends, with all three ways, and everybody who may come. */
static void verification_is_what_it_is_set_to(void)
{
    static const struct {
        int verify;
        const char *shown;
        int fault; /* of who verifies */
    } cases[] = {
        {SPMSG_TLS_VERIFY_NONE, NULL, 0},
        {SPMSG_TLS_VERIFY_NONE, "alone", 0},
        {SPMSG_TLS_VERIFY_OPTIONAL, NULL, 0},
        {SPMSG_TLS_VERIFY_OPTIONAL, "guest", 0},
        {SPMSG_TLS_VERIFY_OPTIONAL, "alone", SPMSG_TLS_FAULT_UNTRUSTED},
        {SPMSG_TLS_VERIFY_OPTIONAL, "expired", SPMSG_TLS_FAULT_EXPIRED},
        {SPMSG_TLS_VERIFY_REQUIRED, NULL, SPMSG_TLS_FAULT_NO_CERTIFICATE},
        {SPMSG_TLS_VERIFY_REQUIRED, "guest", 0},
        {SPMSG_TLS_VERIFY_REQUIRED, "alone", SPMSG_TLS_FAULT_UNTRUSTED},
        {SPMSG_TLS_VERIFY_REQUIRED, "expired", SPMSG_TLS_FAULT_EXPIRED},
        {SPMSG_TLS_VERIFY_REQUIRED, "early", SPMSG_TLS_FAULT_NOT_YET_VALID},
    };
    EACH_ENCRYPTED(scheme) for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (int listens = 0; listens < 2; listens++) {
            /* Who listens has to show something. */
            if (!listens && cases[i].shown == NULL)
                continue;
            int judge = open_as("here", cases[i].verify);
            int other = open_as(cases[i].shown, SPMSG_TLS_VERIFY_NONE);
            struct url url = listen_at(listens ? judge : other, *scheme);
            CHECK_OK(nn_connect(listens ? other : judge, url.text));
            if (cases[i].fault == 0) {
                CHECK_TALK(judge, other);
            } else {
                struct spmsg_event event = await_failure(judge);
                CHECK_EQ(event.found, (unsigned)cases[i].fault);
                check_words(&event, "the peer");
                /* The other one is told by an alert. */
                event = await_failure(other);
                CHECK(event.found > SPMSG_TLS_FAULT_ALERT);
                check_words(&event, "the peer refuses with alert");
            }
            CHECK_CLOSE(judge, other);
        }
    }
}

/* Both say why in words: who judges, and who is judged. */
static void an_alert_has_words(void)
{
    int s = open_as("expired", SPMSG_TLS_VERIFY_NONE);
    struct url url = listen_at(s, "tls+tcp");
    int client = open_as(NULL, SPMSG_TLS_VERIFY_REQUIRED);
    CHECK_OK(nn_connect(client, url.text));
    struct spmsg_event event = await_failure(client);
    check_words(&event, "the peer's certificate has expired");
    event = await_failure(s);
    check_words(&event, "the peer refuses with alert 45 of TLS: certificate expired");
    CHECK_CLOSE(client, s);
}

static pthread_mutex_t heard_lock = PTHREAD_MUTEX_INITIALIZER;
static char heard[65536];

static void hear(void *argument, int level, int s, int endpoint, const char *text)
{
    (void)argument, (void)level, (void)s, (void)endpoint;
    pthread_mutex_lock(&heard_lock);
    size_t length = strlen(heard);
    snprintf(heard + length, sizeof heard - length, "%s\n", text);
    pthread_mutex_unlock(&heard_lock);
}

static void check_heard(const char *words)
{
    pthread_mutex_lock(&heard_lock);
    int is_there = strstr(heard, words) != NULL;
    if (!is_there)
        printf("not said: %s\n%s", words, heard);
    pthread_mutex_unlock(&heard_lock);
    CHECK(is_there);
}

/* Who has come, and why somebody did not; and no key. */
static void the_trace_tells_it_too(void)
{
    EACH_ENCRYPTED(scheme) {
        heard[0] = 0;
        CHECK_OK(spmsg_log(hear, NULL));
        int s = open_as("here", SPMSG_TLS_VERIFY_REQUIRED);
        struct url url = listen_at(s, *scheme);
        int client = open_as("alone", SPMSG_TLS_VERIFY_REQUIRED);
        CHECK_OK(nn_connect(client, url.text));
        await_failure(s);
        await_failure(client);
        CHECK_CLOSE(client);
        client = open_as("guest", SPMSG_TLS_VERIFY_REQUIRED);
        CHECK_OK(nn_connect(client, url.text));
        CHECK_TALK(s, client);
        set_text(client, SPMSG_TLS_KEY, file("here.key"));
        CHECK_ERRNO(nn_connect(client, url.text), -1, EINVAL);
        CHECK_CLOSE(client, s);
        CHECK_OK(spmsg_log(NULL, NULL));
        check_heard("subject=O=Us\\\\,\\x20too,CN=guest");
        check_heard("name=URI:spiffe://ours/here");
        check_heard("words=invalid\\x20peer\\x20certificate:\\x20");
        check_heard("words=received\\x20fatal\\x20alert");
        check_heard("words=key:\\x20it\\x20does\\x20not\\x20belong");
        CHECK(strstr(heard, "PRIVATE") == NULL);
    }
}

static char *content(const char *name, char *bytes, size_t size)
{
    FILE *from = fopen(file(name), "r");
    REQUIRE(from != NULL);
    size_t length = fread(bytes, 1, size - 1, from);
    REQUIRE(length < size - 1);
    bytes[length] = 0;
    fclose(from);
    return bytes;
}

/* Whom one trusts: a file, a directory, memory, the system. What one shows: files, memory. */
static void trust_is_in_many_places(void)
{
    static char bytes[16384];
    run("mkdir -p trust/below && cp ca.pem trust/below/ours && echo nobody >trust/README");
    EACH_ENCRYPTED(scheme) {
        int s = open_as(NULL, SPMSG_TLS_VERIFY_REQUIRED);
        set_text(s, SPMSG_TLS_CERTIFICATE, content("here.pem", bytes, sizeof bytes));
        set_text(s, SPMSG_TLS_KEY, content("here.key", bytes, sizeof bytes));
        run("cp alone.pem trust/alone.pem");
        set_text(s, SPMSG_TLS_TRUST, file("trust"));
        struct url url = listen_at(s, *scheme);
        int client = open_as("guest", SPMSG_TLS_VERIFY_REQUIRED);
        set_text(client, SPMSG_TLS_TRUST, content("ca.pem", bytes, sizeof bytes));
        CHECK_OK(nn_connect(client, url.text));
        CHECK_EQ(await_failure(s).found, SPMSG_TLS_FAULT_UNTRUSTED);
        /* As openssl-rehash(1) leaves it. */
        run("ln -sf below/ours trust/12345678.0 && ln -sf below/ours trust/12345678.1");
        CHECK_OK(spmsg_tls_reload(s));
        CHECK_TALK(s, client);
        CHECK_CLOSE(client);
        run("rm trust/12345678.*");
        /* The environment says where the system's are. */
        setenv("SSL_CERT_FILE", file("ca.pem"), 1);
        client = open_as("guest", SPMSG_TLS_VERIFY_REQUIRED);
        set_text(client, SPMSG_TLS_TRUST, "");
        CHECK_OK(nn_connect(client, url.text));
        CHECK_TALK(s, client);
        CHECK_CLOSE(client);
        unsetenv("SSL_CERT_FILE");
        setenv("SSL_CERT_FILE", file("alone.pem"), 1);
        client = open_as("guest", SPMSG_TLS_VERIFY_REQUIRED);
        set_text(client, SPMSG_TLS_TRUST, "");
        CHECK_OK(nn_connect(client, url.text));
        CHECK_EQ(await_failure(client).found, SPMSG_TLS_FAULT_UNTRUSTED);
        unsetenv("SSL_CERT_FILE");
        CHECK_CLOSE(client, s);
    }
}

/* Lists of what is revoked, on both ends: revoked, not, not known, and not known any more. */
static void revocations_are_heeded(void)
{
    static const struct {
        const char *list, *shown;
        int fault;
        const char *words;
    } cases[] = {
        {"some.crl", "revoked", SPMSG_TLS_FAULT_REVOKED, "has been revoked"},
        {"some.crl", "guest", 0, NULL},
        {"none.crl", "revoked", 0, NULL},
        {"old.crl", "guest", SPMSG_TLS_FAULT_OLD_REVOCATIONS, "is out of date"},
        {"others.crl", "guest", SPMSG_TLS_FAULT_NO_REVOCATIONS, "has no list"},
        {"lists", "revoked", SPMSG_TLS_FAULT_REVOKED, "has been revoked"},
        {"lists", "guest", 0, NULL},
    };
    run("mkdir -p others && cd others && cp ../ca.cnf . && touch index && echo 01 >number &&"
        " openssl req -x509 " KEY "-keyout ca.key -out ca.pem -days 30 -subj /CN=others &&"
        " openssl ca -config ca.cnf -gencrl -out ../others.crl");
    run("mkdir -p lists && cp some.crl others.crl lists");
    EACH_ENCRYPTED(scheme) for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (int listens = 0; listens < 2; listens++) {
            int judge = open_as("here", SPMSG_TLS_VERIFY_REQUIRED);
            set_text(judge, SPMSG_TLS_REVOKED, file(cases[i].list));
            int other = open_as(cases[i].shown, SPMSG_TLS_VERIFY_NONE);
            struct url url = listen_at(listens ? judge : other, *scheme);
            CHECK_OK(nn_connect(listens ? other : judge, url.text));
            if (cases[i].fault == 0) {
                CHECK_TALK(judge, other);
            } else {
                struct spmsg_event event = await_failure(judge);
                CHECK_EQ(event.found, (unsigned)cases[i].fault);
                check_words(&event, cases[i].words);
            }
            CHECK_CLOSE(judge, other);
        }
    }
}

/* Somebody is revoked while he is there, and comes again: nothing that was agreed upon before the
 * list was read lets him in. Who is there stays. */
static void who_is_revoked_does_not_come_again(void)
{
    EACH_ENCRYPTED(scheme) {
        run("cp none.crl now.crl");
        int s = open_as("here", SPMSG_TLS_VERIFY_REQUIRED);
        set_text(s, SPMSG_TLS_REVOKED, file("now.crl"));
        struct url url = listen_at(s, *scheme);
        int client = open_as("revoked", SPMSG_TLS_VERIFY_REQUIRED);
        CHECK_OK(nn_connect(client, url.text));
        CHECK_TALK(s, client);
        run("cp some.crl now.crl");
        CHECK_OK(spmsg_tls_reload(s));
        CHECK_TALK(s, client);
        char told[SPMSG_CERTIFICATE_MAX];
        unsigned number = await_certified(s, SPMSG_EVENT_CONNECTED, told).number;
        CHECK_OK(spmsg_disconnect(s, number));
        CHECK_EQ(await_failure(s).found, SPMSG_TLS_FAULT_REVOKED);
        CHECK_CLOSE(client, s);
    }
}

/* What a call fails with that makes an endpoint, or reads everything again. */
static void check_refused(int is_bound, int option, const char *value, int number,
                          const char *words)
{
    char text[256], kept[256];
    snprintf(kept, sizeof kept, "%s", value);
    EACH_ENCRYPTED(scheme) {
        struct url url;
        snprintf(url.text, sizeof url.text, "%s://127.0.0.1:%d", *scheme, free_port());
        int s = open_as("here", SPMSG_TLS_VERIFY_REQUIRED);
        struct url good = listen_at(s, *scheme);
        set_text(s, option, kept);
        for (int i = 0; i < 2; i++) {
            if (i)
                CHECK_ERRNO(spmsg_tls_reload(s), -1, number);
            else if (is_bound)
                CHECK_ERRNO(nn_bind(s, url.text), -1, number);
            else
                CHECK_ERRNO(nn_connect(s, url.text), -1, number);
            CHECK_OK(spmsg_error_text(text, sizeof text));
            if (strcmp(text, words) != 0)
                printf("it says: %s\n", text);
            CHECK(strcmp(text, words) == 0);
        }
        /* What was there is as it was. */
        int client = open_as("guest", SPMSG_TLS_VERIFY_REQUIRED);
        CHECK_OK(nn_connect(client, good.text));
        CHECK_TALK(s, client);
        CHECK_CLOSE(client, s);
    }
}

static void what_cannot_be_used_is_told_at_once(void)
{
    run("openssl pkcs8 -topk8 -in here.key -out locked.key -passout pass:word &&"
        " openssl ec -in here.key -aes128 -out locked.old -passout pass:word &&"
        " openssl genpkey -algorithm X25519 -out other.key && mkdir -p empty &&"
        " printf -- '-----BEGIN CERTIFICATE-----\\n????\\n-----END CERTIFICATE-----\\n' >bad.pem &&"
        " sed 's/CERTIFICATE/X509 CRL/' bad.pem >bad.crl");
    for (int is_bound = 0; is_bound < 2; is_bound++) {
        check_refused(is_bound, SPMSG_TLS_CERTIFICATE, file("missing.pem"), ENOENT,
                      "SPMSG_TLS_CERTIFICATE: No such file or directory");
        check_refused(is_bound, SPMSG_TLS_CERTIFICATE, file("empty"), EISDIR,
                      "SPMSG_TLS_CERTIFICATE: Is a directory");
        check_refused(is_bound, SPMSG_TLS_CERTIFICATE, file("here.key"), EINVAL,
                      "SPMSG_TLS_CERTIFICATE: there is no certificate in it");
        check_refused(is_bound, SPMSG_TLS_CERTIFICATE, file("bad.pem"), EINVAL,
                      "SPMSG_TLS_CERTIFICATE: it is damaged, or not in PEM");
        check_refused(is_bound, SPMSG_TLS_CERTIFICATE, "", EINVAL,
                      "SPMSG_TLS_CERTIFICATE: it is not set, and has to be");
        check_refused(is_bound, SPMSG_TLS_KEY, file("missing.key"), ENOENT,
                      "SPMSG_TLS_KEY: No such file or directory");
        check_refused(is_bound, SPMSG_TLS_KEY, file("there.key"), EINVAL,
                      "SPMSG_TLS_KEY: it does not belong to the certificate");
        check_refused(is_bound, SPMSG_TLS_KEY, file("locked.key"), EINVAL,
                      "SPMSG_TLS_KEY: it is encrypted, and there is no password for it");
        check_refused(is_bound, SPMSG_TLS_KEY, file("locked.old"), EINVAL,
                      "SPMSG_TLS_KEY: it is encrypted, and there is no password for it");
        check_refused(is_bound, SPMSG_TLS_KEY, file("other.key"), EINVAL,
                      "SPMSG_TLS_KEY: it is of a kind that cannot be used, or damaged");
        check_refused(is_bound, SPMSG_TLS_KEY, file("here.pem"), EINVAL,
                      "SPMSG_TLS_KEY: there is no private key in it");
        check_refused(is_bound, SPMSG_TLS_TRUST, file("missing"), ENOENT,
                      "SPMSG_TLS_TRUST: No such file or directory");
        check_refused(is_bound, SPMSG_TLS_TRUST, file("empty"), EINVAL,
                      "SPMSG_TLS_TRUST: there is no certificate in it");
        check_refused(is_bound, SPMSG_TLS_TRUST, file("here.key"), EINVAL,
                      "SPMSG_TLS_TRUST: there is no certificate in it");
        check_refused(is_bound, SPMSG_TLS_TRUST, file("bad.pem"), EINVAL,
                      "SPMSG_TLS_TRUST: it is damaged, or not in PEM");
        check_refused(is_bound, SPMSG_TLS_CERTIFICATE, "/dev/zero", EINVAL,
                      "SPMSG_TLS_CERTIFICATE: it is neither a file nor a pipe");
        check_refused(is_bound, SPMSG_TLS_KEY, "/dev/tty", EINVAL,
                      "SPMSG_TLS_KEY: it is neither a file nor a pipe");
        check_refused(is_bound, SPMSG_TLS_TRUST, "/dev/null", EINVAL,
                      "SPMSG_TLS_TRUST: it is neither a file nor a pipe");
        check_refused(is_bound, SPMSG_TLS_REVOKED, "/dev/zero", EINVAL,
                      "SPMSG_TLS_REVOKED: it is neither a file nor a pipe");
        check_refused(is_bound, SPMSG_TLS_REVOKED, file("missing"), ENOENT,
                      "SPMSG_TLS_REVOKED: No such file or directory");
        check_refused(is_bound, SPMSG_TLS_REVOKED, file("empty"), EINVAL,
                      "SPMSG_TLS_REVOKED: there is no list in it");
        check_refused(is_bound, SPMSG_TLS_REVOKED, file("bad.crl"), EINVAL,
                      "SPMSG_TLS_REVOKED: it is damaged, or not in PEM");
    }
    int s = open_as("here", SPMSG_TLS_VERIFY_REQUIRED);
    char text[256];
    set_text(s, SPMSG_TLS_NAME, "no name");
    CHECK_ERRNO(nn_connect(s, "tls+tcp://localhost:5555"), -1, EINVAL);
    CHECK_OK(spmsg_error_text(text, sizeof text));
    CHECK(strncmp(text, "SPMSG_TLS_NAME: ", 16) == 0);
    CHECK_CLOSE(s);
}

/* A pipe, as a shell makes one for <(...), is read to its end, and no further than a file. */
static void what_comes_through_a_pipe_is_read(void)
{
    char command[512], text[256];
    char *const words[] = {"/bin/sh", "-c", command, NULL};
    char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", NULL};
    run("mkfifo pipe");
    for (int is_endless = 0; is_endless < 2; is_endless++) {
        struct child writer;
        snprintf(command, sizeof command, "cd '%s' && %s >pipe", test_directory(),
                 is_endless ? "! yes 2>log" : "cat ca.pem");
        child_exec(&writer, words, environment);
        int s = open_as("here", SPMSG_TLS_VERIFY_REQUIRED);
        set_text(s, SPMSG_TLS_TRUST, file("pipe"));
        if (is_endless) {
            CHECK_ERRNO(spmsg_bind(s, "tls+tcp://127.0.0.1:0"), -1, EINVAL);
            CHECK_OK(spmsg_error_text(text, sizeof text));
            CHECK_STR(text, "SPMSG_TLS_TRUST: it is larger than 4 MiB, or its directory than 16 MiB");
        } else {
            int client = open_as("guest", SPMSG_TLS_VERIFY_REQUIRED);
            struct url url = listen_at(s, "tls+tcp");
            CHECK_OK(nn_connect(client, url.text));
            CHECK_TALK(s, client);
            CHECK_CLOSE(client);
        }
        CHECK_EQ(child_wait(&writer, PATIENCE_MS), 0);
        CHECK_CLOSE(s);
    }
}

/* What a stranger says, line by line. */
static void start_stranger(struct child *stranger, const char *arguments)
{
    char command[1024];
    snprintf(command, sizeof command, "cd '%s' && exec '%s' -B '%s' %s", test_directory(), PYTHON,
             STRANGER, arguments);
    char *const words[] = {"/bin/sh", "-c", command, NULL};
    char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", NULL};
    child_exec(stranger, words, environment);
}

static void check_says(struct child *stranger, const char *expected)
{
    char line[256] = "";
    CHECK(child_line(stranger, line, sizeof line, PATIENCE_MS));
    if (strcmp(line, expected) != 0)
        printf("the stranger says: %s\n", line);
    CHECK(strcmp(line, expected) == 0);
}

static void check_ends(struct child *stranger)
{
    char line[256];
    CHECK(!child_line(stranger, line, sizeof line, PATIENCE_MS));
    CHECK_EQ(child_wait(stranger, PATIENCE_MS), 0);
}

/* How we connect: the name is said unless it is a number, HTTP where it is spoken, and who was
 * there is known when he comes again, whichever version it is. */
static void what_a_client_says_first(void)
{
    struct child server;
    char line[256], arguments[128], expected[128];
    int port = 0;
    for (int version = 12; version <= 13; version++) for (int by_name = 0; by_name < 2; by_name++) {
        snprintf(arguments, sizeof arguments, "listen --count 3 --version %d", version);
        start_stranger(&server, arguments);
        CHECK(child_line(&server, line, sizeof line, PATIENCE_MS));
        CHECK_EQ(sscanf(line, "port=%d", &port), 1);
        struct url url;
        snprintf(url.text, sizeof url.text, "tls+tcp://%s:%d", by_name ? "localhost" : "127.0.0.1",
                 port);
        int s = open_as(NULL, SPMSG_TLS_VERIFY_REQUIRED);
        CHECK_OK(nn_connect(s, url.text));
        for (int i = 0; i < 3; i++) {
            CHECK_SEND(s, "from");
            CHECK_RECV(s, "to");
            snprintf(expected, sizeof expected, "name=%s alpn=None resumed=%s version=TLSv1.%d",
                     by_name ? "localhost" : "None", i ? "True" : "False", version - 10);
            check_says(&server, expected);
            char told[SPMSG_CERTIFICATE_MAX];
            /* Also of whom one knows again. */
            await_certified(s, SPMSG_EVENT_CONNECTED, told);
            check_identity(told, "here");
            CHECK_EQ(await_certified(s, SPMSG_EVENT_DISCONNECTED, told).reason, SPMSG_REASON_LEFT);
        }
        check_ends(&server);
        CHECK_CLOSE(s);
    }
    start_stranger(&server, "listen --alpn h2,http/1.1 --only-greet");
    CHECK(child_line(&server, line, sizeof line, PATIENCE_MS));
    CHECK_EQ(sscanf(line, "port=%d", &port), 1);
    struct url url;
    snprintf(url.text, sizeof url.text, "wss://localhost:%d", port);
    int s = open_as(NULL, SPMSG_TLS_VERIFY_REQUIRED);
    CHECK_OK(nn_connect(s, url.text));
    check_says(&server, "name=localhost alpn=http/1.1 resumed=False version=TLSv1.3");
    CHECK_CLOSE(s);
    child_kill(&server);
}

/* The same from the other side. */
static void what_a_listener_answers(void)
{
    struct child client;
    char arguments[128], expected[128], told[SPMSG_CERTIFICATE_MAX];
    int s = open_as("here", SPMSG_TLS_VERIFY_REQUIRED);
    int port = port_of(listen_at(s, "tls+tcp").text);
    for (int version = 12; version <= 13; version++) {
        snprintf(arguments, sizeof arguments,
                 "connect --port %d --count 3 --version %d --alpn http/1.1 --certificate guest",
                 port, version);
        start_stranger(&client, arguments);
        for (int i = 0; i < 3; i++) {
            CHECK_RECV(s, "to");
            CHECK_SEND(s, "from");
            snprintf(expected, sizeof expected, "alpn=None resumed=%s version=TLSv1.%d",
                     i ? "True" : "False", version - 10);
            check_says(&client, expected);
            await_certified(s, SPMSG_EVENT_CONNECTED, told);
            check_identity(told, "guest");
            CHECK_EQ(await_certified(s, SPMSG_EVENT_DISCONNECTED, told).reason, SPMSG_REASON_LEFT);
        }
        check_ends(&client);
    }
    CHECK_CLOSE(s);
    s = open_as("here", SPMSG_TLS_VERIFY_NONE);
    port = port_of(listen_at(s, "wss").text);
    static const char *const offers[][2] = {
        {"--alpn h2,http/1.1", "alpn=http/1.1 resumed=False version=TLSv1.3"},
        {"", "alpn=None resumed=False version=TLSv1.3"},
        /* Not every OpenSSL has a word for it. */
        {"--alpn h2", "error"},
    };
    for (size_t i = 0; i < COUNT_OF(offers); i++) {
        snprintf(arguments, sizeof arguments, "connect --port %d --only-greet %s", port,
                 offers[i][0]);
        start_stranger(&client, arguments);
        if (strncmp(offers[i][1], "error", 5) == 0) {
            char line[256] = "";
            CHECK(child_line(&client, line, sizeof line, PATIENCE_MS));
            CHECK(strncmp(line, "error=", 6) == 0);
        } else {
            check_says(&client, offers[i][1]);
        }
        check_ends(&client);
    }
    /* The others left before they had asked for anything. */
    struct spmsg_event event;
    do
        event = await_certified(s, SPMSG_EVENT_HANDSHAKE_FAILED, told);
    while (event.type != -1 && event.found != SPMSG_TLS_FAULT_INCOMPATIBLE);
    CHECK_EQ(event.found, SPMSG_TLS_FAULT_INCOMPATIBLE);
    CHECK_CLOSE(s);
}

/* Who ends a stream without saying so has not ended it, on both sides. */
static void a_stream_that_is_cut_off_is_told_from_one_that_has_ended(void)
{
    struct child stranger;
    char line[256], arguments[128], told[SPMSG_CERTIFICATE_MAX];
    int port = 0;
    for (int is_cut = 0; is_cut < 2; is_cut++) for (int listens = 0; listens < 2; listens++) {
        int s = open_as("here", SPMSG_TLS_VERIFY_REQUIRED);
        const char *cut = is_cut ? "--cut" : "";
        if (listens) {
            port = port_of(listen_at(s, "tls+tcp").text);
            snprintf(arguments, sizeof arguments, "connect --port %d %s", port, cut);
            start_stranger(&stranger, arguments);
        } else {
            snprintf(arguments, sizeof arguments, "listen %s", cut);
            start_stranger(&stranger, arguments);
            CHECK(child_line(&stranger, line, sizeof line, PATIENCE_MS));
            CHECK_EQ(sscanf(line, "port=%d", &port), 1);
            struct url url;
            snprintf(url.text, sizeof url.text, "tls+tcp://localhost:%d", port);
            CHECK_OK(nn_connect(s, url.text));
        }
        CHECK_RECV(s, "to");
        CHECK_SEND(s, "from");
        struct spmsg_event event = await_certified(s, SPMSG_EVENT_DISCONNECTED, told);
        CHECK_EQ(event.reason, is_cut ? SPMSG_REASON_TLS : SPMSG_REASON_LEFT);
        CHECK_EQ(event.found, is_cut ? SPMSG_TLS_FAULT_TRUNCATED : 0U);
        CHECK(child_line(&stranger, line, sizeof line, PATIENCE_MS));
        check_ends(&stranger);
        CHECK_CLOSE(s);
    }
}

/* The oldest version that is spoken, on both sides. */
static void old_versions_are_refused(void)
{
    struct child stranger;
    char line[256], arguments[128];
    int port = 0;
    for (int version = 12; version <= 13; version++) {
        int s = open_as("here", SPMSG_TLS_VERIFY_NONE);
        set_number(s, SPMSG_TLS, SPMSG_TLS_VERSION_MIN, version);
        port = port_of(listen_at(s, "tls+tcp").text);
        snprintf(arguments, sizeof arguments, "connect --port %d --version 12 --only-greet", port);
        start_stranger(&stranger, arguments);
        if (version == 12) {
            check_says(&stranger, "alpn=None resumed=False version=TLSv1.2");
        } else {
            check_says(&stranger, "error=TLSV1_ALERT_PROTOCOL_VERSION");
            struct spmsg_event event = await_failure(s);
            CHECK_EQ(event.found, SPMSG_TLS_FAULT_INCOMPATIBLE);
            check_words(&event, "no version");
        }
        check_ends(&stranger);
        CHECK_CLOSE(s);
    }
    start_stranger(&stranger, "listen --version 12");
    CHECK(child_line(&stranger, line, sizeof line, PATIENCE_MS));
    CHECK_EQ(sscanf(line, "port=%d", &port), 1);
    int s = open_as(NULL, SPMSG_TLS_VERIFY_REQUIRED);
    set_number(s, SPMSG_TLS, SPMSG_TLS_VERSION_MIN, 13);
    struct url url;
    snprintf(url.text, sizeof url.text, "tls+tcp://localhost:%d", port);
    CHECK_OK(nn_connect(s, url.text));
    struct spmsg_event event = await_failure(s);
    CHECK_EQ(event.found, SPMSG_TLS_FAULT_ALERT + 70U);
    check_words(&event, "alert 70 of TLS: protocol version");
    CHECK_CLOSE(s);
    child_kill(&stranger);
}

/* Who shows a certificate that is not for what he does with it. */
static void a_certificate_has_a_purpose(void)
{
    run("for name in asking serving; do"
        "  purpose=clientAuth; [ $name = serving ] && purpose=serverAuth;"
        "  openssl req " KEY "-keyout $name.key -out $name.csr -subj /CN=$name"
        "    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext extendedKeyUsage=$purpose"
        "    && " VOUCH "-in $name.csr -out $name.pem || exit 1;"
        "done");
    EACH_ENCRYPTED(scheme) for (int listens = 0; listens < 2; listens++) {
        for (int is_wrong = 0; is_wrong < 2; is_wrong++) {
            int judge = open_as("here", SPMSG_TLS_VERIFY_REQUIRED);
            const char *name = listens == is_wrong ? "serving" : "asking";
            int other = open_as(name, SPMSG_TLS_VERIFY_NONE);
            struct url url = listen_at(listens ? judge : other, *scheme);
            CHECK_OK(nn_connect(listens ? other : judge, url.text));
            if (is_wrong) {
                struct spmsg_event event = await_failure(judge);
                CHECK_EQ(event.found, SPMSG_TLS_FAULT_WRONG_PURPOSE);
                check_words(&event, "is for another purpose");
            } else {
                CHECK_TALK(judge, other);
            }
            CHECK_CLOSE(judge, other);
        }
    }
}

/* Keys that are too short, and signatures that others can make, whoever vouches for them. We do not
 * show such ourselves: strangers do. */
static void who_is_weak_is_refused(void)
{
    static const struct {
        const char *name;
        int version;
        unsigned fault;
    } cases[] = {
        {"rsa512", 12, SPMSG_TLS_FAULT_BAD_CERTIFICATE},
        {"rsa1024", 12, SPMSG_TLS_FAULT_BAD_CERTIFICATE},
        {"rsa1024", 13, SPMSG_TLS_FAULT_BAD_CERTIFICATE},
        {"sha1", 12, SPMSG_TLS_FAULT_BAD_CERTIFICATE},
        {"sha1", 13, SPMSG_TLS_FAULT_BAD_CERTIFICATE},
        {"md5", 13, SPMSG_TLS_FAULT_BAD_CERTIFICATE},
    };
    run("openssl req -x509 -newkey rsa:2048 -nodes -keyout rsa.key -out rsa.pem -days 30"
        "  -subj /CN=rsa && cat ca.pem rsa.pem >both.pem;"
        "for name in rsa512 rsa1024 sha1 md5; do"
        "  key='" KEY "'; [ $name = rsa512 ] && key='-newkey rsa:512 -nodes';"
        "  [ $name = rsa1024 ] && key='-newkey rsa:1024 -nodes';"
        "  openssl req $key -keyout $name.key -out $name.csr -subj /CN=$name"
        "    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 || exit 1;"
        "done;"
        VOUCH "-in rsa512.csr -out rsa512.pem && " VOUCH "-in rsa1024.csr -out rsa1024.pem &&"
        VOUCH "-md sha1 -in sha1.csr -out sha1.pem &&"
        " openssl x509 -req -md5 -in md5.csr -CA rsa.pem -CAkey rsa.key -CAcreateserial"
        "  -copy_extensions copy -days 30 -out md5.pem");
    struct child stranger;
    char line[256], arguments[160];
    int port = 0;
    for (size_t i = 0; i < COUNT_OF(cases); i++) for (int listens = 0; listens < 2; listens++) {
        int s = open_as("here", SPMSG_TLS_VERIFY_REQUIRED);
        struct url url = {""};
        set_text(s, SPMSG_TLS_TRUST, file("both.pem"));
        int length = snprintf(arguments, sizeof arguments,
                              "%s --weak --only-greet --version %d --certificate %s",
                              listens ? "connect" : "listen", cases[i].version, cases[i].name);
        if (listens) {
            url = listen_at(s, "tls+tcp");
            snprintf(arguments + length, sizeof arguments - (size_t)length, " --port %d",
                     port_of(url.text));
            start_stranger(&stranger, arguments);
        } else {
            start_stranger(&stranger, arguments);
            CHECK(child_line(&stranger, line, sizeof line, PATIENCE_MS));
            CHECK_EQ(sscanf(line, "port=%d", &port), 1);
            snprintf(url.text, sizeof url.text, "tls+tcp://localhost:%d", port);
            CHECK_OK(nn_connect(s, url.text));
        }
        struct spmsg_event event = await_failure(s);
        if (event.found != cases[i].fault)
            printf("%s, TLS 1.%d, listens %d\n", cases[i].name, cases[i].version - 10, listens);
        CHECK_EQ(event.found, cases[i].fault);
        check_words(&event, "the peer");
        child_kill(&stranger);
        if (listens) {
            int next = open_as("guest", SPMSG_TLS_VERIFY_REQUIRED);
            CHECK_OK(nn_connect(next, url.text));
            CHECK_TALK(s, next);
            CHECK_CLOSE(next);
        }
        CHECK_CLOSE(s);
    }
}

/* The name is what the certificate has to be for: that of the address, or the one that is set; a
 * name, or a number. */
static void names_are_checked(void)
{
    static const struct {
        const char *host, *name, *shown;
        int fault;
    } cases[] = {
        {"localhost", NULL, "here", 0},
        {"127.0.0.1", NULL, "here", 0},
        {"localhost", NULL, "there", SPMSG_TLS_FAULT_WRONG_NAME},
        {"127.0.0.1", NULL, "there", SPMSG_TLS_FAULT_WRONG_NAME},
        {"127.0.0.1", "elsewhere.test", "there", 0},
        {"localhost", "ELSEWHERE.test.", "there", 0},
        {"localhost", "sub.elsewhere.test", "there", SPMSG_TLS_FAULT_WRONG_NAME},
        {"localhost", "127.0.0.1", "here", 0},
        {"localhost", "127.0.0.2", "here", SPMSG_TLS_FAULT_WRONG_NAME},
        {"localhost", "::1", "here", SPMSG_TLS_FAULT_WRONG_NAME},
        /* It is no name that a subject calls itself. */
        {"localhost", "here", "here", SPMSG_TLS_FAULT_WRONG_NAME},
    };
    EACH_ENCRYPTED(scheme) for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int s = open_as(cases[i].shown, SPMSG_TLS_VERIFY_NONE);
        int port = port_of(listen_at(s, *scheme).text);
        int client = open_as(NULL, SPMSG_TLS_VERIFY_REQUIRED);
        if (cases[i].name)
            set_text(client, SPMSG_TLS_NAME, cases[i].name);
        struct url url;
        snprintf(url.text, sizeof url.text, "%s://%s:%d", *scheme, cases[i].host, port);
        CHECK_OK(nn_connect(client, url.text));
        if (cases[i].fault)
            CHECK_EQ(await_failure(client).found, (unsigned)cases[i].fault);
        else
            CHECK_TALK(s, client);
        CHECK_CLOSE(client, s);
    }
}

/* Until those words are heard, or ten seconds have passed. */
#define AWAIT(words) \
    "for i in $(seq 200); do grep -qi '" words "' heard && break; sleep 0.05; done;"

/* Nothing is negotiated twice, and nothing is said before it is known to whom. */
static void nothing_is_said_early_or_again(void)
{
    char command[1024];
    EACH_ENCRYPTED(scheme) {
        int s = open_as("here", SPMSG_TLS_VERIFY_NONE);
        struct url url = listen_at(s, *scheme);
        int port = port_of(url.text);
        /* OpenSSL asks when a line tells it to, and gives up when it is refused. */
        snprintf(command, sizeof command,
                 "rm -f heard; { " AWAIT("Verify return code") " echo R; "
                 AWAIT("no renegotiation") " } | timeout 20 openssl s_client -tls1_2 -CAfile ca.pem"
                 " -connect 127.0.0.1:%d >heard 2>&1;"
                 " grep -a RENEGOTIATING heard && grep -ai 'no renegotiation' heard",
                 port);
        CHECK(succeeds(command));
        snprintf(command, sizeof command,
                 "rm -f heard; { " AWAIT("Max Early Data") " } |"
                 " timeout 20 openssl s_client -tls1_3 -CAfile ca.pem -connect 127.0.0.1:%d"
                 " >heard 2>&1; grep -a 'Max Early Data: 0' heard &&"
                 " ! grep -a 'Max Early Data: [1-9]' heard",
                 port);
        CHECK(succeeds(command));
        int client = open_as(NULL, SPMSG_TLS_VERIFY_REQUIRED);
        CHECK_OK(nn_connect(client, url.text));
        CHECK_TALK(s, client);
        CHECK_CLOSE(client, s);
    }
}

/* The same of who connects, whom a server asks to negotiate again, and whom it allows to say things
 * early when he comes again. */
static void nothing_is_said_early_or_again_by_a_client(void)
{
    char command[2048];
    static const char *const servers[] = {
        "{ " AWAIT("CIPHER is") " echo r; " AWAIT("no renegotiation") " } |"
        " timeout 20 openssl s_server -tls1_2 -cert here.pem -key here.key -port %d >heard 2>&1;"
        " echo; grep -ai 'no renegotiation' heard",
        "{ " AWAIT("No early data received") " echo q; " AWAIT("Reused session-id") " } |"
        " timeout 20 openssl s_server -tls1_3 -early_data -max_early_data 4096 -cert here.pem"
        " -key here.key -port %d >heard 2>&1;"
        " echo; grep -a 'Reused session-id' heard && [ $(grep -ac 'No early data' heard) -ge 2 ] &&"
        " ! grep -a 'Early data received' heard",
    };
    for (size_t i = 0; i < COUNT_OF(servers); i++) {
        int port = free_port(), length = snprintf(command, sizeof command, "cd '%s'; rm -f heard; ",
                                                  test_directory());
        snprintf(command + length, sizeof command - (size_t)length, servers[i], port);
        char *const words[] = {"/bin/sh", "-c", command, NULL};
        char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", NULL};
        struct child server;
        child_exec(&server, words, environment);
        int s = open_as(NULL, SPMSG_TLS_VERIFY_REQUIRED);
        struct url url;
        snprintf(url.text, sizeof url.text, "tls+tcp://127.0.0.1:%d", port);
        CHECK_OK(nn_connect(s, url.text));
        CHECK_EQ(child_wait(&server, 3 * PATIENCE_MS), 0);
        CHECK_CLOSE(s);
    }
}

/* A socket that reads its certificate again shows it, also where it connects; those who are there
 * are asked nothing. */
static void certificates_are_changed_on_both_ends(void)
{
    char told[SPMSG_CERTIFICATE_MAX];
    EACH_ENCRYPTED(scheme) {
        run("cp here.pem now.pem && cp here.key now.key && cp guest.pem new.pem &&"
            " cp guest.key new.key");
        int s = open_as("now", SPMSG_TLS_VERIFY_REQUIRED);
        int client = open_as("new", SPMSG_TLS_VERIFY_REQUIRED);
        set_number(s, NN_SOL_SOCKET, SPMSG_PEER_INFO, 1);
        struct url url = listen_at(s, *scheme);
        CHECK_OK(nn_connect(client, url.text));
        CHECK_SEND(client, "guest");
        CHECK_EQ(receive(s, told), 1);
        check_identity(told, "guest");
        run("cp guest.pem now.pem && cp guest.key now.key && cp here.pem new.pem &&"
            " cp here.key new.key");
        CHECK_OK(spmsg_tls_reload(s));
        CHECK_OK(spmsg_tls_reload(client));
        CHECK_SEND(client, "still guest");
        CHECK_EQ(receive(s, told), 1);
        check_identity(told, "guest");
        unsigned number = await_certified(s, SPMSG_EVENT_CONNECTED, told).number;
        await_certified(client, SPMSG_EVENT_CONNECTED, told);
        CHECK_OK(spmsg_disconnect(s, number));
        await_certified(client, SPMSG_EVENT_CONNECTED, told);
        check_identity(told, "guest");
        await_certified(s, SPMSG_EVENT_CONNECTED, told);
        check_identity(told, "here");
        CHECK_CLOSE(client, s);
    }
}

/* Of a key nothing is left behind, once nobody can need it. */
static int use_a_key(void)
{
    EACH_ENCRYPTED(scheme) {
        int s = open_as("here", SPMSG_TLS_VERIFY_REQUIRED);
        struct url url = listen_at(s, *scheme);
        int client = open_as("guest", SPMSG_TLS_VERIFY_REQUIRED);
        CHECK_OK(nn_connect(client, url.text));
        CHECK_TALK(s, client);
        CHECK_OK(spmsg_tls_reload(s));
        CHECK_CLOSE(client, s);
    }
    puts("closed");
    fflush(stdout);
    /* Whoever looks ends us. */
    pause();
    return 0;
}

/* How often the needle lies in what another process may write to, but for its stacks. */
static int found_in(pid_t pid, const unsigned char *needle, size_t size)
{
    static char bytes[1 << 22];
    char path[64], line[512];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "r");
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    FILE *memory = fopen(path, "r");
    REQUIRE(maps != NULL && memory != NULL);
    setbuf(memory, NULL);
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char way[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, way) != 3 || way[1] != 'w'
            || strstr(line, "[stack"))
            continue;
        for (; from < to; from += sizeof bytes - 4096) {
            size_t wanted = to - from < sizeof bytes ? to - from : sizeof bytes;
            if (fseek(memory, (long)from, SEEK_SET) != 0)
                break;
            size_t length = fread(bytes, 1, wanted, memory);
            for (char *at = bytes; (at = memmem(at, length - (size_t)(at - bytes), needle, size));
                 at++)
                count++;
        }
    }
    fclose(maps);
    fclose(memory);
    return count;
}

#define USE_A_KEY "use a key"
#define READ_WITH_LITTLE_MEMORY "read with little memory"

/* Another process of this program, with a memory of its own. */
static void start_part(struct child *child, const char *name)
{
    char *const words[] = {"/proc/self/exe", (char *)name, (char *)test_directory(), NULL};
    char path[1024];
    const char *way = getenv("LD_LIBRARY_PATH");
    snprintf(path, sizeof path, "LD_LIBRARY_PATH=%s", way ? way : "");
    char *const environment[] = {path, NULL};
    child_exec(child, words, environment);
}

static void keys_do_not_stay_behind(void)
{
    unsigned char secret[32], text[33];
    char line[64];
    struct child child;
    start_part(&child, USE_A_KEY);
    CHECK(child_line(&child, line, sizeof line, PATIENCE_MS));
    CHECK(strcmp(line, "closed") == 0);
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "guest" : "here";
        char command[128];
        /* The number itself, which lies in both of the forms that a key is written in. */
        snprintf(command, sizeof command, "openssl ec -in %s.key -no_public -outform DER >secret",
                 name);
        run(command);
        FILE *from = fopen(file("secret"), "r");
        REQUIRE(from != NULL);
        /* SEQUENCE, INTEGER 1, OCTET STRING of 32 bytes. */
        REQUIRE(fseek(from, 7, SEEK_SET) == 0 && fread(secret, 1, 32, from) == 32);
        fclose(from);
        CHECK_EQ(found_in(child.pid, secret, sizeof secret), 0);
        unsigned char turned[32];
        for (int at = 0; at < 32; at++)
            turned[at] = secret[31 - at];
        CHECK_EQ(found_in(child.pid, turned, sizeof turned), 0);
        /* As it stands in the file. */
        snprintf(command, sizeof command, "sed -n 2p %s.key", name);
        memcpy(text, said(command) + 16, 32);
        CHECK_EQ(found_in(child.pid, text, 32), 0);
    }
    /* The search finds what is there. */
    CHECK_AT_LEAST(found_in(getpid(), text, 32), 1);
    child_kill(&child);
}

static void limit_memory(size_t more)
{
    unsigned long pages = 0;
    FILE *from = fopen("/proc/self/statm", "r");
    REQUIRE(from != NULL && fscanf(from, "%lu", &pages) == 1);
    fclose(from);
    struct rlimit limit;
    REQUIRE(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = more ? pages * (size_t)sysconf(_SC_PAGESIZE) + more : limit.rlim_max;
    REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
}

enum { MEGABYTE = 1 << 20 };

/* There is no room for a file that is there and large, or for what is made of it. */
static int read_with_little_memory(void)
{
    static const int options[] = {SPMSG_TLS_TRUST, SPMSG_TLS_REVOKED};
    static const char *const names[] = {"big.pem", "big.crl"};
    /* Else what is freed stays where the next block may be put. */
    mallopt(M_MMAP_THRESHOLD, 65536);
    for (int i = 0; i < 2; i++) {
        char text[256];
        int s = open_as("here", SPMSG_TLS_VERIFY_REQUIRED);
        struct url url = listen_at(s, "tls+tcp");
        int client = open_as("guest", SPMSG_TLS_VERIFY_REQUIRED);
        CHECK_OK(nn_connect(client, url.text));
        CHECK_TALK(s, client);
        set_text(s, options[i], file(names[i]));
        for (int more = MEGABYTE; more <= 7 * MEGABYTE; more += 2 * MEGABYTE) {
            limit_memory((size_t)more);
            CHECK_ERRNO(spmsg_tls_reload(s), -1, ENOMEM);
            CHECK_OK(spmsg_error_text(text, sizeof text));
            CHECK_ERRNO(spmsg_bind(s, "wss://127.0.0.1:0"), -1, ENOMEM);
            CHECK_ERRNO(nn_connect(s, "tls+tcp://127.0.0.1:9"), -1, ENOMEM);
            limit_memory(0);
            CHECK_TALK(s, client);
        }
        CHECK_OK(spmsg_tls_reload(s));
        int next = open_as("guest", SPMSG_TLS_VERIFY_REQUIRED);
        CHECK_CLOSE(client);
        CHECK_OK(nn_connect(next, url.text));
        CHECK_TALK(s, next);
        CHECK_CLOSE(next, s);
    }
    return case_failed();
}

static void memory_for_what_is_read_may_be_missing(void)
{
    struct child child;
#if defined __SANITIZE_ADDRESS__
    test_skip("the sanitizer itself needs more memory");
    return;
#endif
    run("{ yes '# of no meaning' | head -c 3000000; cat ca.pem; } >big.pem;"
        " { yes '# of no meaning' | head -c 3000000; cat none.crl; } >big.crl");
    start_part(&child, READ_WITH_LITTLE_MEMORY);
    CHECK_EQ(child_wait(&child, 3 * PATIENCE_MS), 0);
}

int main(int count, char **words)
{
    if (count == 3) {
        directory = words[2];
        return strcmp(words[1], USE_A_KEY) == 0 ? use_a_key() : read_with_little_memory();
    }
    test_begin("beyond/tls-identity", 170);
    make_authority();
    RUN(peers_are_known_by_their_certificates);
    RUN(who_shows_nothing_has_no_name);
    RUN(what_is_asked_wrongly_is_refused);
    RUN(verification_is_what_it_is_set_to);
    RUN(an_alert_has_words);
    RUN(the_trace_tells_it_too);
    RUN(trust_is_in_many_places);
    RUN(revocations_are_heeded);
    RUN(who_is_revoked_does_not_come_again);
    RUN(what_cannot_be_used_is_told_at_once);
    RUN(what_comes_through_a_pipe_is_read);
    RUN(memory_for_what_is_read_may_be_missing);
    RUN(a_certificate_has_a_purpose);
    RUN(who_is_weak_is_refused);
    RUN(names_are_checked);
    RUN(what_a_client_says_first);
    RUN(what_a_listener_answers);
    RUN(a_stream_that_is_cut_off_is_told_from_one_that_has_ended);
    RUN(old_versions_are_refused);
    RUN(nothing_is_said_early_or_again);
    RUN(nothing_is_said_early_or_again_by_a_client);
    RUN(certificates_are_changed_on_both_ends);
    RUN(keys_do_not_stay_behind);
    run("rm -rf trust others lists empty");
    return test_end();
}
