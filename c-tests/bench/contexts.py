#!/usr/bin/env python3
"""What contexts bring: many requests at a time on one REQ, by one thread or by several, against
one after another."""

import statistics
import sys

import harness

SIZE = 64
AT_A_TIME = 64
THREADS = 8


def cases_of(transport):
    """Many at a time through contexts, and one after another through one and without any; and
    threads that ask one after another each."""
    return (f"ctx:{transport}:{SIZE}:{AT_A_TIME}", f"ctx:{transport}:{SIZE}:1",
            f"lat:req:{transport}:{SIZE}", f"askers:{transport}:{SIZE}:{THREADS}")


def row(transport, rounds):
    many, context, plain, threads = zip(*rounds)

    rates = [statistics.median(result["rate"] for result in results)
             for results in (many, context, plain, threads)]
    return (f"{transport:8}" + "".join(f"{rate / 1000:10.1f}" for rate in rates)
            + f"{harness.ratio('rate', many, context):12.2f}"
            + f"{harness.ratio('rate', many, plain):10.2f}"
            + f"{harness.ratio('cpu_us', plain, many):10.2f}"
            + f"{harness.ratio('rate', threads, plain):12.2f}")


HEADING = (f"thousands of requests of {SIZE} bytes answered in a second\n\n"
           f"{'':8}{AT_A_TIME:>7} at{'1 at a':>10}{'without':>10}{THREADS:>10}{'gain over':>12}"
           f"{'over':>10}{'in CPU':>10}{'by threads':>12}\n"
           f"{'':8}{'a time':>10}{'time':>10}{'contexts':>10}{'threads':>10}{'1 at a time':>12}"
           f"{'without':>10}{'time':>10}{'':12}")

if __name__ == "__main__":
    sys.exit(harness.report_transports(__doc__, HEADING, cases_of, row))
