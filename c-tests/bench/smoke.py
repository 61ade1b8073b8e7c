#!/usr/bin/env python3
"""Runs cases for a moment on one library, comparing every byte; asserts nothing about speed."""

import argparse
import sys

import harness
import rivals


# A library dismisses silent peers after a second, and a busy machine needs that for a thousand.
SMALLER = {"mem:raw:1000": "mem:raw:100"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", required=True, metavar="PATH")
    parser.add_argument("--library", required=True, metavar="DIRECTORY",
                        help=f"where {harness.SONAME} is")
    parser.add_argument("--rival", choices=rivals.NAMES,
                        help="the library is this one, which cannot run every case")
    parser.add_argument("--seconds", default="0.05", metavar="S")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="default: all standard ones")
    options = parser.parse_args()

    library = harness.Library("library", options.library)
    failed = 0
    listed = [case for case in harness.listed_cases(options.bench, library)
              if options.rival is None or rivals.runs(options.rival, case)]
    for case in options.cases or [SMALLER.get(case, case) for case in listed]:
        try:
            result = harness.run(options.bench, library, case,
                                 ["--seconds", options.seconds, "--verify"])
            print(f"ok      {case}: {result['count']} operations", flush=True)
        except harness.RunError as error:
            failed += 1
            print(f"FAILED  {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
