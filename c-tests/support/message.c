#include "support/message.h"

#include "support/check.h"

#include <nanomsg/nn.h>

#include <stdint.h>
#include <string.h>

uint32_t word_at(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

void put_word(unsigned char *bytes, uint32_t word)
{
    const unsigned char four[4] = {WORD(word)};
    memcpy(bytes, four, 4);
}

int recv_message(int s, struct message *message, int flags)
{
    unsigned char control[sizeof message->header + 64];
    struct nn_iovec part = {message->body, sizeof message->body};
    struct nn_msghdr header = {&part, 1, control, sizeof control};
    struct nn_cmsghdr entry;
    memset(control, 0xee, sizeof control);
    message->header_size = 0;
    message->size = nn_recvmsg(s, &header, flags);
    if (message->size < 0)
        return message->size;
    CHECK_EQ(header.msg_controllen, sizeof control);
    memcpy(&entry, control, sizeof entry);
    CHECK_EQ(entry.cmsg_level, PROTO_SP);
    CHECK_EQ(entry.cmsg_type, SP_HDR);
    memcpy(&message->header_size, control + sizeof entry, sizeof(size_t));
    CHECK_EQ(entry.cmsg_len, NN_CMSG_SPACE(sizeof(size_t) + message->header_size));
    REQUIRE(message->header_size <= sizeof message->header);
    memcpy(message->header, control + sizeof entry + sizeof(size_t), message->header_size);
    size_t used = sizeof entry + sizeof(size_t) + message->header_size;
    for (size_t i = used; i < entry.cmsg_len && !reference(); i++)
        CHECK_EQ(control[i], 0);
    CHECK_EQ(control[entry.cmsg_len], 0xee);
    return message->size;
}

size_t put_header(unsigned char *control, const void *bytes, size_t size)
{
    struct nn_cmsghdr entry = {NN_CMSG_SPACE(sizeof size + size), PROTO_SP, SP_HDR};
    memset(control, 0, entry.cmsg_len);
    memcpy(control, &entry, sizeof entry);
    memcpy(control + sizeof entry, &size, sizeof size);
    if (size > 0)
        memcpy(control + sizeof entry + sizeof size, bytes, size);
    return entry.cmsg_len;
}

int send_message(int s, const void *header_bytes, size_t header_size, const void *body,
                 size_t size, int flags)
{
    unsigned char control[2048];
    struct nn_iovec part = {(void *)(uintptr_t)body, size};
    struct nn_msghdr header = {&part, 1, control, 0};
    REQUIRE(NN_CMSG_SPACE(sizeof(size_t) + header_size) <= sizeof control);
    header.msg_controllen = put_header(control, header_bytes, header_size);
    return nn_sendmsg(s, &header, flags);
}

void send_numbered(int s, uint32_t id, const char *text)
{
    const unsigned char header[4] = {WORD(id)};
    CHECK_EQ(send_message(s, header, 4, text, strlen(text), 0), strlen(text));
}

uint32_t id_of(const struct message *question)
{
    REQUIRE(question->header_size == 8);
    return word_at(question->header + 4);
}

void answer_bytes(int s, const struct message *question, const void *bytes, size_t size)
{
    CHECK_EQ(send_message(s, question->header, 4, bytes, size, 0), size);
}

void answer(int s, const struct message *message, const char *text)
{
    CHECK_EQ(send_message(s, message->header, message->header_size, text, strlen(text), 0),
             strlen(text));
}
