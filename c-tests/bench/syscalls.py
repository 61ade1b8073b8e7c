#!/usr/bin/env python3
"""Counts the system calls of one operation, both sides together, in any case.

The slope between two runs with different numbers of operations leaves out whatever starting,
connecting and stopping cost. Needs strace.
"""

import argparse
import collections
import os
import statistics
import sys

import harness

CASES_DEFAULT = [f"lat:pair:{transport}:64{place}"
                 for transport in ("inproc", "ipc", "tcp") for place in ("@0", "")]
FEW = 500
MANY = 2500
WARM = 100
LARGE_SIZE = 100_000
# As in publish.c: a window is not cut, and one alone tells little.
WINDOW = 32
TOPICS_WINDOW = 256
SHOWN_CALLS = 8
SHOWN_LEAST = 0.05


def parse_table(text):
    """Calls by name from the table of strace -c; its errors column may be empty."""
    calls = collections.Counter()
    for line in text.splitlines():
        fields = line.split()
        if len(fields) not in (5, 6) or not fields[3].isdigit() or fields[-1] == "total":
            continue
        calls[fields[-1]] += int(fields[3])
    return calls


def count_calls(program, library, case, operations, warm, table):
    """Calls by name, and how many operations they were: a window is not cut short."""
    result = harness.run(program, library, case,
                         ["--count", str(operations), "--warm-count", str(warm)],
                         ["strace", "-f", "-c", "-o", table])
    with open(table, encoding="utf-8") as file:
        calls = parse_table(file.read())
    if not calls:
        raise harness.RunError("strace counted nothing; may it trace here?")
    return calls, result["count"]


def operations_for(case):
    """Numbers of operations whose difference is neither noise nor many minutes under strace."""
    fields = case.split("@")[0].split(":")
    if fields[0] == "mem":
        return 0, 0
    size = max((int(field) for field in fields if field.isdigit()), default=0)
    if fields[0] == "subs":
        return 10 * TOPICS_WINDOW, 40 * TOPICS_WINDOW
    if fields[0] in ("fanout", "oldest", "counted", "last"):
        return 10 * WINDOW * int(fields[3]), 40 * WINDOW * int(fields[3])
    if size >= LARGE_SIZE:
        return 20, 60
    if fields[0] in ("lat", "poll", "pollv", "dev", "survey", "churn", "burst", "tail"):
        return 100, 400
    return FEW, MANY


def slope(program, library, case, few_operations, many_operations, table, warm=WARM):
    """System calls per operation by name."""
    (few, fewer), (many, more) = (
        count_calls(program, library, case, operations, warm, table)
        for operations in (few_operations, many_operations))
    distance = more - fewer
    if distance <= 0:
        raise harness.RunError(
            f"{case}: {few_operations} and {many_operations} are the same to it")
    return {name: (many[name] - few[name]) / distance for name in many | few}


def median_slopes(program, library, case, options, table):
    slopes = [slope(program, library, case, options.few, options.many, table, options.warm)
              for _ in range(options.repeat)]
    names = set().union(*slopes)
    by_name = {name: statistics.median(s.get(name, 0) for s in slopes) for name in names}
    # The total is taken of each repetition: medians of parts need not add up.
    return statistics.median(sum(s.values()) for s in slopes), by_name


def describe(by_name):
    largest = sorted(by_name.items(), key=lambda item: -item[1])[:SHOWN_CALLS]
    return ", ".join(f"{name} {count:.1f}" for name, count in largest if count >= SHOWN_LEAST)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    harness.add_common_options(parser)
    harness.add_slope_options(parser, FEW, MANY, WARM)
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="medians of N slopes")
    parser.add_argument("--only", choices=("ours", "reference"), help="count one library only")
    parser.add_argument("--at-most", type=float, metavar="N",
                        help="fail when ours needs more than N in one of the cases")
    options = parser.parse_args()
    if not 0 < options.few < options.many or options.repeat < 1 or options.warm < 1:
        parser.error("needs 0 < few < many, and repeat and warm of 1 or more")
    if options.only == "reference" and options.at_most is not None:
        parser.error("--at-most is about ours")
    return options


def count(options, root):
    program = harness.program_of(options)
    libraries = []
    if options.only != "reference":
        libraries.append(harness.stage("ours", options.ours, root))
    if options.only != "ours":
        libraries.append(harness.stage("reference", harness.reference_of(options), root))
    known = harness.listed_cases(program, libraries[0], every=True)
    cases = harness.choose_cases(options.cases, known) if options.cases else CASES_DEFAULT
    missed = False
    print(f"{'case':<26} {'library':<10} {'calls':>7}  of which")
    for case in cases:
        for library in libraries:
            total, by_name = median_slopes(program, library, case, options,
                                           os.path.join(root, "table"))
            over = (options.at_most is not None and library.name == "ours"
                    and total > options.at_most)
            missed = missed or over
            remark = f"  OVER {options.at_most:g}" if over else ""
            print(f"{case:<26} {library.name:<10} {total:>7.2f}  {describe(by_name)}{remark}",
                  flush=True)
    return 1 if missed else 0


def main():
    return harness.count_with("strace", "syscalls.py", parse_options(), count)


if __name__ == "__main__":
    sys.exit(main())
