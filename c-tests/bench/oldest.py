#!/usr/bin/env python3
"""What it costs a PUB that the oldest messages could make room for newer ones (SPMSG_DROP), and to
count queues in messages (SPMSG_SNDBUF_MESSAGES, SPMSG_RCVBUF_MESSAGES)."""

import statistics
import sys

import harness

SIZE = 64
SUBSCRIBERS = 8


def cases_of(transport):
    return [f"{family}:{transport}:{SIZE}:{SUBSCRIBERS}"
            for family in ("fanout", "oldest", "counted")]


def row(transport, rounds):
    plain, oldest, counted = zip(*rounds)
    rates = [statistics.median(result["rate"] for result in results)
             for results in (plain, oldest, counted)]
    return (f"{transport:8}" + "".join(f"{rate / 1000:10.1f}" for rate in rates)
            + "".join(f"{harness.ratio('rate', other, plain):10.2f}"
                      f"{harness.ratio('cpu_us', plain, other):10.2f}"
                      for other in (oldest, counted)))


HEADING = (f"thousands of messages of {SIZE} bytes that {SUBSCRIBERS} subscribers "
           "receive in a second\n\n"
           f"{'':8}{'fanout':>10}{'oldest':>10}{'counted':>10}{'oldest':>10}{'in CPU':>10}"
           f"{'counted':>10}{'in CPU':>10}\n"
           f"{'':38}{'to fanout':>10}{'time':>10}{'to fanout':>10}{'time':>10}")

if __name__ == "__main__":
    sys.exit(harness.report_transports(__doc__, HEADING, cases_of, row))
