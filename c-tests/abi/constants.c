/* The value of every constant, when it is compiled and when it is run; the numbers that errors get
 * on systems that do not know them; and that a program may declare the functions its own way. */

#define NN_EXPORT extern __attribute__((visibility("default")))

#include "support/cases.h"
#include "support/check.h"

#include <nanomsg/bus.h>
#include <nanomsg/inproc.h>
#include <nanomsg/ipc.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>
#include <nanomsg/tcp.h>
#include <nanomsg/ws.h>

#include <stdint.h>

#include "constants.inc"

#define SAME(name, value) typedef char constant_##name[(name) == (value) ? 1 : -1];
CONSTANTS_all(SAME)

static void every_constant_has_its_value(void)
{
#define CHECK_VALUE(name, value) CHECK_EQ(name, value);
    CONSTANTS_all(CHECK_VALUE)
    CHECK(NN_MSG == SIZE_MAX);
    CHECK_EQ(sizeof(NN_MSG), sizeof(size_t));
}

/* Whoever names a constant in an expression gets an int, which may also be negative. */
static void constants_are_ints(void)
{
#define CHECK_INT(name, value) CHECK(_Generic((name), int: 1, default: 0));
    CONSTANTS_all(CHECK_INT)
    CHECK(NN_WS < 0);
    CHECK_EQ(10 -NN_WS, 14);
    CHECK_EQ(10 * NN_REP, 490);
}

static void functions_are_declared_as_the_program_wants(void)
{
#define TEXT(token) TEXT_(token)
#define TEXT_(token) #token
    CHECK_STR(TEXT(NN_EXPORT), "extern __attribute__((visibility(\"default\")))");
}

int main(void)
{
    test_begin("abi/constants", 25);
    RUN(every_constant_has_its_value);
    RUN(constants_are_ints);
    RUN(functions_are_declared_as_the_program_wants);
    return test_end();
}
