/* A kernel and a host that are within their rights, and seldom meant to be met: accepting that fails
 * for good, and writing that takes a few bytes at a time.
 *
 *   network ipc|tcp|ws [EFFORT [SEED]] */

#include "faultshim.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-stream.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/trial.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- accepting that fails for good ---- */

/* Tries in a second, of which the first few may come at once. */
enum { TRIES_MAX = 60 };

static void check_failing_accept(int error)
{
    struct url url = unique_url(trial.scheme);
    struct sockaddr_storage address;
    socklen_t size = raw_address(url.text, &address);
    int s = bound_pair(url.text);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fault_often("accept4", error, 1000, trial.seed);
    CHECK_EQ(connect(fd, (struct sockaddr *)&address, size), 0);
    CHECK(wait_until(fault_calls() > 0, PATIENCE_MS));
    int64_t cpu = cpu_us(), start = now_us();
    nap_ms(1000);
    int64_t lasted = now_us() - start;
    CHECK_AT_MOST((cpu_us() - cpu) * 5, lasted);
    CHECK_AT_MOST(fault_end(), TRIES_MAX * (lasted / 1000000 + 1));
    close(fd);
    check_serves(s, url.text);
    CHECK_CLOSE(s);
}

static void accepting_that_fails_for_good_costs_no_processor(void)
{
    const int errors[] = {ENETDOWN, EPROTO, ECONNABORTED, EINTR};
    for (size_t i = 0; i < COUNT_OF(errors); i++)
        check_failing_accept(errors[i]);
}

int main(int count, char **words)
{
    trial_begin("robustness/network", "ipc|tcp|ws", 60, count, words);
    RUN(accepting_that_fails_for_good_costs_no_processor);
    RUN(nothing_is_left);
    return test_end();
}
