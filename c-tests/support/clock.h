/* The time, and waiting for what must happen. */

#ifndef SPMSG_SUPPORT_CLOCK_H
#define SPMSG_SUPPORT_CLOCK_H

#include "support/check.h"

#include <stdint.h>

/* How long a helper waits for something that must happen, on however slow a machine. */
enum { PATIENCE_MS = 10000 };

int64_t now_us(void);

int64_t now_ms(void);

void nap_ms(int ms);

/* Looks at the condition every millisecond; true as soon as it holds, false at the deadline. */
#define wait_until(condition, ms) __extension__ ({ \
    int64_t deadline_ = now_ms() + (ms); \
    int held_; \
    while (!(held_ = !!(condition)) && now_ms() < deadline_) \
        nap_ms(1); \
    held_; \
})

/* Our library is never early; the reference may be by up to 10 ms (core-quirks C-12). */
#define CHECK_NOT_EARLY(since_us, ms) \
    CHECK_AT_LEAST(now_us() - (since_us), ((ms) - (reference() ? 10 : 0)) * INT64_C(1000))

#endif
