/* The raw sockets of the two families that keep a backtrace: what SP_HDR shows of a message, what
 * it does to one that is sent, and that nobody is asked or answered only once.
 *
 * The family is the argument: raw reqrep, raw survey. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/message.h"
#include "support/readiness.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

static int asking, answering;

static int open_asker(const char *url)
{
    return open_connected(AF_SP_RAW, asking, url);
}

static int open_answerer(const char *url)
{
    return open_bound(AF_SP_RAW, answering, url);
}

static void with_asker(void (*function)(int s, int asker))
{
    struct url url = unique_url("inproc");
    int s = open_answerer(url.text), asker = open_asker(url.text);
    function(s, asker);
    CHECK_CLOSE(asker, s);
}

static void with_askers(void (*function)(int s, int a, int b))
{
    struct url url = unique_url("inproc");
    int s = open_answerer(url.text), a = open_asker(url.text), b = open_asker(url.text);
    function(s, a, b);
    CHECK_CLOSE(a, b, s);
}

/* protocols 4.5, 8.3: what is shorter than a word is dropped, of the rest the first four bytes are
 * the header whatever they say. */
static void an_asker_shows_the_first_word_only(int s, int asker)
{
    static const unsigned char reply[] = {WORD(5), WORD(0x80000001), 'r', 'e', 'p'};
    struct message message;
    send_numbered(asker, 1 | TOP_BIT, "q");
    CHECK_TAKES(s, &message, "q");
    uint32_t key = word_at(message.header);
    const unsigned char to[4] = {WORD(key)};
    for (size_t size = 0; size < 4; size++)
        CHECK_EQ(send_message(s, to, 4, reply, size, 0), size);
    CHECK_AGAIN(asker);
    CHECK_EQ(send_message(s, to, 4, reply, sizeof reply, 0), sizeof reply);
    CHECK_EQ(recv_message(asker, &message, 0), sizeof reply - 4);
    CHECK_EQ(message.header_size, 4);
    CHECK_MEM(message.header, reply, 4);
    CHECK_MEM(message.body, reply + 4, sizeof reply - 4);
    CHECK_EQ(send_message(s, to, 4, reply, 4, 0), 4);
    CHECK_TAKES(asker, &message, "");
    CHECK_EQ(message.header_size, 4);
}

/* protocols 4.5, 8.3: "an absent header is allowed and sends just the body", and no id is made. */
static void an_asker_sends_header_and_body_as_they_are(int s, int asker)
{
    static const unsigned char words[] = {WORD(3), WORD(4), WORD(0x80000005), 'q', 0};
    struct message message;
    for (size_t split = 0; split <= 13; split++) {
        /* The border between header and body is nowhere on the way. */
        CHECK_EQ(send_message(asker, words, split, words + split, 13 - split, 0), 13 - split);
        CHECK_TAKES(s, &message, "q");
        CHECK_EQ(message.header_size, 16);
        CHECK_MEM(message.header + 4, words, 12);
    }
    CHECK_EQ(nn_send(asker, words, 13, 0), 13);
    CHECK_TAKES(s, &message, "q");
    CHECK_EQ(nn_get_statistic(asker, NN_STAT_MESSAGES_SENT), 15);
    CHECK_EQ(nn_get_statistic(asker, NN_STAT_BYTES_SENT), 13 + 13 * 14 / 2);
}

/* protocols 5.1: "Every attached pipe gets a 31-bit key (bit 31 clear): random start per socket, +1
 * per attach" */
static void keys_count_the_pipes(void)
{
    struct url url = unique_url("inproc");
    struct message message;
    uint32_t first = 0;
    int s = open_answerer(url.text), askers[5];
    for (uint32_t i = 0; i < 5; i++) {
        askers[i] = open_asker(url.text);
        send_numbered(askers[i], i | TOP_BIT, "q");
        CHECK_TAKES(s, &message, "q");
        CHECK_EQ(message.header_size, 8);
        first = i ? first : word_at(message.header);
        CHECK_EQ(word_at(message.header), (first + i) & ~TOP_BIT);
        CHECK_EQ(word_at(message.header + 4), i | TOP_BIT);
        /* The number of one who has gone is not given out again at once. */
        if (i == 2)
            CHECK_CLOSE(askers[2]);
    }
    for (int i = 0; i < 5; i++)
        if (i != 2)
            CHECK_CLOSE(askers[i]);
    CHECK_CLOSE(s);
}

/* protocols 5.4, core 9: no state. Answers go out in any order, several times, to whom the key
 * names; nothing is refused without a request. */
static void an_answerer_answers_whom_it_likes(int s, int a, int b)
{
    struct message one, two, reply;
    CHECK_SEND(s, "without a request");
    send_numbered(a, 1 | TOP_BIT, "one");
    send_numbered(b, 2 | TOP_BIT, "two");
    CHECK_TAKES(s, &one, "one");
    CHECK_TAKES(s, &two, "two");
    answer(s, &two, "to b");
    answer(s, &one, "to a");
    answer(s, &one, "to a again");
    CHECK_AGAIN(s);
    answer(s, &two, "to b again");
    CHECK_TAKES(a, &reply, "to a");
    CHECK_EQ(word_at(reply.header), 1 | TOP_BIT);
    CHECK_TAKES(a, &reply, "to a again");
    CHECK_AGAIN(a);
    CHECK_TAKES(b, &reply, "to b");
    CHECK_EQ(word_at(reply.header), 2 | TOP_BIT);
    CHECK_TAKES(b, &reply, "to b again");
    CHECK_AGAIN(b);
}

/* protocols 5.4: "header shorter than 4 bytes, unknown key, or non-writable pipe: accepted and
 * dropped" */
static void an_answer_to_nobody_is_dropped(void)
{
    struct url url = unique_url("inproc");
    struct message message;
    int s = open_answerer(url.text), a = open_asker(url.text), b = open_asker(url.text);
    send_numbered(a, 1 | TOP_BIT, "q");
    CHECK_TAKES(s, &message, "q");
    for (size_t size = 0; size < 4; size++)
        CHECK_EQ(send_message(s, message.header, size, "x", 1, 0), 1);
    put_word(message.header, word_at(message.header) + 1000);
    answer(s, &message, "x");
    put_word(message.header, (word_at(message.header) - 1000) | TOP_BIT);
    answer(s, &message, "x");
    put_word(message.header, word_at(message.header) & ~TOP_BIT);
    answer(s, &message, "right");
    CHECK_RECV(a, "right");
    CHECK_AGAIN(a);
    CHECK_AGAIN(b);
    CHECK_CLOSE(a);
    answer(s, &message, "too late");
    CHECK_AGAIN(b);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), 8);
    CHECK_CLOSE(b, s);
}

/* protocols 5.4, 2.8 */
static void an_answer_to_a_busy_pipe_is_dropped(void)
{
    struct url url = unique_url("inproc");
    struct message message;
    int s = open_answerer(url.text), asker = open_socket(AF_SP_RAW, asking);
    set_int(asker, NN_RCVBUF, 1);
    CHECK_OK(nn_connect(asker, url.text));
    send_numbered(asker, 1 | TOP_BIT, "q");
    CHECK_TAKES(s, &message, "q");
    for (int i = 0; i < 5; i++) {
        CHECK(CAN_SEND(s));
        answer(s, &message, ((const char[]){(char)('a' + i), 0}));
    }
    CHECK_RECV(asker, "a");
    CHECK_RECV(asker, "b");
    CHECK_AGAIN(asker);
    answer(s, &message, "z");
    CHECK_RECV(asker, "z");
    CHECK_CLOSE(asker, s);
}

/* protocols 5.2, 10: raw sockets count the words, too. */
static void an_answerer_drops_malformed_requests(int s, int asker)
{
    struct message message;
    unsigned char words[16 * 4];
    static const int limits[] = {8, 1, 2, 3, 15};
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        set_int(s, NN_MAXTTL, limits[i]);
        for (int count = 1; count <= limits[i] + 1; count++) {
            for (int j = 0; j < count; j++)
                put_word(words + 4 * j, j + 1 == count ? TOP_BIT : (uint32_t)j);
            CHECK_EQ(nn_send(asker, words, 4 * (size_t)count - 1, 0), 4 * count - 1);
            CHECK_EQ(nn_send(asker, words, 4 * (size_t)(count - 1), 0), 4 * (count - 1));
            CHECK_EQ(nn_send(asker, words, 4 * (size_t)count, 0), 4 * count);
            if (count > limits[i]) {
                for (int j = 0; j < 4; j++)
                    CHECK_AGAIN(s);
                continue;
            }
            CHECK_TAKES(s, &message, "");
            CHECK_EQ(message.header_size, 4 * (count + 1));
            CHECK_MEM(message.header + 4, words, 4 * (size_t)count);
        }
    }
    CHECK_EQ(nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS), 1);
}

/* protocols 2.2, core 5.5: the exact bytes, and the smallest block that takes them. */
static void the_header_has_its_layout(int s, int asker)
{
    for (size_t count = 1; count <= 3; count++) {
        /* One, two or three words and the key: 8, 12 or 16 bytes. */
        const size_t size = 4 * (count + 1), length = NN_CMSG_SPACE(WORD_SIZE + size);
        const unsigned char words[] = {WORD(1), WORD(2), WORD(0x80000003)};
        const unsigned char *used = words + sizeof words - 4 * count;
        for (int room = -1; room <= 9; room++) {
            unsigned char control[64], body;
            struct nn_iovec part = {&body, 1};
            struct nn_msghdr header = {&part, 1, control, length + (size_t)room};
            struct nn_cmsghdr entry;
            size_t shown;
            memset(control, 0xee, sizeof control);
            CHECK_EQ(send_message(asker, used, 4 * count, "q", 1, 0), 1);
            CHECK_EQ(nn_recvmsg(s, &header, 0), 1);
            CHECK_EQ(header.msg_controllen, length + (size_t)room);
            CHECK(header.msg_control == control);
            if (room < 0) {
                for (size_t i = 0; i < sizeof control; i++)
                    CHECK_EQ(control[i], 0xee);
                continue;
            }
            memcpy(&entry, control, sizeof entry);
            memcpy(&shown, control + sizeof entry, sizeof shown);
            CHECK_EQ(entry.cmsg_len, length);
            CHECK_EQ(entry.cmsg_level, 1);
            CHECK_EQ(entry.cmsg_type, 1);
            CHECK_EQ(shown, size);
            CHECK_EQ(control[sizeof entry + WORD_SIZE] & 0x80, 0);
            CHECK_MEM(control + sizeof entry + WORD_SIZE + 4, used, 4 * count);
            CHECK_EQ(control[length], 0xee);
        }
    }
}

/* core 5.5: with NN_MSG a block of exactly the needed size. */
static void the_header_comes_in_a_chunk(int s, int asker)
{
    for (int i = 0; i < 3; i++) {
        void *body = NULL, *control = NULL;
        struct nn_iovec part = {&body, NN_MSG};
        struct nn_msghdr header = {&part, 1, &control, NN_MSG};
        struct nn_cmsghdr *entry;
        send_numbered(asker, 1 | TOP_BIT, "q");
        CHECK_EQ(nn_recvmsg(s, &header, 0), 1);
        CHECK_EQ(header.msg_controllen, NN_MSG);
        entry = NN_CMSG_FIRSTHDR(&header);
        REQUIRE(entry != NULL && (void *)entry == control);
        CHECK_EQ(entry->cmsg_len, NN_CMSG_SPACE(WORD_SIZE + 8));
        CHECK_EQ(entry->cmsg_level, PROTO_SP);
        CHECK_EQ(entry->cmsg_type, SP_HDR);
        CHECK(NN_CMSG_NXTHDR(&header, entry) == NULL);
        CHECK_EQ(word_at(NN_CMSG_DATA(entry) + WORD_SIZE + 4), 1 | TOP_BIT);
        /* The answer takes both chunks, or the body only. */
        memcpy(body, "a", 1);
        if (i == 2) {
            header.msg_control = control;
            header.msg_controllen = NN_CMSG_SPACE(WORD_SIZE + 8);
        }
        CHECK_EQ(nn_sendmsg(s, &header, 0), 1);
        if (i == 2)
            CHECK_EQ(nn_freemsg(control), 0);
        CHECK_RECV(asker, "a");
    }
}

/* core-quirks A-42: the received block is echoed from a buffer that is larger than needed, with
 * whatever lies behind the entry. */
static void a_received_block_routes_the_answer(int s, int asker)
{
    static const int fillings[] = {0, 0xff, 0x11, 0xee};
    for (size_t i = 0; i < COUNT_OF(fillings); i++)
        for (size_t room = 32; room <= 256; room += 56) {
            unsigned char control[256], body[16];
            struct nn_iovec part = {body, 16};
            struct nn_msghdr header = {&part, 1, control, room};
            memset(control, fillings[i], sizeof control);
            send_numbered(asker, 1 | TOP_BIT, "q");
            CHECK_EQ(nn_recvmsg(s, &header, 0), 1);
            part.iov_len = 1;
            CHECK_EQ(nn_sendmsg(s, &header, 0), 1);
            CHECK_RECV(asker, "q");
        }
}

/* core 5.6: "cmsg_len may be the padded or the unpadded length"; the first SP_HDR entry counts,
 * wherever it stands; what claims more than there is, is ignored. */
static void an_entry_is_found_and_checked(int s, int asker)
{
    struct message message;
    const unsigned char words[] = {WORD(1), WORD(0x80000002)};
    unsigned char control[256];
    struct nn_iovec part = {(void *)"q", 1};
    struct nn_msghdr header = {&part, 1, control, 0};

    /* An entry of somebody else, ours with 8 + 8 bytes unpadded, and another SP_HDR behind it. */
    struct nn_cmsghdr other = {NN_CMSG_SPACE(5), 77, 1};
    memset(control, 0, sizeof control);
    memcpy(control, &other, sizeof other);
    size_t used = put_header(control + other.cmsg_len, words, 8) + other.cmsg_len;
    header.msg_controllen = used + put_header(control + used, words, 4);
    CHECK_EQ(nn_sendmsg(asker, &header, 0), 1);
    CHECK_TAKES(s, &message, "q");
    CHECK_EQ(message.header_size, 12);
    CHECK_MEM(message.header + 4, words, 8);

    /* Four bytes with the length not rounded up, the last entry of its block. */
    size_t length = NN_CMSG_LEN(WORD_SIZE + 4);
    header.msg_controllen = put_header(control, words + 4, 4);
    memcpy(control, &length, sizeof length);
    CHECK_EQ(nn_sendmsg(asker, &header, 0), 1);
    CHECK_TAKES(s, &message, "q");
    CHECK_EQ(message.header_size, 8);
    CHECK_EQ(word_at(message.header + 4), 0x80000002);

    /* A count that is larger than the entry: no header at all, and so no request. */
    for (size_t count = 9; count != 0; count = count == 9 ? SIZE_MAX : 0) {
        header.msg_controllen = put_header(control, words, 8);
        memcpy(control + sizeof(struct nn_cmsghdr), &count, sizeof count);
        CHECK_EQ(nn_sendmsg(asker, &header, 0), 1);
        CHECK_AGAIN(s);
    }
}

/* core-quirks B-13 to B-15: lengths that lead nowhere end the walk. */
static void an_entry_with_a_bogus_length_is_ignored(int s, int asker)
{
    static const size_t lengths[] = {0, 1, 8, sizeof(struct nn_cmsghdr) - 1, SIZE_MAX,
                                     SIZE_MAX - 7, SIZE_MAX - 15,
                                     SIZE_MAX / 2};
    struct message message;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        const unsigned char id[] = {WORD(0x80000009)};
        unsigned char control[128];
        struct nn_iovec part = {(void *)"\x80\0\0\1q", 5};
        struct nn_msghdr header = {&part, 1, control, sizeof control};
        memset(control, 0, sizeof control);
        put_header(control, id, 4);
        memcpy(control, &lengths[i], sizeof lengths[i]);
        CHECK_EQ(nn_sendmsg(asker, &header, 0), 5);
        CHECK_TAKES(s, &message, "q");
        CHECK_EQ(message.header_size, 8);
        CHECK_EQ(word_at(message.header + 4), 0x80000001);
    }
}

/* protocols 2.6, core-quirks A-32: a raw REQ waits for a peer that can take its message, a raw
 * SURVEYOR does not; protocols 2.8: with a receive buffer of one byte inproc takes two. */
static void an_asker_meets_a_busy_answerer(void)
{
    struct url url = unique_url("inproc");
    int s = open_socket(AF_SP_RAW, answering), asker = open_asker(url.text);
    int waits = asking == NN_REQ;
    set_int(s, NN_RCVBUF, 1);
    CHECK_EQ(nn_send(asker, "\x80\0\0\1z", 5, NN_DONTWAIT), waits ? -1 : 5);
    CHECK_OK(nn_bind(s, url.text));
    CHECK_EQ(nn_send(asker, "\x80\0\0\1a", 5, NN_DONTWAIT), 5);
    CHECK_EQ(nn_send(asker, "\x80\0\0\1b", 5, NN_DONTWAIT), 5);
    CHECK_EQ(CAN_SEND(asker), !waits);
    for (int i = 0; i < 3; i++)
        if (waits)
            CHECK_ERRNO(nn_send(asker, "\x80\0\0\1c", 5, NN_DONTWAIT), -1, EAGAIN);
        else
            CHECK_EQ(nn_send(asker, "\x80\0\0\1c", 5, NN_DONTWAIT), 5);
    CHECK_RECV(s, "a");
    CHECK(CAN_SEND(asker));
    CHECK_EQ(nn_send(asker, "\x80\0\0\1d", 5, NN_DONTWAIT), 5);
    CHECK_RECV(s, "b");
    CHECK_RECV(s, "d");
    CHECK_AGAIN(s);
    CHECK_CLOSE(asker, s);
}

/* protocols 2.4, 2.5: a raw REQ asks one after the other, a raw SURVEYOR all. */
static void an_asker_asks_one_or_all(void)
{
    struct url urls[3] = {unique_url("inproc"), unique_url("inproc"), unique_url("inproc")};
    int s[3], asker = open_socket(AF_SP_RAW, asking);
    for (int i = 0; i < 3; i++) {
        s[i] = open_answerer(urls[i].text);
        CHECK_OK(nn_connect(asker, urls[i].text));
    }
    for (int i = 0; i < 6; i++) {
        send_numbered(asker, (uint32_t)i | TOP_BIT, "q");
        for (int j = 0; j < 3; j++)
            if (asking == NN_SURVEYOR || j == i % 3)
                CHECK_RECV(s[j], "q");
            else
                CHECK_AGAIN(s[j]);
    }
    CHECK_CLOSE(asker);
    for (int i = 0; i < 3; i++)
        CHECK_CLOSE(s[i]);
}

/* protocols 4.5, 8.3: "No timers, no matching." */
static void an_asker_takes_what_it_did_not_ask_for(int s, int asker)
{
    struct message message;
    send_numbered(asker, 1 | TOP_BIT, "q");
    CHECK_TAKES(s, &message, "q");
    put_word(message.header + 4, 12345);
    answer(s, &message, "one");
    put_word(message.header + 4, 0xffffffff);
    answer(s, &message, "two");
    CHECK_TAKES(asker, &message, "one");
    CHECK_EQ(word_at(message.header), 12345);
    CHECK_TAKES(asker, &message, "two");
    CHECK_EQ(word_at(message.header), 0xffffffff);
    CHECK_AGAIN(asker);
}

int main(int count, char **words)
{
    const char *family = test_begin_with("protocols/raw", "reqrep|survey", 58, count, words);
    int reqrep = strcmp(family, "reqrep") == 0;
    asking = reqrep ? NN_REQ : NN_SURVEYOR;
    answering = reqrep ? NN_REP : NN_RESPONDENT;
    RUN_WITH(with_asker, an_asker_shows_the_first_word_only);
    RUN_WITH(with_asker, an_asker_sends_header_and_body_as_they_are);
    RUN(keys_count_the_pipes);
    RUN_WITH(with_askers, an_answerer_answers_whom_it_likes);
    RUN(an_answer_to_nobody_is_dropped);
    RUN(an_answer_to_a_busy_pipe_is_dropped);
    RUN_WITH(with_asker, an_answerer_drops_malformed_requests);
    RUN_WITH(with_asker, the_header_has_its_layout);
    RUN_WITH(with_asker, the_header_comes_in_a_chunk);
    RUN_WITH(with_asker, a_received_block_routes_the_answer);
    RUN_WITH(with_asker, an_entry_is_found_and_checked);
    RUN_WITH(with_asker, an_entry_with_a_bogus_length_is_ignored);
    RUN(an_asker_meets_a_busy_answerer);
    RUN(an_asker_asks_one_or_all);
    RUN_WITH(with_asker, an_asker_takes_what_it_did_not_ask_for);
    return test_end();
}
