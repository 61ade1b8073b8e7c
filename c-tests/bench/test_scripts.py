#!/usr/bin/env python3
"""Tests of what the scripts compute from what the program prints."""

import math
import tempfile
import unittest
from pathlib import Path

import compare
import harness
import syscalls

STRACE_TABLE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.003000           3      1000       500 recvmsg
 40.00    0.002000           2       800           futex
  0.00    0.000000           0         1         1 restart_syscall
------ ----------- ----------- --------- --------- ----------------
100.00    0.005000           2      1801       501 total
"""


def result(case, rate=1000.0, p50=10.0, cpu=5.0, p99=20.0, size=None):
    return {"case": case, "rate": rate, "p50_us": p50, "p99_us": p99, "cpu_us": cpu,
            "bytes": size, "fds": None, "count": 10, "errors": 0}


class Gains(unittest.TestCase):
    def test_a_faster_stream_gains(self):
        case = "thr:pair:tcp:64"
        self.assertEqual(compare.gain(result(case, rate=600), result(case, rate=200)), 3)

    def test_a_shorter_round_trip_gains(self):
        case = "lat:pair:tcp:64@0"
        self.assertEqual(compare.gain(result(case, p50=5), result(case, p50=20)), 4)

    def test_less_memory_gains(self):
        case = "mem:idle"
        self.assertEqual(compare.gain(result(case, size=500), result(case, size=1000)), 2)
        self.assertEqual(compare.gain(result(case, size=-4), result(case, size=1600)), 100)

    def test_less_processor_time_gains(self):
        case = "lat:pair:tcp:64"
        self.assertEqual(compare.cpu_gain(result(case, cpu=2), result(case, cpu=6)), 3)
        self.assertIsNone(compare.cpu_gain(result(case, cpu=0), result(case, cpu=6)))

    def test_the_mean_of_ratios_is_geometric(self):
        self.assertTrue(math.isclose(compare.geometric_mean([0.5, 2]), 1))


class Bars(unittest.TestCase):
    def summary(self, case, pairs, failures=()):
        return compare.summarise(case, pairs, list(failures), with_bars=True)

    def test_the_median_round_decides(self):
        case = "thr:pair:tcp:64"
        pairs = [(result(case, rate=rate), result(case, rate=100)) for rate in (100, 650, 900)]
        self.assertTrue(self.summary(case, pairs)["passed"])
        self.assertFalse(self.summary(case, pairs[:2])["passed"])

    def test_a_failed_run_misses_the_bar(self):
        case = "thr:pair:tcp:64"
        pairs = [(result(case, rate=900), result(case, rate=100))]
        self.assertFalse(self.summary(case, pairs, ["crashed"])["passed"])
        self.assertFalse(self.summary(case, [])["passed"])

    def test_one_stalled_round_misses_the_bar(self):
        case = "burst:tcp:64:8"
        good = (result(case, p99=900.0), result(case, p99=44000.0))
        bad = (result(case, p99=44000.0), result(case, p99=44000.0))
        self.assertTrue(self.summary(case, [good, good])["passed"])
        self.assertFalse(self.summary(case, [good, bad])["passed"])

    def test_other_cases_have_none(self):
        case = "thr:pair:tcp:1024"
        self.assertIsNone(self.summary(case, [(result(case), result(case))])["passed"])


class Choosing(unittest.TestCase):
    KNOWN = ["lat:pair:tcp:64@0", "lat:pair:tcp:64", "thr:pair:tcp:64"]

    def test_patterns_choose_from_the_list_once(self):
        self.assertEqual(harness.choose_cases(["lat:*", "*64"], self.KNOWN), self.KNOWN)

    def test_plain_names_need_no_list(self):
        self.assertEqual(harness.choose_cases(["lat:pair:ipc:7"], self.KNOWN), ["lat:pair:ipc:7"])

    def test_a_pattern_without_a_case_is_an_error(self):
        with self.assertRaises(harness.RunError):
            harness.choose_cases(["zc:*"], self.KNOWN)


class Reading(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.TemporaryDirectory()
        self.addCleanup(self.root.cleanup)
        for name in ("one", "two"):
            (Path(self.root.name) / (name + ".so")).write_text(name, encoding="utf-8")
        self.library = self.stage("one")

    def stage(self, name):
        return harness.stage(name, Path(self.root.name) / (name + ".so"), self.root.name)

    def read(self, library, count=5, errors=0):
        line = f'{{"library": "{library.file}", "count": {count}, "errors": {errors}}}'
        return harness.read_result("case", self.library, line)

    def test_a_good_line_is_taken(self):
        self.assertEqual(self.read(self.library)["count"], 5)

    def test_another_library_is_an_error(self):
        with self.assertRaises(harness.RunError):
            self.read(self.stage("two"))

    def test_wrong_messages_are_an_error(self):
        with self.assertRaises(harness.RunError):
            self.read(self.library, errors=1)

    def test_an_empty_measurement_is_an_error(self):
        with self.assertRaises(harness.RunError):
            self.read(self.library, count=0)

    def test_no_line_is_an_error(self):
        with self.assertRaises(harness.RunError):
            harness.read_result("case", self.library, "")

    def test_calls_are_read_with_and_without_errors(self):
        self.assertEqual(syscalls.parse_table(STRACE_TABLE),
                         {"recvmsg": 1000, "futex": 800, "restart_syscall": 1})


if __name__ == "__main__":
    unittest.main()
