"""What the scripts beside this file share: finding the program and the libraries, and one run."""

import argparse
import fnmatch
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SONAME = "libspmsg.so.0"
REFERENCE_NAME = "libnanomsg.so.5"
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OURS_DEFAULT = ROOT / "target" / "release" / "libspmsg.so"
# The program watches its own deadline; this one is for a program that cannot even do that.
RUN_TIMEOUT_S = 1800


class RunError(Exception):
    """A run that did not end well; its text says which and why."""


class Library:
    """A library under the name the program asks the loader for, in a directory of its own."""

    def __init__(self, name, directory):
        self.name = name
        self.directory = Path(directory)
        self.file = self.directory / SONAME

    def environment(self):
        return dict(os.environ, LD_LIBRARY_PATH=str(self.directory))


def stage(name, path, root, copy=False):
    """Puts the library at `path`, a file or a directory that holds it, under its name in `root`."""
    path = Path(path)
    if path.is_dir():
        path = path / SONAME
    if not path.is_file():
        raise RunError(f"there is no library at {path}")
    directory = Path(root) / name
    directory.mkdir(parents=True)
    if copy:
        shutil.copy(path, directory / SONAME)
    else:
        (directory / SONAME).symlink_to(path.resolve())
    return Library(name, directory)


def find_reference():
    """The installed reference library, from the environment or from the loader's cache."""
    given = os.environ.get("NANOMSG_LIBRARY")
    if given:
        return given
    path = os.pathsep.join([os.environ.get("PATH", ""), "/sbin", "/usr/sbin"])
    ldconfig = shutil.which("ldconfig", path=path)
    if ldconfig:
        listing = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=False)
        for line in listing.stdout.splitlines():
            if line.strip().startswith(REFERENCE_NAME + " "):
                return line.split("=>")[-1].strip()
    raise RunError(f"{REFERENCE_NAME} is not installed; name it with --reference")


def find_program():
    """The compiled program, from the environment or from the usual build directories."""
    given = os.environ.get("SPMSG_BENCH")
    builds = [ROOT / "target" / "c-tests" / "bench", HERE.parent / "build" / "bench",
              ROOT / "build" / "bench"]
    candidates = [Path(given)] if given else [build / "bench" for build in builds]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise RunError("the program is not built where it usually is; name it with --bench")


def add_own_options(parser):
    parser.add_argument("--bench", metavar="PATH", help="the program bench")
    parser.add_argument("--ours", metavar="PATH", default=str(OURS_DEFAULT),
                        help="our library (default target/release/libspmsg.so)")


def add_common_options(parser):
    add_own_options(parser)
    parser.add_argument("--reference", metavar="PATH", help="the reference library")
    parser.add_argument("--cases", metavar="GLOB", action="append",
                        help="cases to run; may be repeated")


def add_slope_options(parser, few, many, warm):
    parser.add_argument("--few", type=int, default=few, metavar="N",
                        help="operations of the shorter run")
    parser.add_argument("--many", type=int, default=many, metavar="N",
                        help="operations of the longer run")
    parser.add_argument("--warm", type=int, default=warm, metavar="N",
                        help="operations before either")


def program_of(options):
    return Path(options.bench) if options.bench else find_program()


def reference_of(options):
    return options.reference or find_reference()


def listed_cases(program, library, every=False):
    """The standard cases, or every one that has a name in the program's lists, each once."""
    option = "--list-all" if every else "--list"
    listing = subprocess.run([str(program), option], env=library.environment(),
                             capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        raise RunError(f"{program} {option}: {listing.stderr.strip()}")
    return list(dict.fromkeys(listing.stdout.split()))


def choose_cases(patterns, known):
    """A name without wildcards is taken as it is, because the list is only a choice of cases."""
    chosen = []
    for pattern in patterns:
        found = [case for case in known if fnmatch.fnmatchcase(case, pattern)]
        if not found and any(c in pattern for c in "*?["):
            raise RunError(f"no case matches {pattern}")
        chosen.extend(found or [pattern])
    return list(dict.fromkeys(chosen))


def read_result(case, library, output):
    """Checks what the program printed: right messages, from the library that was meant."""
    try:
        result = json.loads(output)
    except ValueError:
        raise RunError(f"{case} on {library.name}: no result line: {output!r}") from None
    if not os.path.samefile(result["library"], library.file):
        raise RunError(f"{case} on {library.name}: the loader chose {result['library']}")
    if result["errors"] != 0:
        raise RunError(f"{case} on {library.name}: {result['errors']} wrong messages")
    if result["count"] == 0:
        raise RunError(f"{case} on {library.name}: nothing was measured")
    return result


def run(program, library, case, arguments=(), wrapper=()):
    """One run of one case, as the dictionary that the program printed."""
    command = [*wrapper, str(program), *arguments, case]
    try:
        done = subprocess.run(command, env=library.environment(), capture_output=True, text=True,
                              timeout=RUN_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise RunError(f"{case} on {library.name}: no end after {RUN_TIMEOUT_S} s") from None
    if done.stdout.strip() == "" or done.returncode not in (0, 1):
        said = done.stderr.strip() or "nothing"
        raise RunError(f"{case} on {library.name}: status {done.returncode}, said: {said}")
    return read_result(case, library, done.stdout)


def note(text):
    print(text, file=sys.stderr, flush=True)


def count_with(tool, script, options, count):
    """The exit code of `count(options, root)` with a directory of its own; 2 without the tool."""
    if shutil.which(tool) is None:
        note(f"{script}: {tool} is not installed")
        return 2
    try:
        with tempfile.TemporaryDirectory(prefix="spmsg-bench-") as root:
            return count(options, root)
    except RunError as error:
        note(f"{script}: {error}")
        return 2


def ratio(field, of, over):
    """The median over the rounds of the ratio inside a round."""
    return statistics.median(of_one[field] / over_one[field]
                             for of_one, over_one in zip(of, over))


def report_transports(description, heading, cases_of, row):
    """The main program of a script that runs the cases of each transport in rounds on our library,
    and prints a row of what they gave. Returns the exit code."""
    parser = argparse.ArgumentParser(description=description)
    add_own_options(parser)
    parser.add_argument("--transports", default="inproc,ipc,tcp", metavar="LIST")
    parser.add_argument("--pinned", action="store_true", help="everybody runs on CPU 0")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--seconds", default="0.5", metavar="S")
    options = parser.parse_args()
    suffix = "@0" if options.pinned else ""
    try:
        with tempfile.TemporaryDirectory() as root:
            library = stage("ours", options.ours, root)
            program = program_of(options)
            print(heading)
            for transport in options.transports.split(","):
                rounds = [[run(program, library, case + suffix, ["--seconds", options.seconds])
                           for case in cases_of(transport)] for _ in range(options.rounds)]
                print(row(transport, rounds), flush=True)
    except RunError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
