#!/usr/bin/env python3
"""Tests of what the scripts compute from what the program prints."""

import contextlib
import fnmatch
import io
import math
import re
import tempfile
import unittest
from pathlib import Path

import bars
import compare
import figures
import harness
import instructions
import machine
import rivals
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
        self.assertEqual(figures.gain(result(case, rate=600), result(case, rate=200)), 3)

    def test_a_shorter_round_trip_gains(self):
        case = "lat:pair:tcp:64@0"
        self.assertEqual(figures.gain(result(case, p50=5), result(case, p50=20)), 4)

    def test_less_memory_gains(self):
        case = "mem:idle"
        self.assertEqual(figures.gain(result(case, size=500), result(case, size=1000)), 2)
        self.assertEqual(figures.gain(result(case, size=-4), result(case, size=1600)), 100)

    def test_less_processor_time_gains(self):
        case = "lat:pair:tcp:64"
        self.assertEqual(figures.cpu_gain(result(case, cpu=2), result(case, cpu=6)), 3)
        self.assertIsNone(figures.cpu_gain(result(case, cpu=0), result(case, cpu=6)))

    def test_the_mean_of_ratios_is_geometric(self):
        self.assertTrue(math.isclose(figures.geometric_mean([0.5, 2]), 1))


class Instructions(unittest.TestCase):
    def test_what_valgrind_says_last_counts(self):
        said = "==12== Callgrind\n==12== Events    : Ir\n==12== Collected : 123456\n"
        self.assertEqual(instructions.parse_count(said), 123456)

    def test_two_processes_are_not_one_case(self):
        said = "==12== Collected : 100\n==13== Collected : 200\n"
        with self.assertRaises(harness.RunError):
            instructions.parse_count(said)
        with self.assertRaises(harness.RunError):
            instructions.parse_count("")


class Bars(unittest.TestCase):
    def summary(self, case, pairs, failures=()):
        return figures.summarise(case, pairs, list(failures), with_bars=True)

    def test_the_median_round_decides(self):
        case = "thr:pair:ws:65536"
        pairs = [(result(case, rate=rate), result(case, rate=100)) for rate in (100, 250, 900)]
        self.assertTrue(self.summary(case, pairs)["passed"])
        self.assertFalse(self.summary(case, pairs[:2])["passed"])

    def test_a_failed_run_misses_the_bar(self):
        case = "thr:pair:tcp:64"
        pairs = [(result(case, rate=9000), result(case, rate=100))]
        self.assertTrue(self.summary(case, pairs)["passed"])
        self.assertFalse(self.summary(case, pairs, ["crashed"])["passed"])
        self.assertFalse(self.summary(case, [])["passed"])

    def test_one_stalled_round_misses_the_bar(self):
        case = "burst:tcp:64:8"
        good = (result(case, p99=900.0), result(case, p99=44000.0))
        bad = (result(case, p99=44000.0), result(case, p99=44000.0))
        self.assertTrue(self.summary(case, [good, good])["passed"])
        self.assertFalse(self.summary(case, [good, bad])["passed"])

    def test_an_idle_socket_may_be_larger_than_that_of_the_reference(self):
        pairs = [(result("mem:idle", size=700), result("mem:idle", size=600))]
        self.assertTrue(self.summary("mem:idle", pairs)["passed"])
        pairs = [(result("mem:idle", size=800), result("mem:idle", size=900))]
        self.assertFalse(self.summary("mem:idle", pairs)["passed"])

    def test_every_other_case_must_not_be_slower(self):
        case = "thr:pair:tcp:1024"
        self.assertEqual(bars.gain_bar(case), 1)
        same = (result(case), result(case))
        slower = (result(case, rate=990), result(case, rate=1000))
        self.assertTrue(self.summary(case, [same])["passed"])
        self.assertFalse(self.summary(case, [slower])["passed"])

    def test_pinned_twins_have_bars_of_their_own(self):
        self.assertEqual(bars.gain_bar("lat:pair:ipc:64"), 7)
        self.assertEqual(bars.gain_bar("lat:pair:ipc:64@0"), 4.2)
        self.assertEqual(bars.gain_bar("lat:pair:ipc:65536@0"), 2)

    def test_without_bars_nobody_is_judged(self):
        case = "thr:pair:tcp:64"
        pairs = [(result(case), result(case))]
        self.assertIsNone(figures.summarise(case, pairs, [], with_bars=False)["passed"])


class Verdicts(unittest.TestCase):
    def report(self, gain, passed=True):
        summary = {"case": "lat:pair:tcp:64", "gains": [gain], "gain": gain, "group": "latency",
                   "passed": passed}
        return {"cases": [summary], "means": figures.group_means([summary])}

    def verdict(self, *arguments):
        with contextlib.redirect_stdout(io.StringIO()):
            return compare.verdict(*arguments)

    def test_a_missed_bar_fails(self):
        self.assertEqual(self.verdict(self.report(9), True, 6), 0)
        self.assertEqual(self.verdict(self.report(9, passed=False), True, None), 1)

    def test_a_bar_against_a_rival_counts_only_when_bars_do(self):
        report = self.report(9)
        report["cases"][0]["rivals"] = {"zmq": {"passed": False}, "nng": {"passed": None}}
        self.assertEqual(self.verdict(report, True, None), 1)
        self.assertEqual(self.verdict(report, False, None), 0)

    def test_the_mean_of_the_whole_list_has_a_bar(self):
        self.assertEqual(self.verdict(self.report(5), True, 6), 1)
        self.assertEqual(self.verdict(self.report(5), True, None), 0)


class Groups(unittest.TestCase):
    def test_each_case_belongs_to_one(self):
        self.assertEqual(figures.group_of("lat:pair:tcp:64@0"), "latency")
        self.assertEqual(figures.group_of("fanin:req:tcp:64:8"), "scaling")
        self.assertEqual(figures.group_of("mem:raw:1000"), "memory")
        families = [family for group in figures.GROUPS.values() for family in group]
        self.assertEqual(len(families), len(set(families)))
        self.assertLessEqual(set(figures.RATE_FAMILIES), set(families))

    def test_means_are_of_groups_and_of_all(self):
        summaries = [
            {"case": case, "gains": [gain], "gain": gain, "group": figures.group_of(case)}
            for case, gain in (("lat:pair:tcp:64@0", 8), ("lat:pair:tcp:64", 2), ("churn:sock", 4))]
        means = figures.group_means(summaries)
        self.assertAlmostEqual(means["latency"]["mean"], 4)
        self.assertAlmostEqual(means["all"]["mean"], 4)
        self.assertEqual(means["all"]["cases"], 3)
        self.assertEqual(means["pinned"]["most"], 8)
        self.assertNotIn("memory", means)


class Names(unittest.TestCase):
    LISTED = re.findall(r'^    "([^"]+)",$', (harness.HERE / "cases.c").read_text(), re.MULTILINE)

    def test_each_listed_case_has_a_group(self):
        self.assertGreater(len(self.LISTED), 100)
        for case in self.LISTED:
            self.assertIn(figures.group_of(case), figures.GROUPS)

    def test_each_bar_is_that_of_a_listed_case(self):
        for pattern in [*(pattern for pattern, _ in bars.GAINS), *bars.LIMITS]:
            self.assertTrue(fnmatch.filter(self.LISTED, pattern), pattern)


class Rivals(unittest.TestCase):
    def test_each_runs_what_it_can(self):
        self.assertTrue(rivals.runs("nng", "survey:tcp:64:64"))
        self.assertTrue(rivals.runs("zmq", "thr:pair:tcp:64@0"))
        self.assertFalse(rivals.runs("zmq", "survey:tcp:64:64"))
        self.assertFalse(rivals.runs("zmq", "thr:pair:ws:64"))
        self.assertFalse(rivals.runs("raw", "lat:pair:inproc:64"))

    def test_zmq_has_bars_where_it_is_strong(self):
        self.assertEqual(rivals.bar("zmq", "thr:pair:tcp:64"), 1.1)
        self.assertIsNone(rivals.bar("zmq", "thr:pair:tcp:65536"))
        self.assertIsNone(rivals.bar("nng", "thr:pair:tcp:64"))

    def test_only_rounds_with_both_count(self):
        case = "thr:pair:tcp:64"
        rounds = [{"ours": result(case, rate=300), "zmq": result(case, rate=100)},
                  {"ours": result(case, rate=900)}]
        self.assertEqual(figures.summarise_rival("zmq", case, rounds)["gain"], 3)
        self.assertTrue(figures.summarise_rival("zmq", case, rounds)["passed"])
        self.assertIsNone(figures.summarise_rival("nng", case, rounds))


class Hogs(unittest.TestCase):
    def test_they_live_as_long_as_the_block(self):
        with machine.hogs(2) as processes:
            self.assertEqual([process.poll() for process in processes], [None, None])
        self.assertNotIn(None, [process.poll() for process in processes])


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
