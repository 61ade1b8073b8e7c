/* The lines of the transcript. What a library may choose freely, such as the keys of pipes and the
 * ids of requests, is written as the order in which it appeared first. */

#include "differential.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { WORDS_MAX = 512 };

static uint64_t words[WORDS_MAX];
static int word_count;

void note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
}

static const char *error_name(int error)
{
    static char number[32];
    switch (error) {
#define NAME(error) case error: return #error;
    NAME(EADDRINUSE) NAME(EADDRNOTAVAIL) NAME(EAFNOSUPPORT) NAME(EAGAIN) NAME(EBADF) NAME(EFAULT)
    NAME(EFSM) NAME(EINTR) NAME(EINVAL) NAME(EMFILE) NAME(EMSGSIZE) NAME(ENAMETOOLONG)
    NAME(ENODEV) NAME(ENOENT) NAME(ENOMEM) NAME(ENOPROTOOPT) NAME(ENOTSUP) NAME(EPROTONOSUPPORT)
    NAME(ETERM) NAME(ETIMEDOUT)
#undef NAME
    default:
        snprintf(number, sizeof number, "errno %d", error);
        return number;
    }
}

void note_result(long long result, int failed)
{
    int error = errno;
    printf(" = %lld", result);
    if (failed)
        printf(" %s", error_name(error));
}

void note_bytes(const char *title, const unsigned char *bytes, size_t size)
{
    printf(" %s[%zu]", title, size);
    if (size > 0)
        putchar(' ');
    for (size_t i = 0; i < size && i < 24; i++)
        printf("%02x", bytes[i]);
    if (size > 24) {
        uint32_t sum = 0;
        for (size_t i = 0; i < size; i++)
            sum = sum * 31 + bytes[i];
        printf(".. %08" PRIx32, sum);
    }
}

static int word_number(uint64_t word)
{
    for (int i = 0; i < word_count; i++)
        if (words[i] == word)
            return i;
    if (word_count == WORDS_MAX)
        return WORDS_MAX;
    words[word_count] = word;
    return word_count++;
}

void forget_words(void)
{
    word_count = 0;
}

/* The header of a message; the padding behind it is anybody's (core-quirks B-42). */
static void note_header(const unsigned char *bytes, size_t size, int is_bus)
{
    uint64_t count = 0;
    memcpy(&count, bytes, sizeof count);
    printf(" header of %" PRIu64 ":", count);
    if (count > size - 8)
        return;
    size_t step = is_bus ? 8 : 4;
    for (size_t i = 0; i + step <= count; i += step) {
        uint64_t word = 0;
        memcpy(&word, bytes + 8 + i, step);
        printf(" #%d", word_number(word));
    }
}

void note_control(const unsigned char *control, size_t size, int is_bus)
{
    size_t offset = 0;
    printf(" control");
    while (offset + sizeof(struct nn_cmsghdr) <= size) {
        struct nn_cmsghdr entry;
        memcpy(&entry, control + offset, sizeof entry);
        if (entry.cmsg_len < sizeof entry || entry.cmsg_len > size - offset)
            break;
        printf(" {%zu %d %d", entry.cmsg_len, entry.cmsg_level, entry.cmsg_type);
        if (entry.cmsg_level == PROTO_SP && entry.cmsg_type == SP_HDR && entry.cmsg_len >= 24)
            note_header(control + offset + sizeof entry, entry.cmsg_len - sizeof entry, is_bus);
        printf("}");
        offset += NN_CMSG_ALIGN_(entry.cmsg_len);
    }
}

void note_end(void)
{
    putchar('\n');
}
