#!/usr/bin/env python3
"""What contexts bring: many requests at a time on one REQ, against one after another."""

import argparse
import statistics
import sys
import tempfile

import harness

SIZE = 64
AT_A_TIME = 64


def cases_of(transport):
    """Many at a time through contexts, and one after another through one and without any."""
    return (f"ctx:{transport}:{SIZE}:{AT_A_TIME}", f"ctx:{transport}:{SIZE}:1",
            f"lat:req:{transport}:{SIZE}")


def row(transport, rounds):
    many, context, plain = zip(*rounds)

    def gain(field, of, over):
        return statistics.median(of_one[field] / over_one[field]
                                 for of_one, over_one in zip(of, over))

    rates = [statistics.median(result["rate"] for result in results)
             for results in (many, context, plain)]
    return (f"{transport:8}" + "".join(f"{rate / 1000:10.1f}" for rate in rates)
            + f"{gain('rate', many, context):12.2f}{gain('rate', many, plain):10.2f}"
            + f"{gain('cpu_us', plain, many):10.2f}")


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
            print(f"thousands of requests of {SIZE} bytes answered in a second\n")
            print(f"{'':8}{AT_A_TIME:>7} at{'1 at a':>10}{'without':>10}{'gain over':>12}"
                  f"{'over':>10}{'in CPU':>10}")
            print(f"{'':8}{'a time':>10}{'time':>10}{'contexts':>10}{'1 at a time':>12}"
                  f"{'without':>10}{'time':>10}")
            for transport in options.transports.split(","):
                rounds = [[harness.run(program, library, case + suffix,
                                       ["--seconds", options.seconds])
                           for case in cases_of(transport)] for _ in range(options.rounds)]
                print(row(transport, rounds), flush=True)
    except harness.RunError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
