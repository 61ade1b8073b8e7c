#!/usr/bin/env python3
"""Runs cases on both libraries by turns and reports the medians of the ratios inside a round.

A gain above 1 means that ours is better, whatever is measured. README.md explains the method and
how far a single number can be trusted.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import bars
import figures
import harness
import machine
import rivals
import syscalls

HOGS = 2


def run_on(program, library, case, arguments, failures):
    """One result, or None. Only what we compare with has to work: a rival may fail."""
    try:
        return harness.run(program, library, case, arguments)
    except harness.RunError as error:
        harness.note(f"  {error}")
        if library.name not in rivals.NAMES:
            failures.append(str(error))
        return None


def measure(program, libraries, cases, options, generator):
    """Runs everything; returns results by library for each round, and failures, both by case."""
    arguments = ["--seconds", str(options.seconds)]
    rounds = {case: [] for case in cases}
    failures = {case: [] for case in cases}
    for number in range(1, options.rounds + 1):
        for position, case in enumerate(generator.sample(cases, len(cases)), 1):
            harness.note(f"round {number}/{options.rounds}, {position}/{len(cases)}: {case}")
            results = {}
            for library in generator.sample(libraries, len(libraries)):
                if library.name not in rivals.NAMES or rivals.runs(library.name, case):
                    result = run_on(program, library, case, arguments, failures[case])
                    if result is not None:
                        results[library.name] = result
            rounds[case].append(results)
    return rounds, failures


def summarise(case, rounds, failures, options):
    pairs = [(results["ours"], results["reference"]) for results in rounds
             if "ours" in results and "reference" in results]
    summary = figures.summarise(case, pairs, failures, options.bars)
    if options.rivals:
        found = {name: figures.summarise_rival(name, case, rounds) for name in rivals.NAMES}
        summary["rivals"] = {name: rival for name, rival in found.items() if rival is not None}
    return summary


def count_calls(program, libraries, summaries, root):
    """System calls an operation, by slopes, where the case has operations that can be counted."""
    for summary in summaries:
        case = summary["case"]
        few, many = syscalls.operations_for(case)
        if few == many:
            continue
        harness.note(f"counting calls: {case}")
        for library in libraries:
            try:
                by_name = syscalls.slope(program, library, case, few, many,
                                         os.path.join(root, "table"))
                summary[f"{library.name}_calls"] = sum(by_name.values())
            except harness.RunError as error:
                harness.note(f"  {error}")


def readable(number, measure_name):
    if measure_name == "p50_us":
        return f"{number:.2f} µs"
    if measure_name == "bytes":
        return f"{number:.0f} B"
    for unit, factor in (("M/s", 1e6), ("k/s", 1e3)):
        if number >= factor:
            return f"{number / factor:.2f} {unit}"
    return f"{number:.1f} /s"


def both(summary, key):
    """The value of either library, ours first."""
    numbers = [summary.get(f"{name}_{key}") for name in ("ours", "reference")]
    return "-" if None in numbers else "/".join(f"{number:.3g}" for number in numbers)


def print_table(summaries, names, with_calls):
    row = "{:<25} {:>11} {:>11} {:>7} {:>15} {:>16} {:>6} " + ("{:>15} " if with_calls else "{}")
    heads = ("case", *names, "gain", "least to most", "CPU µs", "gain")
    print(row.format(*heads, "calls" if with_calls else "") + " bar")
    for summary in summaries:
        verdict = {None: "", True: "reached", False: "MISSED"}[summary["passed"]]
        bar = " ".join(part for part in (summary.get("bar", ""), verdict) if part)
        calls = both(summary, "calls") if with_calls else ""
        if summary["failures"]:
            bar += f" ({len(summary['failures'])} failed)"
        if not summary["gains"]:
            print(row.format(summary["case"], *["-"] * 6, calls) + " " + bar)
            continue
        gains = summary["gains"]
        cpu = summary["cpu_gain"]
        print((row.format(
            summary["case"], readable(summary["ours"], summary["measure"]),
            readable(summary["reference"], summary["measure"]), f"{summary['gain']:.2f}",
            f"{min(gains):.2f} to {max(gains):.2f}",
            both(summary, "cpu_us") if cpu is not None else "-",
            "-" if cpu is None else f"{cpu:.2f}", calls) + " " + bar).rstrip())


def print_rivals(summaries):
    print(f"\n{'case':<25}" + "".join(f"{name:>12} {'gain':>8}" for name in rivals.NAMES))
    for summary in summaries:
        line = f"{summary['case']:<25}"
        for name in rivals.NAMES:
            rival = summary["rivals"].get(name)
            if rival is None:
                line += f"{'-':>12} {'-':>8}"
            else:
                line += f"{readable(rival['value'], summary['measure']):>12} {rival['gain']:>8.2f}"
        print(line)
    for name in rivals.NAMES:
        gains = [s["rivals"][name]["gain"] for s in summaries if name in s["rivals"]]
        if gains:
            print(f"geometric mean of gains over {name}: {figures.geometric_mean(gains):.2f} of "
                  f"{len(gains)} cases")


def print_means(means):
    print("\ngeometric means")
    for name, mean in means.items():
        print(f"  {name:<11} {mean['mean']:>6.2f} of {mean['cases']} cases, "
              f"{mean['least']:.2f} to {mean['most']:.2f}")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    harness.add_common_options(parser)
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--seconds", type=float, default=0.5, metavar="S",
                        help="length of one run (default 0.5)")
    parser.add_argument("--all", action="store_true",
                        help="choose from every case, not from the standard ones")
    parser.add_argument("--bars", action="store_true",
                        help="fail when a case misses its bar")
    parser.add_argument("--calls", action="store_true",
                        help="count system calls, too; needs strace")
    parser.add_argument("--hogs", action="store_true",
                        help=f"run beside {HOGS} processes that use all the processor they get")
    parser.add_argument("--rivals", action="store_true",
                        help="run nng, zmq and plain system calls, too")
    parser.add_argument("--null", action="store_true",
                        help="compare the reference with a copy of itself: shows the noise")
    parser.add_argument("--json", metavar="FILE", help="write everything measured there")
    parser.add_argument("--seed", type=int, default=None, metavar="N",
                        help="repeat the order of an earlier comparison")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("rounds and seconds must be positive")
    if options.bars and options.null:
        parser.error("a null comparison has no bars")
    if options.calls and shutil.which("strace") is None:
        parser.error("strace is not installed")
    return options


def stage_all(options, program, root):
    reference = harness.reference_of(options)
    ours = reference if options.null else options.ours
    libraries = [harness.stage("ours", ours, root, copy=options.null),
                 harness.stage("reference", reference, root)]
    if options.rivals:
        built = Path(program).resolve().parent.parent / "lib"
        libraries += [harness.stage(name, built / name, root) for name in rivals.NAMES]
    return libraries


def mean_bar(options):
    """Only the whole list has a bar for its mean."""
    if not options.bars or options.cases:
        return None
    return bars.MEAN_BESIDE_HOGS if options.hogs else bars.MEAN


def compare(options, root):
    program = harness.program_of(options)
    libraries = stage_all(options, program, root)
    known = harness.listed_cases(program, libraries[1], options.all)
    cases = harness.choose_cases(options.cases or ["*"], known)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    report = {"machine": machine.description(), "started": time.time(), "seed": seed,
              "rounds": options.rounds, "seconds": options.seconds, "null": options.null,
              "hogs": HOGS if options.hogs else 0, "load_before": machine.load()}
    with machine.hogs(HOGS) if options.hogs else contextlib.nullcontext():
        rounds, failures = measure(program, libraries, cases, options, random.Random(seed))
    report["load_after"] = machine.load()
    report["minutes"] = (time.time() - report["started"]) / 60
    summaries = [summarise(case, rounds[case], failures[case], options) for case in cases]
    if options.calls:
        count_calls(program, libraries[:2], summaries, root)
    report["means"] = figures.group_means(summaries)
    report["cases"] = summaries
    print_table(summaries, ("copy" if options.null else "ours", "reference"), options.calls)
    if options.rivals:
        print_rivals(summaries)
    print_means(report["means"])
    print("\n{processor}, {cpus} CPUs, {kernel}".format(**report["machine"]))
    print("{rounds} rounds of {seconds:g} s in {minutes:.1f} minutes beside {hogs} hogs, seed "
          "{seed}, load {load_before:.1f} before and {load_after:.1f} after".format(**report))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
            file.write("\n")
    return verdict(report, options.bars, mean_bar(options))


def verdict(report, judging, least_mean):
    missed = [s["case"] for s in report["cases"] if s["passed"] is False]
    if judging:
        missed += [f"{s['case']} against {name}" for s in report["cases"]
                   for name, rival in s.get("rivals", {}).items() if rival["passed"] is False]
    if least_mean is not None and "all" in report["means"]:
        mean = report["means"]["all"]["mean"]
        if mean < least_mean:
            missed.append(f"the mean of all, {mean:.2f} in place of {least_mean:g}")
    if missed:
        print(f"\n{len(missed)} missed: " + ", ".join(missed))
    return 1 if missed else 0


def main():
    options = parse_options()
    try:
        with tempfile.TemporaryDirectory(prefix="spmsg-bench-") as root:
            return compare(options, root)
    except harness.RunError as error:
        harness.note(f"compare.py: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
