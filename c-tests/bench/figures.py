"""What the results of a program mean: the figure that counts, gains, groups and bars."""

import math
import statistics

import bars
import rivals

GROUPS = {
    "latency": ("lat", "burst", "tail", "poll", "dev"),
    "throughput": ("thr", "zc", "threads4", "alone"),
    "scaling": ("fanin", "many", "fanout", "oldest", "counted", "last", "survey", "bus", "pollv",
                "subs", "ctx", "askers"),
    "life cycle": ("churn", "opened", "subadd"),
    "memory": ("mem",),
}
RATE_FAMILIES = ("thr", "zc", "alone", "fanin", "many", "fanout", "oldest", "counted", "last",
                 "threads4", "bus", "subs", "subadd", "opened", "churn", "ctx", "askers")
# What a socket takes may be less than a page of the process that was looked at.
BYTES_LEAST = 16


def family_of(case):
    return case.split(":")[0]


def group_of(case):
    return next(name for name, families in GROUPS.items() if family_of(case) in families)


def measure_of(case):
    """The field of a result that counts in this case. More of it is better in a rate only."""
    if family_of(case) in RATE_FAMILIES:
        return "rate"
    return "bytes" if family_of(case) == "mem" else "p50_us"


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


def geometric_mean(values):
    return math.exp(statistics.fmean(math.log(v) for v in values)) if values else None


def median_of(results, key):
    values = [result[key] for result in results if result[key] is not None]
    return statistics.median(values) if values else None


def judge(case, summary):
    """Whether the case reaches its bar, which is noted beside it. One bad run breaks a limit."""
    if case in bars.LIMITS:
        field, limit = bars.LIMITS[case]
        summary["bar"] = f"{field} < {limit:g}"
        return bool(summary["gains"]) and all(
            run["ours"][field] < limit for run in summary["runs"])
    bar = bars.gain_bar(case)
    summary["bar"] = f"{bar:g}"
    return bool(summary["gains"]) and summary["gain"] >= bar


def summarise(case, pairs, failures, with_bars):
    """One case of a comparison: pairs of results, one pair a round."""
    cpu_gains = [g for g in (cpu_gain(*pair) for pair in pairs) if g is not None]
    summary = {
        "case": case,
        "group": group_of(case),
        "measure": measure_of(case),
        "gains": [gain(*pair) for pair in pairs],
        "cpu_gains": cpu_gains,
        "failures": failures,
        "runs": [{"ours": ours, "reference": reference} for ours, reference in pairs],
    }
    if pairs:
        summary["gain"] = statistics.median(summary["gains"])
        summary["cpu_gain"] = statistics.median(cpu_gains) if cpu_gains else None
        for position, name in enumerate(("ours", "reference")):
            results = [pair[position] for pair in pairs]
            summary[name] = statistics.median(value(result) for result in results)
            for key in ("p99_us", "cpu_us", "fds"):
                summary[f"{name}_{key}"] = median_of(results, key)
    passed = judge(case, summary) if with_bars else None
    # A case that failed even once has not been delivered, whatever its other rounds say.
    summary["passed"] = False if failures else passed
    return summary


def summarise_rival(name, case, rounds):
    """Ours against a rival in the rounds in which both ran; None when there is none."""
    pairs = [(results["ours"], results[name]) for results in rounds
             if "ours" in results and name in results]
    if not pairs:
        return None
    bar = rivals.bar(name, case)
    median_gain = statistics.median(gain(*pair) for pair in pairs)
    return {
        "value": statistics.median(value(rival) for _, rival in pairs),
        "cpu_us": median_of([rival for _, rival in pairs], "cpu_us"),
        "gain": median_gain,
        "bar": bar,
        "passed": None if bar is None else median_gain >= bar,
    }


def group_means(summaries):
    """The geometric mean of each group and of all, with the number of cases and the extremes."""
    measured = [s for s in summaries if s["gains"]]
    chosen = {name: [s["gain"] for s in measured if s["group"] == name] for name in GROUPS}
    chosen["pinned"] = [s["gain"] for s in measured if "@" in s["case"]]
    chosen["all"] = [s["gain"] for s in measured]
    return {name: {"mean": geometric_mean(gains), "cases": len(gains), "least": min(gains),
                   "most": max(gains)} for name, gains in chosen.items() if gains}
