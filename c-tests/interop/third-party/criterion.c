/* Tests under Criterion, which runs each in a process of its own and gathers what they say through
 * nanomsg. One fails, one crashes and one ends its process on purpose. */

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>

Test(arithmetic, adds)
{
    cr_assert_eq(2 + 2, 4);
}

Test(arithmetic, fails)
{
    cr_assert_eq(2 + 2, 5, "not today");
}

Test(endings, crash, .signal = SIGSEGV)
{
    raise(SIGSEGV);
}

Test(endings, leave, .exit_code = 3)
{
    exit(3);
}

Test(endings, crash_unasked)
{
    raise(SIGSEGV);
}

#define MANY(n) Test(many, test_##n) { for (int i = 0; i < 200; i++) cr_expect_lt(i, 200); }
MANY(1) MANY(2) MANY(3) MANY(4) MANY(5) MANY(6) MANY(7) MANY(8) MANY(9) MANY(10)
MANY(11) MANY(12) MANY(13) MANY(14) MANY(15) MANY(16) MANY(17) MANY(18) MANY(19) MANY(20)
