#!/usr/bin/env python3
"""Runs random sequences of calls on both libraries and compares what they answer.

The program `differential` makes sequences from seeds and writes one line for each call. It runs
once on each library; where the transcripts differ, and allowed.txt has no reason for it, the
sequence is made as short as it can be while it still differs, and printed.

The exit code is 0 when nothing differed, 1 when something did.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from ports import free_ports

OPERATIONS = 28
PORTS = 3


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--program", required=True)
    words.add_argument("--libraries", nargs=2, required=True, metavar=("OURS", "REFERENCE"))
    words.add_argument("--allowed", default=os.path.join(os.path.dirname(__file__), "allowed.txt"),
                       help="the file of differences with a reason")
    words.add_argument("--first", type=int, default=1, help="the first seed")
    words.add_argument("--count", type=int, default=1000, help="how many sequences")
    words.add_argument("--batch", type=int, default=200, help="sequences in one process")
    words.add_argument("--failures", type=int, default=5, help="stop after so many")
    words.add_argument("--show", action="store_true", help="print the transcript of our library")
    options = words.parse_args()
    runner = Runner(options.program, options.libraries)
    allowed = Allowed(options.allowed)
    if options.show:
        print(runner.run_one(0, options.first, options.count, []).text, end="")
        return 0
    return compare(runner, allowed, options)


def compare(runner, allowed, options):
    began = time.monotonic()
    failures, calls, done = 0, 0, 0
    end = options.first + options.count
    for first in range(options.first, end, options.batch):
        count = min(options.batch, end - first)
        ours, reference = runner.run_both(first, count, [])
        calls += ours.text.count("\n")
        done += count
        for seed in differing_seeds(ours, reference, allowed):
            failures += 1
            report(runner, allowed, seed, first, ours, reference)
            if failures >= options.failures:
                break
        if failures >= options.failures:
            break
    seconds = time.monotonic() - began
    print(f"{done} sequences, {calls} lines, {allowed.used} allowed differences, "
          f"{failures} failures, {seconds:.0f} s")
    for reason, count in sorted(allowed.counts.items()):
        print(f"  allowed {count} times: {reason}")
    return 1 if failures else 0


class Transcript:
    def __init__(self, text, status):
        self.text = text
        self.status = status
        self.sequences = {}
        for part in re.split(r"^(?=seed )", text, flags=re.M):
            if part:
                seed, _, lines = part.partition("\n")
                self.sequences[int(seed[5:])] = lines.splitlines()


class Runner:
    """Starts the program with one library or the other, each with ports of its own."""

    def __init__(self, program, libraries):
        self.program = program
        self.libraries = libraries
        self.ports = [next(free_ports(PORTS)), next(free_ports(PORTS))]

    def start(self, library, first, count, without):
        environment = dict(os.environ, LD_LIBRARY_PATH=self.libraries[library])
        environment.pop("NN_PRINT_ERRORS", None)
        words = [self.program, first, count, self.ports[library], *without]
        output = tempfile.TemporaryFile()
        process = subprocess.Popen([str(word) for word in words], env=environment,
                                   stdout=output, stderr=subprocess.DEVNULL)
        return process, output

    @staticmethod
    def finish(started):
        process, output = started
        # The program ends itself when it takes too long.
        status = process.wait()
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
        output.close()
        return Transcript(text, status)

    def run_one(self, library, first, count, without):
        return self.finish(self.start(library, first, count, without))

    def run_both(self, first, count, without):
        started = [self.start(library, first, count, without) for library in (0, 1)]
        return [self.finish(one) for one in started]


class Allowed:
    """The reasons why lines may differ, from a file."""

    def __init__(self, path):
        self.rules = []
        self.counts = {}
        self.used = 0
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.strip() and not line.startswith("#"):
                    pattern, reason = line.rstrip("\n").split("\t")
                    self.rules.append((re.compile(pattern), reason))

    def covers(self, ours, reference):
        for pattern, reason in self.rules:
            if pattern.match(ours) and pattern.match(reference):
                self.counts[reason] = self.counts.get(reason, 0) + 1
                self.used += 1
                return True
        return False


def first_difference(ours, reference, allowed):
    """The place of the first line that differs without a reason, or None."""
    for place in range(max(len(ours), len(reference))):
        left = ours[place] if place < len(ours) else "(nothing)"
        right = reference[place] if place < len(reference) else "(nothing)"
        if left != right and not allowed.covers(left, right):
            return place
    return None


def differing_seeds(ours, reference, allowed):
    for seed in sorted(set(ours.sequences) | set(reference.sequences)):
        lines = ours.sequences.get(seed, []), reference.sequences.get(seed, [])
        if first_difference(*lines, allowed) is not None:
            yield seed
        if ours.status and seed == max(ours.sequences, default=seed):
            return
        if reference.status and seed == max(reference.sequences, default=seed):
            return


def differs(runner, allowed, seed, without, tries=3):
    """Whether the sequence differs alone, each time that it is tried."""
    for _ in range(tries):
        pair = runner.run_both(seed, 1, without)
        sequences = [one.sequences.get(seed, []) for one in pair]
        if first_difference(*sequences, allowed) is None and not any(one.status for one in pair):
            return None
    return pair


def report(runner, allowed, seed, first, ours, reference):
    found = differs(runner, allowed, seed, [])
    if found is None:
        print(f"seed {seed}: differs only behind others (--first {first}), or only now and then:")
        show(seed, allowed, ours, reference)
        return
    without = []
    for operation in reversed(range(OPERATIONS)):
        shorter = differs(runner, allowed, seed, [*without, operation])
        if shorter:
            without.append(operation)
            found = shorter
    words = " ".join(str(word) for word in sorted(without))
    print(f"seed {seed}: differs; as short as it gets without {words}:")
    show(seed, allowed, *found)


def show(seed, allowed, ours, reference):
    left, right = ours.sequences.get(seed, []), reference.sequences.get(seed, [])
    place = first_difference(left, right, allowed)
    for line in left[:place]:
        if line:
            print(f"    {line}")
    if place is not None:
        print(f"  ours      {left[place] if place < len(left) else '(nothing)'}")
        print(f"  reference {right[place] if place < len(right) else '(nothing)'}")
    for name, one in (("ours", ours), ("the reference", reference)):
        if one.status:
            print(f"  {name} ended with status {one.status}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
