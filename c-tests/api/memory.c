/* nn_allocmsg, nn_reallocmsg and nn_freemsg: the memory of messages, without a socket. */

#include "support/cases.h"
#include "support/check.h"
#include "support/random.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <limits.h>
#include <stdint.h>

/* No machine has that much in one piece, although no sum of it with little more wraps. */
#define TOO_LARGE (SIZE_MAX > UINT32_MAX ? SIZE_MAX / 4 : SIZE_MAX / 2 - 8)

/* Memory that did not come from nn_allocmsg, with enough around it for a look at what precedes. */
static char foreign[16384] __attribute__((aligned(4096)));

/* abi 6.12, 6.14: needs no socket. */
static void allocated_memory_is_aligned_and_writable(void)
{
    static const size_t sizes[] = {0, 1, 2, 15, 16, 17, 64, 100, 1000, 2048, 4096, 65536, 1048576,
                                   3000000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        void *first = nn_allocmsg(sizes[i], 0), *second = nn_allocmsg(sizes[i], 0);
        CHECK(first != NULL);
        CHECK(second != NULL);
        CHECK(first != second);
        CHECK_EQ((uintptr_t)first % (2 * sizeof(void *)), 0);
        CHECK_EQ((uintptr_t)second % (2 * sizeof(void *)), 0);
        fill_body(first, sizes[i], 1);
        fill_body(second, sizes[i], 2);
        CHECK(is_body(first, sizes[i], 1));
        CHECK(is_body(second, sizes[i], 2));
        CHECK_EQ(nn_freemsg(first), 0);
        CHECK_EQ(nn_freemsg(second), 0);
    }
}

/* abi 6.12: a size that wraps is found before a bad type, and that before the allocation. */
static void an_allocation_that_cannot_be_is_refused(void)
{
    for (size_t below = 0; below < 32; below++) {
        CHECK_ERRNO(nn_allocmsg(SIZE_MAX - below, 0), 0, ENOMEM);
        CHECK_ERRNO(nn_allocmsg(SIZE_MAX - below, 1), 0, ENOMEM);
    }
    CHECK_ERRNO(nn_allocmsg(SIZE_MAX / 2 + 1, 0), 0, ENOMEM);
    CHECK_ERRNO(nn_allocmsg(TOO_LARGE, 0), 0, ENOMEM);
    CHECK_ERRNO(nn_allocmsg(TOO_LARGE, 1), 0, EINVAL);
    CHECK_ERRNO(nn_allocmsg(10, 1), 0, EINVAL);
    CHECK_ERRNO(nn_allocmsg(10, -1), 0, EINVAL);
    CHECK_ERRNO(nn_allocmsg(0, INT_MAX), 0, EINVAL);
}

/* abi 6.13, core-quirks A-38 */
static void reallocating_to_no_more_keeps_the_address(void)
{
    char *message = nn_allocmsg(1000, 0);
    fill_body(message, 1000, 3);
    CHECK(nn_reallocmsg(message, 1000) == message);
    CHECK(is_body(message, 1000, 3));
    CHECK(nn_reallocmsg(message, 999) == message);
    CHECK(nn_reallocmsg(message, 10) == message);
    CHECK(nn_reallocmsg(message, 0) == message);
    CHECK_EQ(nn_freemsg(message), 0);
}

/* abi 6.13, core-quirks A-38: always moves, even where the old memory would have had room. */
static void reallocating_to_more_moves_the_contents(void)
{
    static const size_t steps[] = {1, 2, 3, 17, 100, 101, 5000, 100000, 2000000};
    char *message = nn_allocmsg(0, 0);
    size_t size = 0;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        fill_body(message, size, (unsigned)i);
        char *moved = nn_reallocmsg(message, steps[i]);
        CHECK(moved != NULL);
        CHECK(moved != message);
        CHECK_EQ((uintptr_t)moved % (2 * sizeof(void *)), 0);
        CHECK(is_body(moved, size, (unsigned)i));
        message = moved;
        size = steps[i];
        fill_body(message, size, 9);
    }
    CHECK(nn_reallocmsg(message, 500) == message);
    char *moved = nn_reallocmsg(message, 600);
    CHECK(moved != NULL);
    CHECK(moved != message);
    CHECK(is_body(moved, 500, 9));
    CHECK_EQ(nn_freemsg(moved), 0);
}

/* abi 6.13 */
static void a_reallocation_that_cannot_be_leaves_the_message(void)
{
    char *message = nn_allocmsg(100, 0);
    fill_body(message, 100, 4);
    for (size_t below = 0; below < 32; below++)
        CHECK_ERRNO(nn_reallocmsg(message, SIZE_MAX - below), 0, ENOMEM);
    CHECK_ERRNO(nn_reallocmsg(message, SIZE_MAX / 2 + 1), 0, ENOMEM);
    CHECK_ERRNO(nn_reallocmsg(message, TOO_LARGE), 0, ENOMEM);
    CHECK(is_body(message, 100, 4));
    CHECK(nn_reallocmsg(message, 50) == message);
    CHECK_EQ(nn_freemsg(message), 0);
}

/* core-quirks B-1 and B-3 */
static void no_message_can_be_freed_and_grown(void)
{
    CHECK_EQ(nn_freemsg(NULL), 0);
    char *message = nn_reallocmsg(NULL, 100);
    CHECK(message != NULL);
    CHECK_EQ((uintptr_t)message % (2 * sizeof(void *)), 0);
    fill_body(message, 100, 5);
    CHECK(nn_reallocmsg(message, 100) == message);
    CHECK_EQ(nn_freemsg(message), 0);
    CHECK_ERRNO(nn_reallocmsg(NULL, SIZE_MAX), 0, ENOMEM);
}

/* core-quirks B-2 */
static void memory_of_others_is_not_freed(void)
{
    for (size_t offset = 4096; offset < 4096 + 256; offset += 16)
        CHECK_ERRNO(nn_freemsg(foreign + offset), -1, EFAULT);
    for (size_t i = 0; i < sizeof foreign; i++)
        REQUIRE(foreign[i] == 0);
}

/* core-quirks B-2; of the larger ones an allocator gives the memory back to the kernel at once. */
static void a_second_free_is_refused(void)
{
    static const size_t sizes[] = {0, 10, 100, 500, 20000, 131072, 1 << 20, 5 << 20, 100 << 20};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        void *message = nn_allocmsg(sizes[i], 0);
        CHECK(message != NULL);
        CHECK_EQ(nn_freemsg(message), 0);
        CHECK_ERRNO(nn_freemsg(message), -1, EFAULT);
        CHECK_ERRNO(nn_reallocmsg(message, 10), 0, EFAULT);
    }
}

/* core-quirks B-2: also when many others were freed since, and some of their memory is in use. */
static void a_late_second_free_of_many_is_refused(void)
{
    enum { MANY = 3000, BIG = 200000 };
    static void *messages[MANY];
    for (size_t i = 0; i < MANY; i++) {
        messages[i] = nn_allocmsg(BIG, 0);
        REQUIRE(messages[i] != NULL);
    }
    for (size_t i = 0; i < MANY; i++)
        CHECK_EQ(nn_freemsg(messages[i]), 0);
    char *other = nn_allocmsg(BIG, 0);
    fill_body(other, BIG, 6);
    for (size_t i = 0; i < MANY; i++)
        if (messages[i] != other)
            CHECK_ERRNO(nn_freemsg(messages[i]), -1, EFAULT);
    CHECK(is_body(other, BIG, 6));
    CHECK_EQ(nn_freemsg(other), 0);
    CHECK_ERRNO(nn_freemsg(other), -1, EFAULT);
}

/* abi 6.13: what has moved is no message any more, wherever it was. */
static void what_has_been_reallocated_is_gone(void)
{
    static const size_t sizes[] = {100, 131072, 1 << 20, 5 << 20};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        void *message = nn_allocmsg(sizes[i], 0);
        CHECK(nn_reallocmsg(message, 10) == message);
        char *moved = nn_reallocmsg(message, sizes[i]);
        CHECK(moved != NULL);
        CHECK_ERRNO(nn_freemsg(message), -1, EFAULT);
        CHECK_ERRNO(nn_reallocmsg(message, 1), 0, EFAULT);
        CHECK_EQ(nn_freemsg(moved), 0);
    }
}

int main(void)
{
    test_begin("api/memory", 28);
    RUN(allocated_memory_is_aligned_and_writable);
    RUN(an_allocation_that_cannot_be_is_refused);
    RUN(reallocating_to_no_more_keeps_the_address);
    RUN(reallocating_to_more_moves_the_contents);
    RUN(a_reallocation_that_cannot_be_leaves_the_message);
    RUN(no_message_can_be_freed_and_grown);
    RUN(memory_of_others_is_not_freed);
    RUN(a_second_free_is_refused);
    RUN(a_late_second_free_of_many_is_refused);
    RUN(what_has_been_reallocated_is_gone);
    return test_end();
}
