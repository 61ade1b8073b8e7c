#!/usr/bin/env python3
"""Tests of the table and the plots that are made of results."""

import contextlib
import io
import json
import sys
import tempfile
import unittest
import xml.dom.minidom
from pathlib import Path
from unittest import mock

import figures
import plots
import report


def result(case, rate=1000.0, p50=10.0, size=None):
    return {"case": case, "rate": rate, "p50_us": p50, "p99_us": 2 * p50, "cpu_us": 5.0,
            "bytes": size, "fds": None, "count": 10, "errors": 0}


def summary(case, factor=2.0):
    pair = (result(case, rate=1000 * factor, p50=10, size=100),
            result(case, rate=1000, p50=10 * factor, size=100 * factor))
    return figures.summarise(case, [pair], [], with_bars=False)


def results(*cases):
    summaries = [summary(case) for case in cases]
    return {"machine": {"processor": "A & B", "cpus": 2, "kernel": "Linux 6"}, "started": 0.0,
            "rounds": 3, "seconds": 0.5, "minutes": 1.0, "hogs": 0, "load_before": 0.1,
            "load_after": 1.0, "means": figures.group_means(summaries), "cases": summaries}


class Tables(unittest.TestCase):
    def test_each_measured_case_has_a_row_in_its_group(self):
        lines = report.table(results("lat:pair:tcp:64", "churn:sock", "mem:idle"))
        heads = [line for line in lines if line.startswith("## ")]
        self.assertEqual(heads, ["## Latency", "## Life cycle", "## Memory"])
        row = next(line for line in lines if "`lat:pair:tcp:64`" in line)
        self.assertIn("| 10.00 µs | 20.00 µs | **2.00** |", row)
        self.assertTrue(any("bytes < 768" in line for line in lines))

    def test_the_means_beside_hogs_say_what_is_demanded_of_all(self):
        data = {**results("lat:pair:tcp:64", "churn:sock"), "hogs": 2}
        lines = report.beside_hogs(data)
        self.assertTrue(lines[0].startswith("Beside 2 processes"))
        self.assertIn(f"| all | 2.00 | 2 | {report.bars.MEAN_BESIDE_HOGS:g} |", lines)
        self.assertIn("| latency | 2.00 | 1 |  |", lines)
        self.assertEqual(len({line.count("|") for line in lines if "|" in line}), 1)

    def test_rows_have_as_many_cells_as_their_head(self):
        data = results("thr:pair:tcp:64", "thr:pair:ipc:64")
        data["cases"][0]["rivals"] = {"zmq": {"value": 500.0, "gain": 4.0}}
        lines = [line for line in report.table(data) if line.startswith("| ")]
        self.assertEqual(len({line.count("|") for line in lines}), 1)
        self.assertIn("| 4.00 |", lines[2])

    def test_the_gains_of_an_earlier_table_stand_beside_these(self):
        old = results("lat:pair:tcp:64", "thr:pair:tcp:64")
        page = "\n".join([*report.preface(old), *report.table(old)])
        earlier = report.Earlier(page)
        self.assertEqual((earlier.day, earlier.kernel), ("1970-01-01", "Linux 6"))
        lines = report.table(results("lat:pair:tcp:64", "lat:pair:ipc:64"), earlier)
        rows = {line.split("`")[1]: line for line in lines if line.startswith("| `")}
        demanded = f"{report.bars.gain_bar('lat:pair:tcp:64'):g}"
        self.assertIn(f"| {demanded} | 2.00 |", rows["lat:pair:tcp:64"])
        self.assertEqual(len({line.count("|") for line in lines if line.startswith("|")}), 1)
        self.assertIn("1970-01-01", report.told_of(earlier)[0])
        self.assertEqual(report.told_of(None), [])

    def test_a_table_without_a_day_is_refused(self):
        with self.assertRaises(ValueError):
            report.Earlier("# Figures")

    def test_a_case_that_failed_has_none(self):
        data = results("lat:pair:tcp:64")
        data["cases"].append(figures.summarise("churn:sock", [], ["crashed"], with_bars=False))
        self.assertFalse(any("churn" in line for line in report.table(data)))


class Drawings(unittest.TestCase):
    SIZES = [f"lat:pair:tcp:{size}" for size in (1, 64, 4096, 1 << 20)]

    def test_every_plot_is_well_formed(self):
        found = report.drawings(results(*self.SIZES, "churn:sock"))
        self.assertEqual(set(found), {"means.svg", "latency.svg", "life-cycle.svg",
                                      "sizes-lat.svg"})
        for content in found.values():
            xml.dom.minidom.parseString(content)

    def test_the_same_figures_give_the_same_bytes(self):
        data = results(*self.SIZES)
        self.assertEqual(report.drawings(data), report.drawings(data))

    def test_a_loss_is_drawn_to_the_left(self):
        scale = plots.scale_for([0.5, 4], 100, 200)
        self.assertLess(scale.at(0.5), scale.at(1))
        self.assertLess(scale.at(1), scale.at(4))
        self.assertIn(plots.BAD, plots.gains("t", [("a", 0.5, None)]))
        self.assertNotIn(plots.BAD, plots.gains("t", [("a", 2, None)]))

    def test_few_sizes_make_no_line(self):
        self.assertNotIn("sizes-lat.svg", report.drawings(results(*self.SIZES[:2])))

    def test_pinned_twins_are_not_among_the_sizes(self):
        self.assertEqual(report.size_of("lat:pair:tcp:64"), 64)
        self.assertIsNone(report.size_of("lat:pair:tcp:64@0"))
        self.assertIsNone(report.size_of("thr:push:tcp:64"))


class Readme(unittest.TestCase):
    def test_rows_are_replaced_and_nothing_else(self):
        page = "\n".join(["before", "", report.README_HEAD, "| --- | --- | --- | --- |", "| old |",
                          "| older |", "", "after", ""])
        self.assertEqual(
            report.with_rows(page, ["| new |"]).split("\n"),
            ["before", "", report.README_HEAD, "| --- | --- | --- | --- |", "| new |", "", "after",
             ""])

    def test_a_row_needs_all_its_cases(self):
        every = [f"lat:pair:{transport}:64" for transport in report.TRANSPORTS]
        rows = list(report.readme_rows(results(*every)))
        self.assertEqual(len(rows), 1)
        self.assertIn("| 10 µs / 10 µs / 10 µs / 10 µs | 20 µs", rows[0])
        self.assertEqual(list(report.readme_rows(results(*every[1:]))), [])

    def test_figures_have_two_or_three_digits_and_a_unit(self):
        for measure, number, words in (
                ("rate", 12_345_678, "12 M"), ("rate", 234_567, "235 k"), ("rate", 13.4, "13"),
                ("p50_us", 5.47, "5.5 µs"), ("p50_us", 1516, "1516 µs"),
                ("p50_us", 43_909, "44 ms"), ("bytes", 1003.5, "1004 B")):
            self.assertEqual(report.rounded({"measure": measure, "ours": number}, "ours"), words)

    def test_it_has_the_head_of_the_table(self):
        page = (report.harness.ROOT / "README.md").read_text(encoding="utf-8")
        self.assertEqual(page.split("\n").count(report.README_HEAD), 1)


class Busy(unittest.TestCase):
    def test_figures_of_a_busy_machine_say_so(self):
        data = results("churn:sock")
        self.assertNotIn(report.BUSY, report.preface(data))
        data["load_before"] = 9.0
        self.assertIn(report.BUSY, report.preface(data))
        data["hogs"] = 2
        self.assertNotIn(report.BUSY, report.preface(data))


class Files(unittest.TestCase):
    def test_they_are_written_where_it_was_said(self):
        with tempfile.TemporaryDirectory() as root:
            file = Path(root) / "results.json"
            file.write_text(json.dumps(results("lat:pair:tcp:64")), encoding="utf-8")
            arguments = ["report.py", str(file), "--folder", str(Path(root) / "figures")]
            with mock.patch.object(sys, "argv", arguments), \
                    contextlib.redirect_stderr(io.StringIO()):
                self.assertEqual(report.main(), 0)
            table = (Path(root) / "figures" / "table.md").read_text(encoding="utf-8")
        self.assertIn("A & B, 2 CPUs", table)


if __name__ == "__main__":
    unittest.main()
