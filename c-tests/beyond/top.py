#!/usr/bin/env python3
"""spmsg-top beside processes that talk, are stopped, die, have children, or are none of ours.

    top.py --top PATH --nanocat PATH [CASE...]
"""

import argparse
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PATIENCE = 30
NUMBERS = itertools.count(100)


def check(condition, text):
    if not condition:
        raise AssertionError(text)


class World:
    """Processes and a directory, which all end with it."""

    def __init__(self, options):
        self.options = options
        self.processes = []
        self.directory = tempfile.TemporaryDirectory()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        self.directory.cleanup()

    def address(self, name):
        return f"ipc://{self.directory.name}/{name}"

    def start(self, *words, stats="1", **more):
        environment = {key: value for key, value in os.environ.items() if key != "SPMSG_STATS"}
        if stats is not None:
            environment["SPMSG_STATS"] = stats
        process = subprocess.Popen([self.options.nanocat, *words], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, env=environment, **more)
        self.processes.append(process)
        return process

    def pair_of_programs(self, name="line"):
        pull = self.start("--pull", "--bind", self.address(name))
        push = self.start("--push", "--connect", self.address(name), "--data", "hello",
                          "--interval", "0.01")
        self.wait_for(pull, lambda row: row["figures"].get("messages_received_total", 0) > 3)
        return pull, push

    def top(self, *words, interval="0.2"):
        began = time.monotonic()
        done = subprocess.run([self.options.top, "--interval", interval, *words],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        self.took = time.monotonic() - began
        check(done.returncode == 0, f"{words}: {done.returncode}, {done.stderr}")
        return done.stdout

    def seen(self, *words):
        """What it says in JSON of our processes, by their numbers."""
        said = json.loads(self.top("--once", "--json", "-p", *words))
        ours = {process.pid for process in self.processes} | {os.getpid()}
        return {one["pid"]: one for one in said["processes"] if one["pid"] in ours}

    def wait_for(self, process, condition):
        end = time.monotonic() + PATIENCE
        while True:
            rows = self.seen().get(process.pid, {}).get("rows", [])
            if any(condition(row) for row in rows):
                return
            check(time.monotonic() < end, f"{process.args} is not seen so: {rows}")


def listeners():
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as table:
        return set(re.findall(r"@(spmsg/stats/\S+)", table.read()))


def threads_of(process):
    names = []
    for thread in os.listdir(f"/proc/{process.pid}/task"):
        with open(f"/proc/{process.pid}/task/{thread}/comm", encoding="utf-8") as name:
            names.append(name.read().strip())
    return names


def sockets_endpoints_and_peers_have_their_figures_and_rates(world):
    pull, push = world.pair_of_programs()
    seen = world.seen()
    for process, word, other in [(pull, "received", "sent"), (push, "sent", "received")]:
        rows = seen[process.pid]["rows"]
        check([("endpoint" in row, "peer" in row) for row in rows]
              == [(False, False), (True, False), (True, True)], f"{rows}")
        check(seen[process.pid]["program"] == "nanocat", f"{seen}")
        for row in rows:
            check(row["figures"][f"messages_{word}_total"] > 3, f"{row}")
            check(0 < row["rates"][f"messages_{word}_total"] < 1000, f"{row}")
            check(row["figures"].get(f"messages_{other}_total", 0) == 0, f"{row}")
        check(rows[0]["type"] == ("pull" if process is pull else "push"), f"{rows[0]}")
        check(rows[1]["address"] == world.address("line"), f"{rows[1]}")


def a_table_has_a_line_for_each(world):
    pull, push = world.pair_of_programs()
    for words, lines in [(["--once"], 2), (["--once", "-e"], 4), (["--once", "-p"], 6)]:
        words = [*words, "--process", str(pull.pid), "--process", str(push.pid)]
        said = world.top(*words).splitlines()
        check(said[0] == "spmsg-top: 2 processes, 2 sockets", said)
        check(said[1].split()[:4] == ["PID", "PROGRAM", "SOCKET", "TYPE"], said)
        check(len(said) == 2 + lines, said)
    said = world.top("-n", "2", "--process", str(pull.pid))
    check(said.count("spmsg-top: 1 processes") == 2, said)
    check("\x1b" not in said, "there is no terminal")
    said = world.top("--once", "-s", "7", "--process", str(pull.pid))
    check(said.startswith("spmsg-top: 1 processes, 0 sockets"), said)


def who_has_not_asked_for_it_is_not_there_at_all(world):
    before = listeners()
    for stats in (None, "", "0", "yes"):
        process = world.start("--pull", "--bind", world.address("quiet"), stats=stats)
        end = time.monotonic() + PATIENCE
        while not os.path.exists(world.address("quiet")[len("ipc://"):]):
            check(time.monotonic() < end, "it does not begin")
            time.sleep(0.01)
        check("spmsg-stats" not in threads_of(process), f"{stats}: {threads_of(process)}")
        check(not any(f"/{process.pid}." in name for name in listeners() - before), f"{stats}")
        check(process.pid not in world.seen(), f"{stats}")
        process.kill()
        process.wait()
        os.unlink(world.address("quiet")[len("ipc://"):])


def who_is_stopped_costs_half_a_second_and_no_more(world):
    pull, push = world.pair_of_programs()
    os.kill(push.pid, signal.SIGSTOP)
    os.waitpid(push.pid, os.WUNTRACED)
    # It accepts nobody any more, and those who came before fill its backlog.
    for _ in range(20):
        seen = world.seen()
        check(world.took < 5, f"it took {world.took} s")
        check(seen[push.pid].get("error") == "silent", f"{seen[push.pid]}")
        check("rows" in seen[pull.pid], f"{seen[pull.pid]}")
    os.kill(push.pid, signal.SIGCONT)
    world.wait_for(push, lambda row: True)


def who_dies_is_gone_and_so_is_his_name(world):
    pull, push = world.pair_of_programs()
    push.kill()
    push.wait()
    seen = world.seen()
    check(push.pid not in seen and pull.pid in seen, f"{seen}")
    check(not any(f"/{push.pid}." in name for name in listeners()), f"{listeners()}")


def many_processes_are_seen_at_once(world):
    many = [world.start("--pull", "--bind", world.address(f"many-{number}"))
            for number in range(40)]
    for process in many:
        world.wait_for(process, lambda row: row["type"] == "pull")
    seen = world.seen()
    check(all("rows" in seen.get(process.pid, {}) for process in many), f"{len(seen)} of 40")


def stranger(answer, pid=None):
    """Listens under a name as of a process, and gives everybody that answer."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0spmsg/stats/{pid or os.getpid()}.{next(NUMBERS)}")
    listener.listen(8)

    def serve():
        while True:
            try:
                visitor = listener.accept()[0]
            except OSError:
                return
            try:
                if answer is not None:
                    visitor.sendall(answer)
                    visitor.close()
                else:
                    kept.append(visitor)
            except OSError:
                pass

    kept = []
    threading.Thread(target=serve, daemon=True).start()
    return listener


def a_stranger_is_told_as_one(world):
    pull, _ = world.pair_of_programs()
    beginning = b"# spmsg-stats 1 process=1\n"
    answers = [b"", b"\0" * 100000, b"GET / HTTP/1.1\r\n\r\n", beginning, beginning + b"x\n# EOF\n",
               beginning + b'spmsg_x{socket="0"} 1\n', b"\xff" * 10, b'# EOF\n',
               beginning + b'spmsg_x{socket="' + b"9" * 100000 + b'"} 1\n# EOF\n']
    for answer in answers:
        listener = stranger(answer)
        seen = world.seen()
        check(seen[os.getpid()].get("error") == "nonsense", f"{answer[:60]}: {seen}")
        check("rows" in seen[pull.pid], f"{seen}")
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    silent = stranger(None)
    check(world.seen()[os.getpid()].get("error") == "silent", "it says nothing")
    silent.close()
    # A name that claims to be another process is believed by nobody.
    liar = stranger(beginning + b"# EOF\n", pid=1)
    said = json.loads(world.top("--once", "--json"))
    check(1 not in [one["pid"] for one in said["processes"]], f"{said}")
    liar.close()


def who_takes_a_name_hides_nobody(world):
    pull, push = world.pair_of_programs()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0spmsg/stats/{pull.pid}.{next(NUMBERS)}")
    listener.listen(0)
    # There is no room for another one, who is told so at once.
    waiting = socket.socket(socket.AF_UNIX)
    waiting.connect(listener.getsockname())
    for _ in range(5):
        seen = world.seen()
        check("rows" in seen[pull.pid] and "rows" in seen[push.pid], f"{seen}")
    waiting.close()
    listener.close()


def a_name_where_nobody_is_accepted_says_nothing_of_another(world):
    quiet = world.start("--pull", "--bind", world.address("quiet"), stats=None)
    names = [f"\0spmsg/stats/{pid}.{next(NUMBERS)}" for pid in (quiet.pid, os.getpid())]
    listeners_of_ours, waiting = [], []
    for name in names:
        listeners_of_ours.append(socket.socket(socket.AF_UNIX))
        listeners_of_ours[-1].bind(name)
        listeners_of_ours[-1].listen(0)
        waiting.append(socket.socket(socket.AF_UNIX))
        waiting[-1].connect(name)
    seen = world.seen()
    check(quiet.pid not in seen, f"it has asked for nothing: {seen}")
    check(seen[os.getpid()].get("error") == "silent", f"it listens, and accepts nobody: {seen}")
    for one in waiting + listeners_of_ours:
        one.close()


TALKER = """
import os, socket, threading
try:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
except OSError:
    print("nobody else")
    sys.exit()
listener = socket.socket(socket.AF_UNIX)
listener.bind(f"\\0spmsg/stats/{os.getpid()}.0")
listener.listen(8)
def flood(visitor):
    try:
        while True:
            visitor.sendall(b"# spmsg-stats 1 process=1\\n" * 4000)
    except OSError:
        pass
print("ready", flush=True)
while True:
    threading.Thread(target=flood, args=[listener.accept()[0]], daemon=True).start()
"""


def little_is_read_of_other_users(world):
    if os.geteuid() != 0:
        print("skipped: only root reads what other users say")
        return
    talker = subprocess.Popen([sys.executable, "-c", TALKER], stdout=subprocess.PIPE)
    world.processes.append(talker)
    with talker.stdout:
        check(talker.stdout.readline() == b"ready\n", "it does not begin")
    said = json.loads(world.top("--once", "--json", "--process", str(talker.pid)))
    check([one.get("error") for one in said["processes"]] == ["too-much"], f"{said}")
    words = [world.options.top, "--interval", "0.1", "-n", "3", "--process", str(talker.pid)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as top:
        _, status, used = os.wait4(top.pid, 0)
        top.returncode = os.waitstatus_to_exitcode(status)
        check(top.returncode == 0 and used.ru_maxrss < 40 * 1024, f"{used.ru_maxrss} KiB")


VISITOR = """
import os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
visitor = socket.socket(socket.AF_UNIX)
visitor.settimeout(20)
visitor.connect("\\0" + sys.argv[1])
said = b""
try:
    while more := visitor.recv(65536):
        said += more
except ConnectionResetError:
    pass
print(len(said))
"""


def another_user_is_told_nothing(world):
    if os.geteuid() != 0:
        print("skipped: only root can be another user")
        return
    pull, _ = world.pair_of_programs()
    name = next(name for name in listeners() if f"/{pull.pid}." in name)
    done = subprocess.run([sys.executable, "-c", VISITOR, name], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    if done.stdout == "nobody else\n":
        print("skipped: there is one user only")
        return
    check(done.stdout == "0\n", f"{done.stdout} {done.stderr}")
    # Whose it is is answered as before.
    world.wait_for(pull, lambda row: True)


def words_of_others_do_nothing_to_a_terminal(world):
    text = (b"# spmsg-stats 1 process=1\n"
            b'spmsg_connections{socket="0",name="a\x1b[2Jb\\n\\"",type="pair"} 1\n# EOF\n')
    listener = stranger(text)
    words = ["--once", "--process", str(os.getpid())]
    said = world.top(*words)
    check("\x1b" not in said and "0(a?[2Jb?\")" in said, said)
    row = json.loads(world.top("--json", *words))["processes"][0]["rows"][0]
    check(row["name"] == 'a\x1b[2Jb\n"', f"{row}")
    listener.close()


def who_does_not_read_keeps_nobody_from_being_served(world):
    pull, _ = world.pair_of_programs()
    name = next(name for name in listeners() if f"/{pull.pid}." in name)
    idle = []
    for _ in range(5):
        idle.append(socket.socket(socket.AF_UNIX))
        idle[-1].connect("\0" + name)
    world.wait_for(pull, lambda row: True)
    for one in idle:
        one.close()


def a_reader_who_has_gone_ends_it(world):
    with subprocess.Popen([world.options.top, "--interval", "0.1"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as top:
        top.stdout.close()
        check(top.wait(timeout=PATIENCE) == 0, "it fails")
        check(top.stderr.read() == b"", "it complains")


CASES = [sockets_endpoints_and_peers_have_their_figures_and_rates, a_table_has_a_line_for_each,
         who_has_not_asked_for_it_is_not_there_at_all,
         who_is_stopped_costs_half_a_second_and_no_more, who_dies_is_gone_and_so_is_his_name,
         many_processes_are_seen_at_once, a_stranger_is_told_as_one,
         who_takes_a_name_hides_nobody, a_name_where_nobody_is_accepted_says_nothing_of_another,
         little_is_read_of_other_users, another_user_is_told_nothing, words_of_others_do_nothing_to_a_terminal,
         who_does_not_read_keeps_nobody_from_being_served, a_reader_who_has_gone_ends_it]


def main():
    parser = argparse.ArgumentParser()
    for name in ("top", "nanocat"):
        parser.add_argument(f"--{name}", required=True, type=os.path.abspath)
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    failures = 0
    for case in CASES:
        if options.cases and case.__name__ not in options.cases:
            continue
        try:
            with World(options) as world:
                case(world)
            print(f"ok {case.__name__}")
        except (AssertionError, subprocess.TimeoutExpired, KeyError) as error:
            failures += 1
            print(f"FAILED {case.__name__}: {error!r}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
