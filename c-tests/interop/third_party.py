#!/usr/bin/env python3
"""Programs that know nothing of us, as they come from their makers, on both libraries.

Each runs on libnanomsg first, and then on ours, which it finds in a directory under the name that
it asks for. What it says must be the same. The time that each takes is the best of three.

    third_party.py --ours LIBRARY --work DIRECTORY [--table FILE] [NAME...]

Programs that are not here are left out, and named; --all makes that a failure.
"""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent / "third-party"
PATIENCE = 120
TURNS = 3
SLOWER = 1.5
# Starting a process takes that long and varies: a difference below it says nothing of a library.
NOISE = 0.3


class Missing(Exception):
    """A program is not on this machine."""


class Failed(Exception):
    pass


def program(name):
    found = shutil.which(name)
    if not found:
        raise Missing(name)
    return found


def run(words, environment, folder, status=0, **more):
    """What a program says, if it ends as it should."""
    done = subprocess.run(words, env=environment, cwd=folder, timeout=PATIENCE, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    if done.returncode != status:
        raise Failed(f"{words[0]} ends with {done.returncode}:\n{done.stdout}")
    return done.stdout


def nanocat(environment, folder, work):
    """One command line for each pattern; the side that answers or sends runs until it is ended."""
    tool = program("nanocat")
    said = []
    for number, (theirs, ours) in enumerate([
        (["--rep", "--data", "answer"], ["--req", "--data", "question"]),
        (["--push", "--data", "job", "--interval", "0.1"], ["--pull"]),
        (["--pub", "--data", "news", "--interval", "0.1"], ["--sub", "--subscribe", "n"]),
        (["--pair", "--data", "left", "--interval", "0.1"], ["--pair"]),
        (["--respondent", "--data", "me"],
         ["--surveyor", "--data", "who", "--interval", "0.3"]),
        (["--bus", "--data", "all", "--interval", "0.1"], ["--bus"]),
    ]):
        place = f"ipc://{folder}/{number}.ipc"
        peer = subprocess.Popen([tool, *theirs, "--bind", place], env=environment,
                                stdout=subprocess.DEVNULL)
        try:
            until(lambda: os.path.exists(place[6:]), "nanocat binds")
            asking = subprocess.Popen([tool, *ours, "--connect", place, "--ascii"],
                                      env=environment, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL)
            # The same comes again and again, until nobody wants it any more.
            said += [ours[0], asking.stdout.readline().decode()]
            asking.kill()
            asking.communicate()
        finally:
            peer.kill()
            peer.wait()
    return "\n".join(said)


def perl(environment, folder, work):
    if subprocess.run(["perl", "-MNanoMsg::Raw", "-e", "1"], stderr=subprocess.DEVNULL).returncode:
        raise Missing("NanoMsg::Raw for Perl")
    return run(["perl", str(HERE / "raw.pl"), str(folder)], environment, folder)


def criterion(environment, folder, work):
    binary = work / "criterion"
    if not binary.exists():
        built = subprocess.run(["cc", str(HERE / "criterion.c"), "-o", str(binary), "-lcriterion"],
                               capture_output=True, text=True)
        if built.returncode:
            raise Missing("Criterion")
    said = run([str(binary), "--verbose", "--jobs", "2"], environment, folder, status=1)
    # Which of its processes is first to end, and how long each took, differs from run to run.
    return "\n".join(sorted(re.sub(r"\(\d.*s\)|\x1b\[[0-9;]*m", "", said).splitlines()))


def janus(environment, folder, work):
    """A media server that is asked whether it is alive, ten times, and then to stop."""
    server, tool = program("janus"), program("nanocat")
    plugins = next(pathlib.Path("/usr/lib").glob("*/janus/transports/libjanus_nanomsg.so"), None)
    if not plugins:
        raise Missing("the nanomsg transport of Janus")
    for part in "conf", "transports", "plugins", "events":
        (folder / part).mkdir()
    (folder / "transports" / plugins.name).symlink_to(plugins)
    (folder / "conf/janus.jcfg").write_text(
        f'general: {{ plugins_folder = "{folder}/plugins"\n'
        f'transports_folder = "{folder}/transports"\nevents_folder = "{folder}/events" }}\n')
    (folder / "conf/janus.transport.nanomsg.jcfg").write_text(
        'general: { enabled = true\njson = "compact"\n'
        f'address = "ipc://{folder}/janus.ipc" }}\nadmin: {{ admin_enabled = false }}\n')
    with started(server, folder, environment) as process:
        answers = []
        for number in range(10):
            asking = subprocess.Popen(
                [tool, "--pair", "--connect", f"ipc://{folder}/janus.ipc", "--ascii", "--data",
                 f'{{"janus":"ping","transaction":"{number}"}}'],
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            answers.append(asking.stdout.readline().decode())
            asking.kill()
            asking.communicate()
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
    said = (folder / "said").read_text().splitlines()
    return "\n".join([*answers, said[-1], str(process.returncode)])


@contextlib.contextmanager
def started(server, folder, environment):
    """Janus, with its thread for nanomsg. That thread ends at once when it is faster than the one
    that makes it, on every library: then it is started again."""
    for _ in range(20):
        with open(folder / "said", "w+") as said:
            process = subprocess.Popen([server, "-F", str(folder / "conf"), "-o", "-i", "127.0.0.1"],
                                       env=environment, stdout=said, stderr=subprocess.STDOUT)
        try:
            until(lambda: {"JANUS Nanomsg transport plugin initialized!", "Nanomsg thread started"}
                  <= set((folder / "said").read_text().splitlines()), "Janus starts")
            time.sleep(0.2)
            if "Nanomsg thread ended" not in (folder / "said").read_text():
                yield process
                return
        finally:
            process.kill()
            process.wait()
    raise Failed("Janus loses its thread each time")


def python(environment, folder, work):
    interpreter = work / "venv/bin/python"
    if not interpreter.exists():
        raise Missing("nnpy for Python")
    said = run([str(interpreter), "-m", "unittest", "-v", "nnpy.tests"], environment, folder)
    return re.sub(r"in \d+\.\d+s", "", said)


# Those that use neither fixed ports nor fixed files, and pass on libnanomsg.
NODE_TESTS = "chan inproc symbol symbolinfo test".split()


def node(environment, folder, work):
    module = work / "node/node_modules/nanomsg"
    if not (module / "test").exists() or not shutil.which("node"):
        raise Missing("nanomsg for Node")
    return "\n".join(run(["node", f"test/{name}.js"], environment, module) for name in NODE_TESTS)


PROGRAMS = [nanocat, perl, criterion, janus, python, node]


def until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {PATIENCE} s")
        time.sleep(0.01)


def once(test, environment, work):
    """What it says in a new directory, and how long it takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        began = time.monotonic()
        said = test(environment, folder, work)
        return said.replace(str(folder), "FOLDER"), time.monotonic() - began


def loaded(test, environment, work):
    """The libraries that the loader brings into its processes."""
    with tempfile.TemporaryDirectory() as name:
        once(test, environment | {"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": f"{name}/files"}, work)
        said = "".join(path.read_text(errors="replace") for path in pathlib.Path(name).iterdir())
    return set(re.findall(r"calling init: (\S+)", said))


def compare(test, ours, work):
    """Whether both libraries make it say the same, and the times of both."""
    plain = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    plain["LC_ALL"] = "C"
    with_ours = plain | {"LD_LIBRARY_PATH": str(ours)}
    if not any(path.startswith(f"{ours}/") for path in loaded(test, with_ours, work)):
        raise Failed("it does not run on our library at all")
    times = {"reference": [], "ours": []}
    for _ in range(TURNS):
        expected, seconds = once(test, plain, work)
        times["reference"].append(seconds)
        said, seconds = once(test, with_ours, work)
        times["ours"].append(seconds)
        if said != expected:
            raise Failed(f"on libnanomsg it says\n{expected}\n\nand on ours\n{said}")
    reference, own = min(times["reference"]), min(times["ours"])
    return reference, own, len(expected.splitlines())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", required=True, help="our library")
    parser.add_argument("--work", required=True, help="where programs were built and installed")
    parser.add_argument("--all", action="store_true", help="none may be missing")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    work = pathlib.Path(arguments.work).resolve()
    ours = work / "names"
    ours.mkdir(parents=True, exist_ok=True)
    for name in "libnanomsg.so.5", "libnanomsg.so":
        (ours / name).unlink(missing_ok=True)
        (ours / name).symlink_to(pathlib.Path(arguments.ours).resolve())
    good = bad = missing = 0
    for test in PROGRAMS:
        if arguments.names and test.__name__ not in arguments.names:
            continue
        try:
            reference, own, lines = compare(test, ours, work)
        except Missing as what:
            print(f"{test.__name__}: {what} is not here")
            missing += 1
            continue
        except (Failed, subprocess.TimeoutExpired) as what:
            print(f"{test.__name__}: {what}")
            bad += 1
            continue
        print(f"{test.__name__}: the same {lines} lines on both; "
              f"{reference:.2f} s on libnanomsg, {own:.2f} s on ours")
        if own > SLOWER * reference + NOISE:
            print(f"{test.__name__}: ours takes more than {SLOWER} times as long")
            bad += 1
        else:
            good += 1
    bad += missing if arguments.all else 0
    print(f"{good} tests passed, {bad} tests failed, {missing} left out")
    return bad != 0 or good == 0


if __name__ == "__main__":
    sys.exit(main())
