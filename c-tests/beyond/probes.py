#!/usr/bin/env python3
"""The probes of doc/probes.md: in the file of the library, under a debugger, and under bpftrace.

    probes.py --library PATH --program PATH --scripts DIRECTORY [CASE...]

The program is beyond/probed, which the loader has to find the library for. A case that needs a
tool which is not there, or which this kernel does not let in, is skipped with its reason.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE = 60
# What a register or a place in memory is called on the two machines that have probes.
BARE = r"-4@(\d*\(%r\w+\)|\[x\d+, \d+\]) 8@(%r\w+|x\d+)"
COUNTED = r"-4@(%[er]\w+|x\d+) -8@(%r\w+|x\d+) 8@(%r\w+|x\d+)"
PROBES = {
    "send": BARE, "recv": BARE, "connect": COUNTED, "accept": COUNTED, "drop": COUNTED,
    "refuse": COUNTED, "sleep": COUNTED, "wake": COUNTED,
}
NOTE = re.compile(r"Provider: (\S+)\s+Name: (\S+)\s+Location: 0x(\w+), Base: 0x(\w+), "
                  r"Semaphore: 0x(\w+)\s+Arguments: ([^\n]*)")


class Skipped(Exception):
    pass


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def run(*words, **more):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=PATIENCE, check=False, errors="replace", **more)


def need(tool):
    if not shutil.which(tool):
        raise Skipped(f"{tool} is not here")


def notes_of(library):
    need("readelf")
    listed = run("readelf", "--notes", "--wide", library)
    return [note for note in NOTE.findall(listed.stdout) if note[0] == "spmsg"]


def check_notes(library):
    notes = notes_of(library)
    names = {note[1] for note in notes}
    check(names == set(PROBES), f"{library} has {sorted(names)}")
    for _, name, location, base, counter, arguments in notes:
        check(re.fullmatch(PROBES[name], arguments), f"{name} has {arguments!r}")
        check(int(location, 16) and int(base, 16), f"{name} is nowhere")
        is_counted = PROBES[name] is COUNTED
        check(bool(int(counter, 16)) == is_counted, f"{name} has counter {counter}")
    return notes


def the_file_has_a_note_for_each(options):
    check_notes(options.library)


def they_outlive_strip(options):
    need("strip")
    before = sorted(notes_of(options.library))
    with tempfile.TemporaryDirectory() as directory:
        for flags in (["--strip-all"], ["--strip-unneeded"], ["--strip-debug"]):
            copy = os.path.join(directory, "stripped.so")
            done = run("strip", *flags, "-o", copy, options.library)
            check(done.returncode == 0, done.stdout)
            check(sorted(check_notes(copy)) == before, f"{flags} changes them")


def numbers_in(said):
    """The line with which the program begins or ends: its numbers by name."""
    # A debugger may be in the middle of a line of its own.
    found = re.search(r"\bpair=\d+ .*$", said, re.MULTILINE)
    check(found, f"the program has not ended well:\n{said}")
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", found.group())}


def check_story(said):
    """`said` has a line `+NAME SOCKET NUMBER WORDS` of each probe that was passed."""
    known = numbers_in(said)
    seen = [line[1:].split(" ", 3) for line in said.splitlines() if line.startswith("+")]
    pair, push, pub = (str(known[name]) for name in ("pair", "push", "pub"))

    def of(name, socket):
        return [rest for probe, number, *rest in seen if (probe, number) == (name, socket)]

    def have(name, socket, *expected):
        check(of(name, socket) == [list(one) for one in expected],
              f"{name} of {socket}: {of(name, socket)}, should be {expected}")

    # The pair with the higher number is the one that connects, and receives first.
    other = str(int(pair) - 1)
    have("accept", other, ("1", ""))
    have("connect", pair, ("1", ""))
    have("send", other, ("3",))
    have("recv", pair, ("3",))
    have("send", pair, ("20000",))
    have("recv", other, ("20000",))
    sleeps, wakes = of("sleep", pair), of("wake", pair)
    check(len(sleeps) == len(wakes) >= 1, f"{sleeps} and {wakes}")
    check(0 < int(sleeps[0][0]) <= 20_000_000 and sleeps[0][1] == "recv", f"{sleeps}")
    check(wakes[-1] == ["0", "TimedOut"], f"{wakes}")
    refused = of("refuse", push)
    check(refused == [["5", "WouldBlock"]], f"{refused}")
    failed = of("connect", push)
    check(failed and all("No such file or directory" in words for _, words in failed),
          f"{failed}")
    dropped = of("drop", pub)
    check(all(words == "Busy" for _, words in dropped), f"{dropped}")
    check(sum(int(count) for count, _ in dropped) == known["dropped"], f"{dropped}, {known}")
    have("send", pub, *[("20000",)] * 100)


def a_debugger_stops_at_each_and_sees_its_arguments(options):
    need("gdb")
    # What is printed is written as in C, whatever stops.
    lines = ["set breakpoint pending on", "set pagination off", "set confirm off",
             "set debuginfod enabled off", "set language c", "break main", "run", "delete"]
    for name, form in PROBES.items():
        shown = '"+%s %%d %%ld\\n", $_probe_arg0, $_probe_arg1'
        if form is COUNTED:
            shown = '"+%s %%d %%ld %%s\\n", $_probe_arg0, $_probe_arg1, (char *)$_probe_arg2'
        lines += [f"break -probe-stap spmsg:{name}", "commands", "silent",
                  f"printf {shown % name}", "continue", "end"]
    lines += ["continue"]
    with tempfile.NamedTemporaryFile("w", suffix=".gdb") as script:
        script.write("\n".join(lines) + "\n")
        script.flush()
        done = run("gdb", "-nx", "-batch", "-x", script.name, options.program,
                   stdin=subprocess.DEVNULL)
    if "Could not trace the inferior" in done.stdout or "ptrace" in done.stdout:
        raise Skipped("this machine lets nobody trace")
    check_story(done.stdout)


class Watched:
    """A script of bpftrace that watches the library, if this machine lets one in."""

    def __init__(self, options, *words):
        need("bpftrace")
        tried = run("bpftrace", "-e", f"uprobe:{options.library}:nn_socket {{}} BEGIN {{ exit(); }}")
        if tried.returncode != 0:
            raise Skipped("no probe is let in here: " + tried.stdout.strip().splitlines()[-1])
        self.program = options.program
        self.output = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(["bpftrace", *words], stdout=self.output,
                                        stderr=subprocess.STDOUT)

    def said(self):
        self.output.seek(0)
        return self.output.read()

    def live(self):
        """Lets the program live once, and returns its process and its last line."""
        with subprocess.Popen([self.program], stdout=subprocess.PIPE, text=True) as life:
            said = life.communicate(timeout=PATIENCE)[0]
            check(life.returncode == 0, said)
            return life.pid, said

    def live_until(self, pattern):
        """Lives that often that one was seen: nothing tells when the probes are there."""
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, self.said(), re.MULTILINE):
            check(self.process.poll() is None, self.said())
            check(time.monotonic() < end, f"{pattern} was not seen in {self.said()[-2000:]}")
            self.live()

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=PATIENCE)
        return self.said()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.output.close()


def bpftrace_sees_the_same(options):
    story = ""
    for name, form in PROBES.items():
        shown = f'"+%d {name} %d %d\\n", pid, (int32)arg0, arg1'
        if form is COUNTED:
            shown = f'"+%d {name} %d %d %s\\n", pid, (int32)arg0, (int64)arg1, str(arg2)'
        story += f"usdt:{options.library}:spmsg:{name} {{ printf({shown}); }}\n"
    with Watched(options, "-e", story) as watched:
        for name in PROBES:
            watched.live_until(rf"^\+\d+ {name} ")
        process, numbers = watched.live()
        said = watched.end()
    mine = [line for line in said.splitlines() if line.startswith(f"+{process} ")]
    check_story("\n".join(["+" + line.split(" ", 1)[1] for line in mine] + [numbers]))


def the_scripts_tell_of_drops_and_sleeps(options):
    with Watched(options, os.path.join(options.scripts, "drops.bt"), options.library) as watched:
        known = numbers_in(watched.live()[1])
        dropped = rf"^@dropped\[.*, {known['pub']}, Busy\]: {known['dropped']}$"
        refused = rf"^@refused\[.*, {known['push']}, WouldBlock\]: 1$"
        watched.live_until(dropped)
        watched.live_until(refused)
    with Watched(options, os.path.join(options.scripts, "sleeps.bt"), options.library) as watched:
        # It speaks at its end only.
        until = time.monotonic() + 5
        while time.monotonic() < until:
            pair = numbers_in(watched.live()[1])["pair"]
        said = watched.end()
    check(re.search(rf"^@ends\[.*, {pair}, recv, TimedOut\]: \d+$", said, re.MULTILINE), said)
    check(re.search(rf"^@microseconds\[.*, {pair}, recv\]:", said, re.MULTILINE), said)


CASES = [the_file_has_a_note_for_each, they_outlive_strip,
         a_debugger_stops_at_each_and_sees_its_arguments, bpftrace_sees_the_same,
         the_scripts_tell_of_drops_and_sleeps]


def main():
    parser = argparse.ArgumentParser()
    for name in ("library", "program", "scripts"):
        parser.add_argument(f"--{name}", required=True, type=os.path.abspath)
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    options.library = os.path.realpath(options.library)
    failures = 0
    for case in CASES:
        if options.cases and case.__name__ not in options.cases:
            continue
        try:
            case(options)
            print(f"ok {case.__name__}")
        except Skipped as reason:
            print(f"SKIP {case.__name__}: {reason}")
        except (AssertionError, subprocess.TimeoutExpired) as error:
            failures += 1
            print(f"FAILED {case.__name__}: {error}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
