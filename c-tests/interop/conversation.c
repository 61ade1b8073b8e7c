/* The conversations of the matrix, and the program around them:
 *
 *   peer TYPE listen|dial ADDRESS        TYPE is a socket type in small letters, or raw- and one,
 *                                        or many-pair, which keeps every peer, or context- and
 *                                        a type that speaks through a context of its socket
 *
 * Its first line of output is the library it runs on. Its standard input is a socket to the other
 * peer, over which both agree on how far they are: the messages need not, and a broadcast is never
 * sent to somebody who is not listening yet. Of encrypted addresses the environment tells more:
 * SPMSG_PEER_CERTIFICATES and SPMSG_PEER_MUTUAL, see matrix.c. It exits with 0 when every byte was right. */

#include "peer.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Small, empty, large, several in a row, and around the borders that a codec has. */
static const size_t sizes[] = {5, 0, 100000, 1, 1, 0, 0, 2, 3, 4, 7, 8, 9, 125, 126, 127, 1000,
                               4096, 65535, 65536, 100000, 100001, 0, 12};
enum { COUNT = sizeof sizes / sizeof sizes[0] };

/* What may be sent in a row to a peer that drops what it has no room for. */
enum { BURST = 8, BURST_SIZE_MAX = 1000 };

enum side { CALLER, CALLEE };

struct type {
    const char *name;
    enum kind kind;
    void (*talk)(void);
};

static const struct type *type;
static const char *role;
static int raw;

void give_up(const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s%s (%s) on %s: %s\n", raw ? "raw " : "", type ? type->name : "peer",
            role ? role : "-", peer_library(), text);
    exit(1);
}

const char *peer_certificates(void)
{
    const char *directory = getenv("SPMSG_PEER_CERTIFICATES");
    if (!directory || !*directory)
        give_up("there are no certificates");
    return directory;
}

int peer_is_mutual(void)
{
    const char *word = getenv("SPMSG_PEER_MUTUAL");
    return word && strcmp(word, "1") == 0;
}

/* ---- in step with the other peer ---- */

static void tell(char word)
{
    if (send(0, &word, 1, MSG_NOSIGNAL) != 1)
        give_up("the other peer has gone: %s", strerror(errno));
}

static void hear(char expected)
{
    struct pollfd ready = {0, POLLIN, 0};
    char word = 0;
    if (poll(&ready, 1, PEER_PATIENCE_MS) != 1)
        give_up("the other peer does not come to '%c'", expected);
    if (read(0, &word, 1) != 1)
        give_up("the other peer has left before '%c'", expected);
    if (word != expected)
        give_up("the other peer is at '%c', not at '%c'", word, expected);
}

static void meet(char word)
{
    tell(word);
    hear(word);
}

/* ---- messages ---- */

/* No two messages of a conversation have the same bytes, if they have any. */
static unsigned char byte_at(enum side from, unsigned number, size_t place)
{
    uint32_t x = (uint32_t)place * 2654435761u + number * 40503u + (from == CALLER ? 17u : 91u);
    return (unsigned char)(x >> 24 ^ x >> 11);
}

static struct message make(enum side from, unsigned number, size_t size)
{
    struct message message = {malloc(size + 1), size, {0}, 0};
    if (!message.body)
        give_up("no memory");
    for (size_t i = 0; i < size; i++)
        message.body[i] = byte_at(from, number, i);
    return message;
}

static void check(const struct message *message, enum side from, unsigned number, size_t size)
{
    if (message->size != size)
        give_up("message %u has %zu bytes, should be %zu", number, message->size, size);
    for (size_t i = 0; i < size; i++)
        if (message->body[i] != byte_at(from, number, i))
            give_up("byte %zu of message %u is 0x%02x, should be 0x%02x", i, number,
                    message->body[i], byte_at(from, number, i));
}

static void send_number(enum side from, unsigned number, size_t size)
{
    struct message message = make(from, number, size);
    peer_send(&message);
    free(message.body);
}

static void recv_number(enum side from, unsigned number, size_t size)
{
    struct message message = peer_recv();
    check(&message, from, number, size);
    free(message.body);
}

static void send_all(enum side from)
{
    for (unsigned i = 0; i < COUNT; i++)
        send_number(from, i, sizes[i]);
}

static void recv_all(enum side from)
{
    for (unsigned i = 0; i < COUNT; i++)
        recv_number(from, i, sizes[i]);
}

/* ---- PUSH and PULL; PAIR ---- */

static void talk_push(void)
{
    send_all(CALLER);
}

static void talk_pull(void)
{
    recv_all(CALLER);
}

/* Both sides have the same type; who listens is the callee. */
static enum side side(void)
{
    return strcmp(role, "listen") == 0 ? CALLEE : CALLER;
}

static void talk_pair(void)
{
    enum side here = side(), there = here == CALLER ? CALLEE : CALLER;
    if (here == CALLER) {
        send_all(here);
        recv_all(there);
    } else {
        recv_all(there);
        send_all(here);
    }
    /* And by turns. */
    for (unsigned i = 0; i < COUNT; i++) {
        if (here == CALLER)
            send_number(here, i, sizes[i]);
        recv_number(there, i, sizes[i]);
        if (here == CALLEE)
            send_number(here, i, sizes[i]);
    }
}

/* ---- broadcasts: BUS, PUB and SUB ---- */

/* Up to where the messages from that one on may be sent without a word of the other peer. */
static unsigned burst_end(unsigned first)
{
    unsigned end = first + 1;
    if (sizes[first] <= BURST_SIZE_MAX)
        while (end < COUNT && end < first + BURST && sizes[end] <= BURST_SIZE_MAX)
            end++;
    return end;
}

static void broadcast_all(enum side from)
{
    for (unsigned first = 0, end; first < COUNT; first = end) {
        end = burst_end(first);
        for (unsigned i = first; i < end; i++)
            send_number(from, i, sizes[i]);
        hear('b');
    }
}

static void recv_broadcasts(enum side from)
{
    for (unsigned first = 0, end; first < COUNT; first = end) {
        end = burst_end(first);
        for (unsigned i = first; i < end; i++)
            recv_number(from, i, sizes[i]);
        tell('b');
    }
}

static void talk_bus(void)
{
    enum side here = side(), there = here == CALLER ? CALLEE : CALLER;
    if (here == CALLER) {
        broadcast_all(here);
        recv_broadcasts(there);
    } else {
        recv_broadcasts(there);
        broadcast_all(here);
    }
}

/* protocols 6.2: what starts with a subscribed topic arrives, once; nothing else does. */
static const struct published {
    const char *text;
    int first_round;  /* "a", "an apple" and "b" are subscribed, */
    int second_round; /* then only "b" and "c" */
} published[] = {
    {"a", 1, 0}, {"an apple a day", 1, 0}, {"A", 0, 0}, {"", 0, 0}, {"b", 1, 1}, {"ca", 0, 1},
    {"xa", 0, 0}, {"an appl", 1, 0}, {"bb", 1, 1}, {"c", 0, 1}, {"b is the end", 1, 1},
};
enum { PUBLISHED = sizeof published / sizeof published[0] };

static void publish(void)
{
    for (int i = 0; i < PUBLISHED; i++) {
        struct message message = {(unsigned char *)published[i].text, strlen(published[i].text),
                                  {0}, 0};
        peer_send(&message);
        if (i % BURST == BURST - 1)
            meet('p');
    }
    meet('p');
}

static void recv_published(int second_round)
{
    for (int i = 0; i < PUBLISHED; i++) {
        if (second_round ? published[i].second_round : published[i].first_round) {
            struct message message = peer_recv();
            if (message.size != strlen(published[i].text)
                || memcmp(message.body, published[i].text, message.size) != 0)
                give_up("\"%.*s\" came, should be \"%s\"", (int)message.size,
                        (char *)message.body, published[i].text);
            free(message.body);
        }
        if (i % BURST == BURST - 1)
            meet('p');
    }
    meet('p');
}

static void talk_pub(void)
{
    meet('s');
    broadcast_all(CALLER);
    meet('s');
    publish();
    meet('s');
    publish();
}

static void talk_sub(void)
{
    peer_subscribe("");
    meet('s');
    recv_broadcasts(CALLER);
    peer_subscribe("a");
    peer_subscribe("an apple");
    peer_subscribe("b");
    peer_unsubscribe("");
    meet('s');
    recv_published(0);
    peer_subscribe("c");
    peer_unsubscribe("an apple");
    peer_unsubscribe("a");
    meet('s');
    recv_published(1);
}

/* ---- questions and answers: REQ and REP, SURVEYOR and RESPONDENT ---- */

/* protocols 4.5, 8.3: a raw socket brings its own id, and gets it back in front of the answer. */
static void put_id(struct message *message, unsigned number)
{
    unsigned char id[4] = {0x80, 0x12, 0x34, (unsigned char)number};
    memcpy(message->header, id, sizeof id);
    message->header_size = sizeof id;
}

static void ask(unsigned number)
{
    struct message question = make(CALLER, number, sizes[number]);
    if (raw)
        put_id(&question, number);
    peer_send(&question);
    struct message answer = peer_recv();
    /* The answer to one size has another, so that an echo is not taken for it. */
    check(&answer, CALLEE, number, sizes[COUNT - 1 - number]);
    if (raw && (answer.header_size != question.header_size
                || memcmp(answer.header, question.header, question.header_size) != 0))
        give_up("answer %u came back with another header", number);
    free(question.body);
    free(answer.body);
}

/* protocols 5.4: the header tells a raw socket where the answer goes. */
static void answer(unsigned number)
{
    struct message question = peer_recv();
    check(&question, CALLER, number, sizes[number]);
    if (raw && (question.header_size != 8 || question.header[0] & 0x80
                || !(question.header[4] & 0x80)))
        give_up("the header of question %u is no key and id but %zu bytes", number,
                question.header_size);
    struct message reply = make(CALLEE, number, sizes[COUNT - 1 - number]);
    if (raw) {
        memcpy(reply.header, question.header, question.header_size);
        reply.header_size = question.header_size;
    }
    peer_send(&reply);
    free(question.body);
    free(reply.body);
}

static void talk_caller(void)
{
    for (unsigned i = 0; i < COUNT; i++)
        ask(i);
}

static void talk_callee(void)
{
    for (unsigned i = 0; i < COUNT; i++)
        answer(i);
}

static const struct type types[] = {
    {"pair", KIND_PAIR, talk_pair},
    {"pub", KIND_PUB, talk_pub},
    {"sub", KIND_SUB, talk_sub},
    {"req", KIND_REQ, talk_caller},
    {"rep", KIND_REP, talk_callee},
    {"push", KIND_PUSH, talk_push},
    {"pull", KIND_PULL, talk_pull},
    {"surveyor", KIND_SURVEYOR, talk_caller},
    {"respondent", KIND_RESPONDENT, talk_callee},
    {"bus", KIND_BUS, talk_bus},
};

/* Takes the word from the front of the name, if it is there. */
static int take_word(const char **name, const char *word)
{
    size_t length = strlen(word);
    int is_there = strncmp(*name, word, length) == 0;
    *name += is_there ? length : 0;
    return is_there;
}

int main(int count, char **words)
{
    int keeps_many = 0, has_context = 0;
    if (count == 4) {
        const char *name = words[1];
        raw = take_word(&name, "raw-");
        keeps_many = strcmp(name, "many-pair") == 0 && take_word(&name, "many-");
        has_context = take_word(&name, "context-");
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
            if (strcmp(types[i].name, name) == 0)
                type = &types[i];
        role = words[2];
    }
    if (!type || (strcmp(role, "listen") != 0 && strcmp(role, "dial") != 0)) {
        fprintf(stderr, "usage: %s [raw-|context-]TYPE|many-pair listen|dial ADDRESS\n", words[0]);
        return 2;
    }
    printf("%s\n", peer_library());
    fflush(stdout);
    peer_open(type->kind, raw);
    if (keeps_many)
        peer_keep_many();
    if (has_context)
        peer_speak_through_context();
    if (strcmp(role, "listen") == 0) {
        peer_listen(words[3]);
        tell('l');
    } else {
        hear('l');
        peer_dial(words[3]);
    }
    peer_wait_attached();
    meet('a');
    type->talk();
    /* Whoever leaves first takes what is under way with it, in some libraries. */
    meet('z');
    peer_close();
    return 0;
}
