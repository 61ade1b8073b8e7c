/* What doc/guide/migrating.md says of nng's compatibility layer: the calls stay, and sockets of nng
 * go on talking to ours, with the type that the layer opens.
 *
 *   migrating-nng COMPAT_OF_NNG COMPAT_OF_OURS */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/process.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <stdlib.h>

static char *programs[2];

static void talk_to(char *program)
{
    static const char *const schemes[] = {"ipc", "tcp", "ws"};
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        struct url url = unique_url(schemes[i]);
        char *words[] = {program, url.text, NULL};
        struct child child;
        int s = bound_pair(url.text);
        child_exec(&child, words, NULL);
        CHECK_RECV(s, "hello");
        CHECK_EQ(nn_send(s, "enough", 6, 0), 6);
        CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
        CHECK_CLOSE(s);
    }
}

static void a_program_of_the_layer_talks_to_us(void)
{
    talk_to(programs[0]);
}

static void the_same_program_is_one_of_ours(void)
{
    talk_to(programs[1]);
}

int main(int count, char **words)
{
    test_begin("interop/migrating-nng", 50);
    REQUIRE(count == 3);
    programs[0] = words[1];
    programs[1] = words[2];
    RUN(a_program_of_the_layer_talks_to_us);
    RUN(the_same_program_is_one_of_ours);
    return test_end();
}
