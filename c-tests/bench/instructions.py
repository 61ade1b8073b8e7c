#!/usr/bin/env python3
"""Counts the instructions of one operation, of all threads together, in any case without two sides.

The slope between two runs with different numbers of operations leaves out whatever starting,
connecting and stopping cost. Needs valgrind, which counts what is done outside the kernel.
"""

import argparse
import re
import sys

import harness

CASES_DEFAULT = [f"alone:pair:{transport}:64" for transport in ("inproc", "ipc", "tcp", "ws")]
FEW = 2000
MANY = 12000
WARM = 500
WRAPPER = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
COUNTED = re.compile(r"^==\d+== Collected : (\d+)$", re.MULTILINE)


def parse_count(text):
    """What callgrind says at the end that it has counted."""
    found = COUNTED.findall(text)
    if len(found) != 1:
        raise harness.RunError("valgrind told no count, or of several processes")
    return int(found[0])


def count_instructions(program, library, case, operations, warm, log):
    harness.run(program, library, case, ["--count", str(operations), "--warm-count", str(warm)],
                [*WRAPPER, f"--log-file={log}"])
    with open(log, encoding="utf-8") as file:
        return parse_count(file.read())


def slope(program, library, case, options, log):
    few, many = (count_instructions(program, library, case, operations, options.warm, log)
                 for operations in (options.few, options.many))
    return (many - few) / (options.many - options.few)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    harness.add_common_options(parser)
    harness.add_slope_options(parser, FEW, MANY, WARM)
    options = parser.parse_args()
    if not 0 < options.few < options.many or options.warm < 1:
        parser.error("needs 0 < few < many, and warm of 1 or more")
    return options


def count(options, root):
    program = harness.program_of(options)
    libraries = [harness.stage("ours", options.ours, root),
                 harness.stage("reference", harness.reference_of(options), root)]
    known = harness.listed_cases(program, libraries[0], every=True)
    cases = harness.choose_cases(options.cases, known) if options.cases else CASES_DEFAULT
    print(f"{'case':<26} {'ours':>9} {'reference':>10}")
    for case in cases:
        ours, reference = (slope(program, library, case, options, f"{root}/log")
                           for library in libraries)
        print(f"{case:<26} {ours:>9.0f} {reference:>10.0f}", flush=True)
    return 0


def main():
    return harness.count_with("valgrind", "instructions.py", parse_options(), count)


if __name__ == "__main__":
    sys.exit(main())
