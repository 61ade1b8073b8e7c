#!/usr/bin/env python3
"""What it costs a PUB that the oldest messages could make room for newer ones (SPMSG_DROP)."""

import statistics
import sys

import harness

SIZE = 64
SUBSCRIBERS = 8


def cases_of(transport):
    return [f"{family}:{transport}:{SIZE}:{SUBSCRIBERS}" for family in ("fanout", "oldest")]


def row(transport, rounds):
    plain, oldest = zip(*rounds)
    rates = [statistics.median(result["rate"] for result in results)
             for results in (plain, oldest)]
    return (f"{transport:8}" + "".join(f"{rate / 1000:10.1f}" for rate in rates)
            + f"{harness.ratio('rate', oldest, plain):10.2f}"
            + f"{harness.ratio('cpu_us', plain, oldest):10.2f}")


HEADING = (f"thousands of messages of {SIZE} bytes that {SUBSCRIBERS} subscribers "
           "receive in a second\n\n"
           f"{'':8}{'fanout':>10}{'oldest':>10}{'ratio':>10}{'in CPU':>10}")

if __name__ == "__main__":
    sys.exit(harness.report_transports(__doc__, HEADING, cases_of, row))
