#!/usr/bin/env python3
"""What it costs a PUB that the oldest messages could make room for newer ones (SPMSG_DROP)."""

import argparse
import statistics
import sys
import tempfile

import harness

SIZE = 64
SUBSCRIBERS = 8


def row(transport, rounds):
    plain, oldest = zip(*rounds)
    rates = [statistics.median(result["rate"] for result in results)
             for results in (plain, oldest)]

    def ratio(field, of, over):
        return statistics.median(of_one[field] / over_one[field]
                                 for of_one, over_one in zip(of, over))

    return (f"{transport:8}" + "".join(f"{rate / 1000:10.1f}" for rate in rates)
            + f"{ratio('rate', oldest, plain):10.2f}{ratio('cpu_us', plain, oldest):10.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", metavar="PATH", help="the program bench")
    parser.add_argument("--ours", metavar="PATH", default=str(harness.OURS_DEFAULT),
                        help="our library (default target/release/libspmsg.so)")
    parser.add_argument("--transports", default="inproc,ipc,tcp", metavar="LIST")
    parser.add_argument("--pinned", action="store_true", help="everybody runs on CPU 0")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--seconds", default="0.5", metavar="S")
    options = parser.parse_args()
    suffix = "@0" if options.pinned else ""
    try:
        with tempfile.TemporaryDirectory() as root:
            library = harness.stage("ours", options.ours, root)
            program = harness.program_of(options)
            print(f"thousands of messages of {SIZE} bytes that {SUBSCRIBERS} subscribers receive "
                  "in a second\n")
            print(f"{'':8}{'fanout':>10}{'oldest':>10}{'ratio':>10}{'in CPU':>10}")
            for transport in options.transports.split(","):
                rounds = [[harness.run(program, library,
                                       f"{family}:{transport}:{SIZE}:{SUBSCRIBERS}{suffix}",
                                       ["--seconds", options.seconds])
                           for family in ("fanout", "oldest")] for _ in range(options.rounds)]
                print(row(transport, rounds), flush=True)
    except harness.RunError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
