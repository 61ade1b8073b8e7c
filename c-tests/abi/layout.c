/* The memory layout that compiled programs count on: sizes, alignments, offsets (abi 3). */

#include "support/cases.h"
#include "support/check.h"

#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>

#include <stddef.h>
#include <stdint.h>

/* What the machines of 64 bits have, and those of 32. */
#define EITHER(wide, narrow) (sizeof(void *) == 8 ? (wide) : (narrow))

#define ALIGNMENT(type) offsetof(struct { char c; type value; }, value)

#define CHECK_TYPE(type, size, alignment) do { \
    CHECK_EQ(sizeof(type), size); \
    CHECK_EQ(ALIGNMENT(type), alignment); \
} while (0)

/* The kind of the member counts as much as its place: an int that became unsigned is the same
 * memory and another interface. */
#define CHECK_MEMBER(type, member, kind, offset, size) do { \
    CHECK_EQ(offsetof(type, member), offset); \
    CHECK_EQ(sizeof(((type *)0)->member), size); \
    CHECK(_Generic(((type *)0)->member, kind: 1, default: 0)); \
} while (0)

static void iovec(void)
{
    CHECK_TYPE(struct nn_iovec, EITHER(16, 8), EITHER(8, 4));
    CHECK_MEMBER(struct nn_iovec, iov_base, void *, 0, EITHER(8, 4));
    CHECK_MEMBER(struct nn_iovec, iov_len, size_t, EITHER(8, 4), EITHER(8, 4));
}

static void msghdr(void)
{
    CHECK_TYPE(struct nn_msghdr, EITHER(32, 16), EITHER(8, 4));
    CHECK_MEMBER(struct nn_msghdr, msg_iov, struct nn_iovec *, 0, EITHER(8, 4));
    CHECK_MEMBER(struct nn_msghdr, msg_iovlen, int, EITHER(8, 4), 4);
    CHECK_MEMBER(struct nn_msghdr, msg_control, void *, EITHER(16, 8), EITHER(8, 4));
    CHECK_MEMBER(struct nn_msghdr, msg_controllen, size_t, EITHER(24, 12), EITHER(8, 4));
}

static void cmsghdr(void)
{
    CHECK_TYPE(struct nn_cmsghdr, EITHER(16, 12), EITHER(8, 4));
    CHECK_MEMBER(struct nn_cmsghdr, cmsg_len, size_t, 0, EITHER(8, 4));
    CHECK_MEMBER(struct nn_cmsghdr, cmsg_level, int, EITHER(8, 4), 4);
    CHECK_MEMBER(struct nn_cmsghdr, cmsg_type, int, EITHER(12, 8), 4);
}

static void pollfd(void)
{
    CHECK_TYPE(struct nn_pollfd, 8, 4);
    CHECK_MEMBER(struct nn_pollfd, fd, int, 0, 4);
    CHECK_MEMBER(struct nn_pollfd, events, short, 4, 2);
    CHECK_MEMBER(struct nn_pollfd, revents, short, 6, 2);
}

static void symbol_properties(void)
{
    CHECK_TYPE(struct nn_symbol_properties, EITHER(32, 20), EITHER(8, 4));
    CHECK_MEMBER(struct nn_symbol_properties, value, int, 0, 4);
    CHECK_MEMBER(struct nn_symbol_properties, name, const char *, EITHER(8, 4), EITHER(8, 4));
    CHECK_MEMBER(struct nn_symbol_properties, ns, int, EITHER(16, 8), 4);
    CHECK_MEMBER(struct nn_symbol_properties, type, int, EITHER(20, 12), 4);
    CHECK_MEMBER(struct nn_symbol_properties, unit, int, EITHER(24, 16), 4);
}

static void req_handle(void)
{
    CHECK_TYPE(nn_req_handle, EITHER(8, 4), EITHER(8, 4));
    CHECK_MEMBER(nn_req_handle, i, int, 0, 4);
    CHECK_MEMBER(nn_req_handle, ptr, void *, 0, EITHER(8, 4));
}

/* A pointer to a function of exactly this type takes the address without a cast. */
static void prototypes(void)
{
#define CHECK_PROTOTYPE(function, ...) \
    CHECK(_Generic(&function, __VA_ARGS__: 1, default: 0))
    CHECK_PROTOTYPE(nn_errno, int (*)(void));
    CHECK_PROTOTYPE(nn_strerror, const char *(*)(int));
    CHECK_PROTOTYPE(nn_symbol, const char *(*)(int, int *));
    CHECK_PROTOTYPE(nn_symbol_info, int (*)(int, struct nn_symbol_properties *, int));
    CHECK_PROTOTYPE(nn_term, void (*)(void));
    CHECK_PROTOTYPE(nn_allocmsg, void *(*)(size_t, int));
    CHECK_PROTOTYPE(nn_reallocmsg, void *(*)(void *, size_t));
    CHECK_PROTOTYPE(nn_freemsg, int (*)(void *));
    CHECK_PROTOTYPE(nn_cmsg_nxthdr_, struct nn_cmsghdr *(*)(const struct nn_msghdr *,
                                                           const struct nn_cmsghdr *));
    CHECK_PROTOTYPE(nn_socket, int (*)(int, int));
    CHECK_PROTOTYPE(nn_close, int (*)(int));
    CHECK_PROTOTYPE(nn_setsockopt, int (*)(int, int, int, const void *, size_t));
    CHECK_PROTOTYPE(nn_getsockopt, int (*)(int, int, int, void *, size_t *));
    CHECK_PROTOTYPE(nn_bind, int (*)(int, const char *));
    CHECK_PROTOTYPE(nn_connect, int (*)(int, const char *));
    CHECK_PROTOTYPE(nn_shutdown, int (*)(int, int));
    CHECK_PROTOTYPE(nn_send, int (*)(int, const void *, size_t, int));
    CHECK_PROTOTYPE(nn_recv, int (*)(int, void *, size_t, int));
    CHECK_PROTOTYPE(nn_sendmsg, int (*)(int, const struct nn_msghdr *, int));
    CHECK_PROTOTYPE(nn_recvmsg, int (*)(int, struct nn_msghdr *, int));
    CHECK_PROTOTYPE(nn_poll, int (*)(struct nn_pollfd *, int, int));
    CHECK_PROTOTYPE(nn_device, int (*)(int, int));
    CHECK_PROTOTYPE(nn_get_statistic, uint64_t (*)(int, int));
}

int main(void)
{
    test_begin("abi/layout", 25);
    RUN(iovec);
    RUN(msghdr);
    RUN(cmsghdr);
    RUN(pollfd);
    RUN(symbol_properties);
    RUN(req_handle);
    RUN(prototypes);
    return test_end();
}
