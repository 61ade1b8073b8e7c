#!/usr/bin/env python3
"""Runs cases on both libraries by turns and reports the medians of the ratios inside a round.

A gain above 1 means that ours is better, whatever is measured. README.md explains the method and
how far a single number can be trusted.
"""

import argparse
import json
import math
import os
import platform
import random
import statistics
import sys
import tempfile
import time

import harness

RATE_FAMILIES = ("thr", "zc", "fanin", "fanout", "threads4", "bus", "subs", "subadd", "opened",
                 "churn")
# What a socket takes may be less than a page of the process that was looked at.
BYTES_LEAST = 16
STALL_LIMIT_US = 20_000.0

# The least gain that counts as delivered. A burst is held to a time instead: a library that lets
# the kernel wait for more data stalls 40 ms on it.
GAIN_BARS = {
    "lat:pair:inproc:64@0": 2,
    "lat:pair:ipc:64@0": 3,
    "lat:pair:tcp:64@0": 2,
    "lat:pair:inproc:64": 4,
    "lat:pair:ipc:64": 4,
    "lat:pair:tcp:64": 4,
    "thr:pair:inproc:64": 10,
    "thr:pair:ipc:64": 8,
    "thr:pair:tcp:64": 6,
    "lat:pair:ws:64@0": 2,
    "lat:pair:ws:64": 3,
    "thr:pair:ws:64": 4,
    "thr:pair:ws:65536": 2,
    "zc:inproc:67108864": 300,
}
STALL_BARS = {"burst:tcp:64:8": STALL_LIMIT_US}


def measure_of(case):
    """The field of a result that counts in this case. More of it is better in a rate only."""
    family = case.split(":")[0]
    if family in RATE_FAMILIES:
        return "rate"
    return "bytes" if family == "mem" else "p50_us"


def value(result):
    measure = measure_of(result["case"])
    return max(result[measure], BYTES_LEAST) if measure == "bytes" else result[measure]


def gain(ours, reference):
    if measure_of(ours["case"]) == "rate":
        return value(ours) / value(reference)
    return value(reference) / value(ours)


def cpu_gain(ours, reference):
    """None when a run was too short for the kernel's accounting of processor time."""
    if ours["cpu_us"] <= 0 or reference["cpu_us"] <= 0:
        return None
    return reference["cpu_us"] / ours["cpu_us"]


def measure(program, libraries, cases, rounds, arguments, generator):
    """Runs everything; returns the pairs of results and the failures, both by case."""
    pairs = {case: [] for case in cases}
    failures = {case: [] for case in cases}
    for number in range(1, rounds + 1):
        for position, case in enumerate(generator.sample(cases, len(cases)), 1):
            harness.note(f"round {number}/{rounds}, {position}/{len(cases)}: {case}")
            results = {}
            for library in generator.sample(libraries, len(libraries)):
                try:
                    results[library.name] = harness.run(program, library, case, arguments)
                except harness.RunError as error:
                    harness.note(f"  {error}")
                    failures[case].append(str(error))
            if len(results) == len(libraries):
                pairs[case].append((results["ours"], results["reference"]))
    return pairs, failures


def judge(case, summary):
    """Whether the case reaches its bar; None when it has none."""
    if case in STALL_BARS:
        summary["bar"] = f"p99 < {STALL_BARS[case] / 1000:g} ms"
        return bool(summary["gains"]) and max(summary["ours_p99_us"]) < STALL_BARS[case]
    if case in GAIN_BARS:
        summary["bar"] = f"{GAIN_BARS[case]}"
        return bool(summary["gains"]) and summary["gain"] >= GAIN_BARS[case]
    return None


def summarise(case, pairs, failures, with_bars):
    cpu_gains = [g for g in (cpu_gain(*pair) for pair in pairs) if g is not None]
    summary = {
        "case": case,
        "measure": measure_of(case),
        "gains": [gain(*pair) for pair in pairs],
        "cpu_gains": cpu_gains,
        "failures": failures,
        "ours_p99_us": [ours["p99_us"] for ours, _ in pairs],
        "reference_p99_us": [reference["p99_us"] for _, reference in pairs],
        "runs": [{"ours": ours, "reference": reference} for ours, reference in pairs],
    }
    if pairs:
        summary["gain"] = statistics.median(summary["gains"])
        summary["cpu_gain"] = statistics.median(cpu_gains) if cpu_gains else None
        summary["ours"] = statistics.median(value(ours) for ours, _ in pairs)
        summary["reference"] = statistics.median(value(reference) for _, reference in pairs)
    passed = judge(case, summary) if with_bars else None
    # A case that failed even once has not been delivered, whatever its other rounds say.
    summary["passed"] = False if failures else passed
    return summary


def geometric_mean(values):
    return math.exp(statistics.fmean(math.log(v) for v in values)) if values else None


def readable(summary, key):
    number = summary[key]
    if summary["measure"] == "p50_us":
        return f"{number:.2f} µs"
    if summary["measure"] == "bytes":
        return f"{number:.0f} B"
    for unit, factor in (("M/s", 1e6), ("k/s", 1e3)):
        if number >= factor:
            return f"{number / factor:.2f} {unit}"
    return f"{number:.1f} /s"


def print_table(summaries, names):
    row = "{:<25} {:>12} {:>12} {:>8} {:>17} {:>8}  {}"
    print(row.format("case", *names, "gain", "least to most", "CPU gain", "bar"))
    for summary in summaries:
        verdict = {None: "", True: "reached", False: "MISSED"}[summary["passed"]]
        bar = " ".join(part for part in (summary.get("bar", ""), verdict) if part)
        if not summary["gains"]:
            print(row.format(summary["case"], "-", "-", "-", "-", "-", f"{bar} FAILED"))
            continue
        gains = summary["gains"]
        cpu = summary["cpu_gain"]
        print(row.format(
            summary["case"], readable(summary, "ours"), readable(summary, "reference"),
            f"{summary['gain']:.2f}", f"{min(gains):.2f} to {max(gains):.2f}",
            "-" if cpu is None else f"{cpu:.2f}",
            bar if not summary["failures"] else f"{bar} ({len(summary['failures'])} failed)"))


def print_means(summaries):
    measured = [s for s in summaries if s["gains"]]
    pinned = [s["gain"] for s in measured if "@" in s["case"]]
    free = [s["gain"] for s in measured if "@" not in s["case"]]
    for name, gains in (("all", pinned + free), ("pinned", pinned), ("unpinned", free)):
        if gains:
            print(f"geometric mean, {name}: {geometric_mean(gains):.2f} of {len(gains)} cases, "
                  f"{min(gains):.2f} to {max(gains):.2f}")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    harness.add_common_options(parser)
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S",
                        help="length of one run")
    parser.add_argument("--all", action="store_true",
                        help="choose from every case, not from the standard ones")
    parser.add_argument("--bars", action="store_true",
                        help="run the cases that have a bar, and fail when one misses it")
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
    return options


def stage_both(options, root):
    reference = harness.reference_of(options)
    ours = reference if options.null else options.ours
    return [harness.stage("ours", ours, root, copy=options.null),
            harness.stage("reference", reference, root)]


def compare(options, root):
    program = harness.program_of(options)
    libraries = stage_both(options, root)
    known = harness.listed_cases(program, libraries[1], options.all)
    if options.bars:
        known = [*GAIN_BARS, *STALL_BARS]
    cases = harness.choose_cases(options.cases or ["*"], known)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    load = os.getloadavg()[0]
    started = time.time()
    pairs, failures = measure(program, libraries, cases, options.rounds,
                              ["--seconds", str(options.seconds)], random.Random(seed))
    summaries = [summarise(case, pairs[case], failures[case], options.bars) for case in cases]
    print_table(summaries, ("copy", "reference") if options.null else ("ours", "reference"))
    print_means(summaries)
    print(f"{options.rounds} rounds of {options.seconds:g} s, seed {seed}, "
          f"load {load:.1f} before and {os.getloadavg()[0]:.1f} after")
    if options.json:
        report = {"machine": platform.platform(), "cpus": os.cpu_count(), "started": started,
                  "seed": seed, "rounds": options.rounds, "seconds": options.seconds,
                  "null": options.null, "cases": summaries,
                  "geometric_mean": geometric_mean([s["gain"] for s in summaries if s["gains"]])}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
            file.write("\n")
    return 1 if any(s["passed"] is False for s in summaries) else 0


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
