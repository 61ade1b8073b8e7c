#!/usr/bin/env python3
"""Writes the results of compare.py --json as a table and as plots.

The table is Markdown, the plots are SVG; doc/performance.md shows both. Everything else in the
folder is left alone.
"""

import argparse
import datetime
import json
import re
import sys
from pathlib import Path

import bars
import compare
import figures
import harness
import plots
import rivals

# A comparison alone makes a load of somewhat over 1.
LOAD_QUIET = 2
BUSY = ("**Others were using the machine**, so what is not pinned says little, and all of it less "
        "than the same on a quiet one.")
FOLDER = harness.ROOT / "doc" / "performance"
TRANSPORTS = ("inproc", "ipc", "tcp", "ws")
# Where an earlier table says when and on what kernel it was made, and what a case gained.
EARLIER_WHEN = re.compile(r"^(\d{4}-\d\d-\d\d), .*?, (Linux \S+);", re.MULTILINE)
EARLIER_GAIN = re.compile(r"^\| `([^`]+)` \|.*?\| \*\*([0-9.]+)\*\* \|", re.MULTILINE)
# What README.md shows of it: words, and the cases behind them.
README_HEAD = "| case | spmsg | libnanomsg | gain |"
README_ROWS = (
    ("PAIR round trip, one processor: inproc / ipc / tcp / ws",
     [f"lat:pair:{transport}:64@0" for transport in TRANSPORTS]),
    ("PAIR round trip, two processors", [f"lat:pair:{transport}:64" for transport in TRANSPORTS]),
    ("PAIR one way, messages a second", [f"thr:pair:{transport}:64" for transport in TRANSPORTS]),
    ("REQ round trip, one processor: inproc / ipc / tcp",
     [f"lat:req:{transport}:64@0" for transport in TRANSPORTS[:3]]),
    ("PUSH one way: inproc / ipc / tcp",
     [f"thr:push:{transport}:64" for transport in TRANSPORTS[:3]]),
    ("64 PUSH to one PULL: ipc / tcp", ["fanin:push:ipc:64:64", "fanin:push:tcp:64:64"]),
    ("one PUB to 64 SUB: ipc / tcp", ["fanout:ipc:64:64", "fanout:tcp:64:64"]),
    ("eight messages over tcp, then one back", ["burst:tcp:64:8"]),
    ("round trip of 1 MiB: ipc / tcp", ["lat:pair:ipc:1048576", "lat:pair:tcp:1048576"]),
    ("64 KiB one way: ipc / tcp / ws",
     [f"thr:pair:{transport}:65536" for transport in TRANSPORTS[1:]]),
    ("64 MiB handed over with `NN_MSG`, inproc", ["zc:inproc:67108864"]),
    ("connect, ask, close: inproc / ipc / tcp",
     [f"churn:conn:{transport}" for transport in TRANSPORTS[:3]]),
    ("memory of an idle socket; of a connection over tcp", ["mem:idle", "mem:conn:tcp"]),
)
# Sizes are compared when there are at least so many, else a line says nothing.
SIZES_LEAST = 3


def size_of(case):
    """The size of an unpinned round trip or stream of pairs; None for other cases."""
    fields = case.split(":")
    if len(fields) == 4 and fields[1] == "pair" and fields[0] in ("lat", "thr"):
        return int(fields[3]) if fields[3].isdigit() else None
    return None


def measured(report):
    return [summary for summary in report["cases"] if summary["gains"]]


def bar_of(summary):
    """A demand that can be drawn, and has not a line of its own, which not to be slower has."""
    bar = bars.gain_bar(summary["case"])
    return None if summary["case"] in bars.LIMITS or bar == bars.DEFAULT else bar


def cell(number, digits=3):
    return "" if number is None else f"{number:.{digits}g}"


def figure(number, summary):
    return compare.readable(number, summary["measure"]) if number is not None else ""


class Earlier:
    """The gains of a table that was written before, and when and where they were measured."""

    def __init__(self, page):
        found = EARLIER_WHEN.search(page)
        if found is None:
            raise ValueError("the earlier table does not say when it was made")
        self.day, self.kernel = found.groups()
        self.gains = dict(EARLIER_GAIN.findall(page))


def row_of(summary, names, earlier=None):
    case = summary["case"]
    limit = bars.LIMITS.get(case)
    demanded = f"{limit[0]} < {limit[1]:g}" if limit else f"{bars.gain_bar(case):g}"
    cells = [f"`{case}`", figure(summary["ours"], summary),
             figure(summary["reference"], summary), f"**{summary['gain']:.2f}**",
             f"{min(summary['gains']):.2f} to {max(summary['gains']):.2f}", demanded]
    if earlier:
        cells.append(earlier.gains.get(case, ""))
    for key in ("cpu_us", "calls"):
        cells += [cell(summary.get(f"{name}_{key}")) for name in ("ours", "reference")]
    for name in names:
        rival = summary.get("rivals", {}).get(name)
        cells.append(f"{rival['gain']:.2f}" if rival else "")
    return "| " + " | ".join(cells) + " |"


def table(report, earlier=None):
    names = [name for name in rivals.NAMES
             if any(name in summary.get("rivals", {}) for summary in report["cases"])]
    heads = ["case", "spmsg", "libnanomsg", "gain", "least to most", "demanded",
             *([f"gain on {earlier.day}"] if earlier else []),
             "CPU µs, spmsg", "libnanomsg", "calls, spmsg", "libnanomsg",
             *(f"gain over {plots.NAMES[name]}" for name in names)]
    lines = []
    for group in figures.GROUPS:
        rows = [row_of(s, names, earlier) for s in measured(report) if s["group"] == group]
        if rows:
            lines += [f"## {group.capitalize()}", "", "| " + " | ".join(heads) + " |",
                      "|" + " --- |" * len(heads), *rows, ""]
    return lines


def told_of(earlier):
    if earlier is None:
        return []
    return [f"The gains of {earlier.day} were measured with the library of that day, on a machine "
            f"with {earlier.kernel}.", ""]


def beside_hogs(report):
    """The means of a comparison beside others, and what is demanded of the mean of all."""
    lines = [
        f"Beside {report['hogs']} processes that use all they get, {report['rounds']} rounds of "
        f"{report['seconds']:g} s:", "",
        "| geometric mean of gains, beside hogs | | cases | demanded |",
        "| --- | --- | --- | --- |",
    ]
    for name, mean in report["means"].items():
        demanded = f"{bars.MEAN_BESIDE_HOGS:g}" if name == "all" else ""
        lines.append(f"| {name} | {mean['mean']:.2f} | {mean['cases']} | {demanded} |")
    return [*lines, ""]


def preface(report):
    day = datetime.datetime.fromtimestamp(report["started"], datetime.timezone.utc).date()
    machine = report["machine"]
    lines = [
        "# Figures", "",
        "Written by `c-tests/bench/report.py`; [performance.md](../performance.md) tells how to "
        "read them.", "",
        f"{day.isoformat()}, {machine['processor']}, {machine['cpus']} CPUs, {machine['kernel']}; "
        f"{report['rounds']} rounds of {report['seconds']:g} s in {report['minutes']:.0f} minutes, "
        f"beside {report['hogs']} processes that use all they get; load "
        f"{report['load_before']:.1f} before and {report['load_after']:.1f} after.", "",
        *([BUSY, ""] if report["load_before"] > LOAD_QUIET and not report["hogs"] else []),
        "| geometric mean of gains | | cases | least | most |", "| --- | --- | --- | --- | --- |",
    ]
    for name, mean in report["means"].items():
        lines.append(f"| {name} | {mean['mean']:.2f} | {mean['cases']} | {mean['least']:.2f} | "
                     f"{mean['most']:.2f} |")
    return [*lines, ""]


def rounded(summary, name):
    """A figure with as many digits as it can be trusted for."""
    number, unit = summary[name], {"p50_us": " µs", "bytes": " B", "rate": ""}[summary["measure"]]
    units = {"rate": ((1e6, " M"), (1e3, " k")), "p50_us": ((1e4, " ms"),), "bytes": ()}
    for least, larger in units[summary["measure"]]:
        if number >= least:
            number, unit = number / (1e3 if larger == " ms" else least), larger
            break
    return f"{number:.0f}{unit}" if number >= 100 else f"{number:.2g}{unit}"


def readme_rows(report):
    """The rows of README's table, without those whose cases were not all measured."""
    known = {summary["case"]: summary for summary in measured(report)}
    for words, cases in README_ROWS:
        if all(case in known for case in cases):
            found = [known[case] for case in cases]
            cells = [" / ".join(rounded(s, name) for s in found) for name in ("ours", "reference")]
            gains = " / ".join(f"{s['gain']:.2g}" if s["gain"] < 100 else f"{s['gain']:.0f}"
                               for s in found)
            yield f"| {words} | {cells[0]} | {cells[1]} | {gains} |"


def with_rows(page, rows):
    """The page with these rows under the head of its table, in place of those that were there."""
    lines = page.split("\n")
    first = lines.index(README_HEAD) + 2
    end = next(at for at in range(first, len(lines)) if not lines[at].startswith("|"))
    return "\n".join([*lines[:first], *rows, *lines[end:]])


def series_by_size(report, family, transport):
    """Points of each library, from the cases of one family on one transport."""
    series = {}
    for summary in measured(report):
        fields = summary["case"].split(":")
        size = size_of(summary["case"])
        if size is None or fields[0] != family or fields[2] != transport:
            continue
        values = {name: summary[name] for name in ("ours", "reference")}
        values.update({name: rival["value"]
                       for name, rival in summary.get("rivals", {}).items()})
        for name, value in values.items():
            series.setdefault(name, []).append((size, value))
    return {name: sorted(points) for name, points in series.items()
            if len(points) >= SIZES_LEAST}


def drawings(report):
    """File names and contents of all plots for which there are figures."""
    demanded = bars.MEAN_BESIDE_HOGS if report["hogs"] else bars.MEAN
    means = [(name, mean["mean"], demanded if name == "all" else None)
             for name, mean in report["means"].items()]
    found = {"means.svg": plots.gains("Gain over libnanomsg, geometric means", means)}
    for group in figures.GROUPS:
        rows = [(s["case"], s["gain"], bar_of(s)) for s in measured(report)
                if s["group"] == group]
        if rows:
            name = group.replace(" ", "-")
            found[f"{name}.svg"] = plots.gains(f"Gain over libnanomsg, {group}", rows)
    for family, title, unit in (("lat", "Round trip by message size", "µs, two CPUs"),
                                ("thr", "One way by message size", "messages a second")):
        panels = [(transport, series_by_size(report, family, transport))
                  for transport in TRANSPORTS]
        panels = [(transport, series) for transport, series in panels if series]
        if panels:
            found[f"sizes-{family}.svg"] = plots.sizes(title, unit, panels)
    return found


def write(folder, name, content):
    (folder / name).write_text(content, encoding="utf-8")
    harness.note(f"wrote {folder / name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", metavar="JSON", help="what compare.py --json wrote")
    parser.add_argument("--folder", metavar="PATH", default=FOLDER, type=Path,
                        help="where to write (default doc/performance)")
    parser.add_argument("--readme", metavar="FILE", type=Path,
                        help="replace the rows of the table there, too")
    parser.add_argument("--hogs", metavar="JSON", type=Path,
                        help="what compare.py --hogs --json wrote: its means stand there, too")
    parser.add_argument("--earlier", metavar="MARKDOWN", type=Path,
                        help="a table of another day, whose gains stand beside these")
    options = parser.parse_args()
    earlier, beside = None, []
    if options.earlier:
        earlier = Earlier(options.earlier.read_text(encoding="utf-8"))
    if options.hogs:
        beside = beside_hogs(json.loads(options.hogs.read_text(encoding="utf-8")))
    with open(options.results, encoding="utf-8") as file:
        report = json.load(file)
    if not measured(report):
        harness.note("report.py: nothing was measured")
        return 2
    options.folder.mkdir(parents=True, exist_ok=True)
    write(options.folder, "table.md", "\n".join([
        *preface(report), *told_of(earlier), *beside, *table(report, earlier)]))
    for name, content in drawings(report).items():
        write(options.folder, name, content)
    if options.readme:
        page = options.readme.read_text(encoding="utf-8")
        write(options.readme.parent, options.readme.name,
              with_rows(page, list(readme_rows(report))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
