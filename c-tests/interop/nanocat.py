#!/usr/bin/env python3
"""Our nanocat beside that of libnanomsg: the same command lines, the same bytes and exit codes.

Each conversation is held by both tools, each as who binds and as who connects; the first time by
theirs alone, which shows that what is expected is what theirs does. What ours can do beyond that
is tried at the end.

    nanocat.py --ours PATH [--theirs PATH] [CASE...]
"""

import argparse
import concurrent.futures
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PATIENCE = 30
BLOB = bytes(range(256)) + b'\n"\\\r\n'
LONG = b"x" * 70000


class Failed(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Failed(text)


class Tool:
    """A nanocat that runs, and what it has said so far."""

    started = []

    def __init__(self, program, words, name="nanocat", stdin=subprocess.DEVNULL, **more):
        self.words = [name, *words]
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        self.process = subprocess.Popen(self.words, executable=program, stdin=stdin, **more)
        Tool.started.append(self)
        self.said = bytearray()
        self.complained = bytearray()
        self.changed = threading.Condition()
        self.threads = []
        for stream, to in [(self.process.stdout, self.said),
                           (self.process.stderr, self.complained)]:
            if stream:
                thread = threading.Thread(target=self._read, args=(stream, to), daemon=True)
                thread.start()
                self.threads.append(thread)

    def _read(self, stream, to):
        while part := os.read(stream.fileno(), 1 << 16):
            with self.changed:
                to += part
                self.changed.notify_all()

    def wait_for(self, is_enough):
        with self.changed:
            if not self.changed.wait_for(lambda: is_enough(bytes(self.said)), PATIENCE):
                raise Failed(f"{self.words} said {bytes(self.said[-300:])!r}, "
                             f"complained {bytes(self.complained)!r}")

    def end(self, code=None):
        """Waits until it ends by itself with this code, or ends it."""
        if code is None:
            self.process.terminate()
        try:
            ended = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.words} does not end") from None
        for thread in self.threads:
            thread.join(PATIENCE)
        if code is not None:
            check(ended == code, f"{self.words} ended with {ended} instead of {code}, "
                                 f"complained {bytes(self.complained)!r}")
        return ended

    def stop(self):
        """A signal is only on its way: threads run on until one of them has it."""
        self.process.send_signal(signal.SIGSTOP)
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)
        check(os.WIFSTOPPED(status), "it has ended instead of stopping")

    def drop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Place:
    """An address that nobody else has."""

    def __init__(self, scheme, folder):
        self.path = None
        if scheme == "tcp":
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            self.address = f"tcp://127.0.0.1:{self.port}"
        else:
            handle, self.path = tempfile.mkstemp(dir=folder)
            os.close(handle)
            os.unlink(self.path)
            self.address = f"ipc://{self.path}"

    def wait(self, tool):
        until = time.monotonic() + PATIENCE
        while not self._is_bound():
            check(tool.process.poll() is None, f"{tool.words} ended: {bytes(tool.complained)!r}")
            check(time.monotonic() < until, f"{tool.words} does not bind")
            time.sleep(0.01)

    def _is_bound(self):
        if self.path:
            return os.path.exists(self.path)
        wanted = f":{self.port:04X} 00000000:0000 0A"
        with open("/proc/net/tcp", encoding="ascii") as table:
            return any(wanted in line for line in table)


# Command lines that need no peer, and the exit code of both tools. What they write on standard
# output must be the same, but for help.
LINES = [
    ("nanocat", 1), ("nanocat --help", 0), ("nanocat -h", 0), ("nanocat --help --zzz", 0),
    ("nanocat --zzz --help", 1), ("nanocat -Z", 1), ("nanocat --pair", 1), ("nanocat --bind @", 1),
    ("nanocat --pair --bind", 1), ("nanocat --pair --bind foo", 3),
    ("nanocat --pair --connect foo://x", 3), ("nanocat --pair --connect tcp://127.0.0.1", 3),
    ("nanocat --pair --bind-local x", 3), ("nanocat --pair -L 70000", 3),
    ("nanocat --pair -X=/nonexistent/x", 3), ("nanocat --pair --bind=", 3),
    ("nanocat --pair --bind @ x", 1), ("nanocat --pair --bind @ -- x", 1),
    ("nanocat --pair --bind @ - -- --recv-timeout 0", 0),
    ("nanocat --pai --bind @ --recv-t 0", 0), ("nanocat --pa --bind-i % --rec 0", 0),
    ("nanocat --pair --bin @", 1), ("nanocat --p --bind @", 1), ("nanocat --pu --bind @", 1),
    ("nanocat --re --bind @", 1), ("nanocat --su --bind @", 1), ("nanocat --h", 1),
    ("nanocat --he", 1), ("nanocat --hel", 0), ("nanocat --s", 1),
    ("nanocat --bu --bind @ --v --si --de 0 --as --ra --qu --rec 0", 0),
    ("nanocat --res --bind @ --so x --rec 0", 0), ("nanocat --sub --subs x --bind @ --rec 0", 0),
    ("nanocat --pair --bind @ --raw=3", 1), ("nanocat --help=3", 1),
    ("nanocat --pair --bind @ --recv-timeout=x", 1), ("nanocat --pair --bind @ --recv-timeout=", 1),
    ("nanocat --pair --bind @ --recv-timeout 1x", 1), ("nanocat --pair --bind @ -i", 1),
    ("nanocat --pair --bind @ --format foo", 1), ("nanocat --pair --bind @ --format=asc", 1),
    ("nanocat --pair --bind @ --form ascii --recv-timeout=0", 0),
    ("nanocat --pair --bind @ --format no --hex --recv-timeout=0", 0),
    ("nanocat --pair --bind @ -AQ -vvq --recv-timeout 0", 0), ("nanocat --pair --bind @ -AZ", 1),
    ("nanocat --pair -X % --recv-timeout 0", 0), ("nanocat --pair -X% --recv-timeout 0", 0),
    ("nanocat --pair --bind @ --connect @2 --bind @3 --recv-timeout 0", 0),
    ("nanocat --sub --sub --bind @", 1), ("nanocat --sub --push --bind @", 1),
    ("nanocat --pair --bind @ -D a -F /dev/zero", 1), ("nanocat --pair --bind @ -D a -D b", 1),
    ("nanocat --pull --bind @ --data x", 1), ("nanocat --push --bind @", 1),
    ("nanocat --pub --bind @", 1), ("nanocat --req --bind @", 1),
    ("nanocat --surveyor --bind @", 1),
    ("nanocat --pull --bind @ -i 1", 1), ("nanocat --pull --bind @ --send-timeout 1", 1),
    ("nanocat --pull --bind @ -d 0 --recv-timeout 0", 0), ("nanocat --pull --bind @ --subs x", 1),
    ("nanocat --push --bind @ -A -D x", 1), ("nanocat --push --bind @ --recv-timeout 1 -D x", 1),
    ("nanocat --pub --bind @ --format raw -D x", 1), ("nanocat --pub --bind @ -D x", 0),
    ("nanocat --pub --bind @ --socket-name foo -D x", 0), ("nanocat --pub --bind @ -D --bind", 0),
    ("nanocat --pub --bind @ -D=x", 0), ("nanocat --pub --bind @ --data=", 0),
    ("nanocat --pub --bind @ --socket-name " + "n" * 70 + " -D x", 3),
    ("nanocat --push --bind @ -D x --send-timeout 0", 3),
    ("nanocat --push --bind @ -D x --send-timeout .2 -i 5", 3),
    ("nanocat --pair --bind @ -D x -i -1 -i nan --send-timeout .1", 3),
    ("nanocat --pair --bind @ -D x --send-timeout 9 --send-timeout 0", 3),
    ("nanocat --push --bind foo -F /nonexistent", 2),
    ("nanocat --pull --bind @ --recv-timeout 1", 0), ("nanocat --sub --bind @ --recv-timeout 1", 0),
    ("nanocat --rep --bind @ --recv-timeout 1", 0),
    ("nanocat --rep --bind @ --recv-timeout 1 -D x", 3),
    ("nanocat --respondent --bind @ --recv-timeout 1", 0),
    ("nanocat --respondent --bind @ --recv-timeout 1 -D x", 3),
    ("nanocat --req --bind @ --recv-timeout 1 -D x", 0),
    ("nanocat --surveyor --bind @ -D x", 0), ("nanocat --bus --bind @ -D x --recv-timeout 1", 0),
    ("nanocat --bus --bind @ --recv-timeout 1 -d 1", 0),
    ("/some/where/nn_pair --bind @ --recv-timeout 0", 0), ("nn_pair --pair --bind @", 1),
    ("nn_pull --push --bind @", 1), ("nn_foo --bind @", 1), ("nn_pull.sh --bind @", 1),
    ("NN_PULL --bind @", 1), ("nn_push", 1), ("nn_push --help", 0), ("nn_sub --bind @ --rec 0", 0),
] + [(f"nn_{kind} --bind @ --recv-timeout 0", 0)
     for kind in ("pull", "sub", "rep", "respondent", "bus", "pair")]


class Bench:
    def __init__(self, ours, theirs, folder):
        self.ours, self.theirs, self.folder = ours, theirs, folder
        self.blob = os.path.join(folder, "blob")
        with open(self.blob, "wb") as file:
            file.write(BLOB)
        self.long = os.path.join(folder, "long")
        with open(self.long, "wb") as file:
            file.write(LONG)

    def place(self, scheme="ipc"):
        return Place(scheme, self.folder)

    # Each pair of tools that can talk, theirs among themselves first.
    def pairs(self):
        names = {"theirs": self.theirs, "ours": self.ours}
        order = [("theirs", "theirs"), ("ours", "theirs"), ("theirs", "ours"), ("ours", "ours")]
        return [(f"{binder} binds, {other} connects", names[binder], names[other])
                for binder, other in order]


def command_line(bench, line, code):
    """Both tools write the same and end in the same way."""
    said = []
    for program in (bench.theirs, bench.ours):
        places = {"%": bench.place().path, "@": bench.place().address}
        words = [re.sub(r"^(-X)?([@%])", lambda found: (found[1] or "") + places[found[2]], word)
                 for word in line.split(" ")]
        tool = Tool(program, words[1:], words[0])
        try:
            tool.end(code)
            said.append(bytes(tool.said))
            check(bool(tool.complained) == (code != 0), f"{line} told {bytes(tool.complained)!r}")
        finally:
            tool.drop()
    is_help = code == 0 and ("-h" in line)
    check(is_help and all(said) or said[0] == said[1], f"{line}: {said}")


class Speaker:
    """One side of a conversation: its words, the unit of what it says, how often at least, and
    its exit code if it ends by itself."""

    def __init__(self, words, unit=b"", least=1, code=None):
        self.words, self.unit, self.least, self.code = words, unit, least, code

    def is_enough(self, said):
        return len(said) >= self.least * len(self.unit)

    def judge(self, tool):
        said, unit = bytes(tool.said), self.unit
        count = len(said) // len(unit) if unit else 0
        check(said == unit * count and count >= self.least * bool(unit),
              f"{tool.words} said {said[:400]!r} instead of {unit[:400]!r}")


def conversation(bench, first, second, scheme, binder, connecter):
    place = bench.place(scheme)
    tools = []
    try:
        tools.append(Tool(binder, [*first.words, "--bind", place.address]))
        place.wait(tools[0])
        tools.append(Tool(connecter, [*second.words, "--connect", place.address]))
        speakers = list(zip((first, second), tools))
        for speaker, tool in speakers:
            tool.wait_for(speaker.is_enough)
        for speaker, tool in sorted(speakers, key=lambda both: both[0].code is None):
            tool.end(speaker.code)
            speaker.judge(tool)
    finally:
        for tool in tools:
            tool.drop()


def escapes(body):
    return b"".join(b"\\x%02x" % byte for byte in body)


def plain(byte):
    return 32 <= byte < 127


ASCII = bytes(byte if plain(byte) else ord(".") for byte in BLOB) + b"\n"
HEX = b'"' + escapes(BLOB) + b'"\n'
NAMED = {10: b"\\n", 13: b"\\r", 34: b'\\"', 92: b"\\\\"}
QUOTED = b'"' + b"".join(NAMED.get(byte) or (bytes([byte]) if plain(byte) else escapes([byte]))
                         for byte in BLOB) + b'"\n'
FORMATS = [("--raw", BLOB), ("--ascii", ASCII), ("-A", ASCII), ("--quoted", QUOTED),
           ("--hex", HEX), ("--msgpack", b"\xc5\x01\x05" + BLOB), ("--format=raw", BLOB),
           ("--format=hex", HEX)]


def conversations(bench):
    """Name, who binds, who connects. Senders that go on do not depend on a linger, which theirs
    has not."""
    sending = ["-F", bench.blob, "-i", "30"]
    listed = []
    for option, unit in FORMATS:
        pull, push = Speaker(["--pull", option], unit), Speaker(["--push", *sending])
        listed.append((f"pull {option}", pull, push))
        listed.append((f"push {option}", push, pull))
    long = Speaker(["--push", "-F", bench.long, "-i", "30"])
    listed.append(("pull long", Speaker(["--pull", "--msgpack"], b"\xc6\0\1\x11\x70" + LONG), long))
    quick = ["-i", ".3", "-d", ".5"]
    pub = Speaker(["--pub", "-D", "topic", *quick])
    listed += [
        ("sub", Speaker(["--sub", "-A"], b"topic\n", 2), pub),
        ("pub", pub, Speaker(["--sub", "-Q"], b'"topic"\n', 2)),
        ("sub topics", Speaker(["--sub", "-A", "--subscribe", "x", "--subscribe", "to"],
                               b"topic\n", 2), pub),
        ("req", Speaker(["--req", "-D", "q", "-A"], b"a b\n", 1, 0),
         Speaker(["--rep", "-D", "a b", "-A"], b"q\n")),
        ("rep", Speaker(["--rep", "-D", "a", "-Q"], b'"q"\n'),
         Speaker(["--req", "-D", "q", "-Q"], b'"a"\n', 1, 0)),
        ("rep interval", Speaker(["--rep", "-D", "a", "-A"], b"q\n", 3),
         Speaker(["--req", "-D", "q", "-A", "-i", ".2"], b"a\n", 3)),
        ("rep without an answer", Speaker(["--rep", "-A"], b"q\n", 2),
         Speaker(["--req", "-D", "q", "-A", "-i", ".5"])),
        ("respondent", Speaker(["--respondent", "-D", "a", "-A"], b"q\n"),
         Speaker(["--surveyor", "-D", "q", "-A", "-d", "2"], b"a\n", 1, 0)),
        ("surveyor", Speaker(["--surveyor", "-D", "q", "-Q", *quick], b'"a"\n', 2),
         Speaker(["--respondent", "-D", "a", "-Q"], b'"q"\n', 2)),
        ("bus", Speaker(["--bus", "-D", "x", "-A", *quick], b"y\n", 2),
         Speaker(["--bus", "-D", "y", "-A", *quick], b"x\n", 2)),
        ("pair", Speaker(["--pair", "-D", "x", "-A"], b"y\n"),
         Speaker(["--pair", "-D", "y", "-A"], b"x\n")),
        ("pair interval", Speaker(["--pair", "-D", "x", "-A", "-i", ".2"], b"y\n", 3),
         Speaker(["--pair", "-D", "y", "-A", "-i", ".3"], b"x\n", 3)),
        ("pair that listens", Speaker(["--pair", "-A"], b"\n"),
         Speaker(["--pair", "-D", ""])),
        ("pull time-out", Speaker(["--pull", "-A", "--recv-timeout", "5"], b"x\n", 1, 0),
         Speaker(["--push", "-D", "x", "-i", "30"])),
    ]
    return listed


def held(bench, first, second, scheme):
    for pair, binder, connecter in bench.pairs():
        try:
            conversation(bench, first, second, scheme, binder, connecter)
        except Failed as failure:
            raise Failed(f"{pair}: {failure}") from None


def numbers(count):
    return b"".join(b"%d\n" % number for number in range(count))


def feed(tool, text):
    def write():
        try:
            tool.process.stdin.write(text)
            tool.process.stdin.close()
        except BrokenPipeError:
            pass
    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def lines_reach_a_slow_reader(bench):
    """Who reads stands still until the sender has nothing more to read, and loses no line. (The
    library of theirs forgets what it has not given out when the sender goes.)"""
    place, text = bench.place(), numbers(200000)
    reading, writing = os.pipe()
    reader = Tool(bench.ours, ["-A", "--bind", place.address], "nn_pull", stdout=writing)
    os.close(writing)
    try:
        place.wait(reader)
        sender = Tool(bench.ours, ["--lines", "--connect", place.address], "nn_push",
                      stdin=subprocess.PIPE)
        feed(sender, text)
        time.sleep(1)
        check(sender.process.poll() is None, "the sender did not wait")
        got = bytearray()
        while len(got) < len(text):
            check(select.select([reading], [], [], PATIENCE)[0], f"only {len(got)} bytes arrive")
            part = os.read(reading, 1 << 14)
            check(part, f"the reader ended after {len(got)} bytes")
            got += part
            if len(text) - len(got) < 100000:
                time.sleep(0.1)
        check(bytes(got) == text, "other lines arrived")
        sender.end(0)
    finally:
        reader.drop()
        os.close(reading)


def one_message_reaches_a_stopped_reader(bench):
    """It is sent whole although the reader stands still for longer than any default linger."""
    place, size = bench.place("tcp"), 1 << 20
    whole = os.path.join(bench.folder, "whole")
    with open(whole, "wb") as file:
        file.write(b"w" * size)
    reader = Tool(bench.ours, ["--raw", "--bind", place.address], "nn_pull")
    sender = None
    try:
        place.wait(reader)
        reader.stop()
        sender = Tool(bench.ours, ["-F", whole, "--connect", place.address], "nn_push")
        time.sleep(2.5)
        reader.process.send_signal(signal.SIGCONT)
        reader.wait_for(lambda said: len(said) >= size)
        sender.end(0)
        reader.end()
        check(bytes(reader.said) == b"w" * size, "other bytes arrived")
    finally:
        reader.drop()
        if sender:
            sender.drop()


def one_shot_senders_lose_nothing(bench):
    for _ in range(20):
        place = bench.place()
        reader = Tool(bench.ours, ["--pull", "-A", "--bind", place.address])
        try:
            place.wait(reader)
            Tool(bench.ours, ["-D", "x", "--connect", place.address], "nn_push").end(0)
            reader.wait_for(lambda said: said == b"x\n")
        finally:
            reader.drop()


def what_cannot_be_delivered_in_time_is_told(bench):
    """The reader stops once it is connected. As long as the kernel takes everything, all is well;
    of the first message that does not fit, a part is left."""
    for count in range(1, 65):
        begin = time.monotonic()
        code = code_of_a_sender_whose_reader_stops(bench, count)
        if code != 0:
            check(code == 6, f"it ended with {code} after {count} messages")
            check(time.monotonic() - begin >= 2, "it gave up too early")
            return
    raise Failed("the kernel takes whatever it gets")


def code_of_a_sender_whose_reader_stops(bench, count):
    place = bench.place()
    reader = Tool(bench.ours, ["--raw", "--bind", place.address], "nn_pull")
    try:
        place.wait(reader)
        sender = Tool(bench.ours, ["--lines", "--connect", place.address, "--send-timeout", "2"],
                      "nn_push", stdin=subprocess.PIPE)
        sender.process.stdin.write(b"x\n")
        sender.process.stdin.flush()
        reader.wait_for(lambda said: said == b"x")
        reader.stop()
        feed(sender, (b"y" * 900000 + b"\n") * count)
        code = sender.process.wait(PATIENCE)
        return sender.end(code)
    finally:
        reader.drop()


def a_peer_that_takes_nothing_is_told(bench):
    """It stops before it has greeted anybody, so that there is nobody to send to."""
    place = bench.place()
    reader = Tool(bench.ours, ["--raw", "--bind", place.address], "nn_pull")
    try:
        place.wait(reader)
        reader.stop()
        Tool(bench.ours, ["-Dx", "--connect", place.address, "--send-timeout", "1"],
             "nn_push").end(3)
    finally:
        reader.drop()


def lines_are_asked_and_answered(bench):
    place = bench.place()
    rep = Tool(bench.ours, ["--lines", "-A", "--bind", place.address], "nn_rep",
               stdin=subprocess.PIPE)
    try:
        place.wait(rep)
        req = Tool(bench.ours, ["--lines", "-A", "--connect", place.address], "nn_req",
                   stdin=subprocess.PIPE)
        feed(req, b"one\ntwo\n\nfour")
        feed(rep, b"1\n2\n3\n4\n")
        req.end(0)
        rep.end(0)
        check(bytes(req.said) == b"1\n2\n3\n4\n", f"answers {bytes(req.said)!r}")
        check(bytes(rep.said) == b"one\ntwo\n\nfour\n", f"requests {bytes(rep.said)!r}")
    finally:
        rep.drop()


def lines_go_both_ways_at_once(bench):
    place, text = bench.place(), numbers(50000)
    first = Tool(bench.ours, ["--lines", "-A", "--recv-timeout", "5", "--bind", place.address],
                 "nn_pair", stdin=subprocess.PIPE)
    second = None
    try:
        place.wait(first)
        second = Tool(bench.ours, ["--lines", "-A", "--recv-timeout", "5", "--connect",
                                   place.address], "nn_pair", stdin=subprocess.PIPE)
        for tool in (first, second):
            feed(tool, text)
        for tool in (first, second):
            tool.end(0)
            check(bytes(tool.said) == text, f"{len(tool.said)} bytes of {len(text)} arrived")
    finally:
        first.drop()
        if second:
            second.drop()


def json_tells_time_and_peer(bench):
    for scheme in ("tcp", "ipc"):
        place = bench.place(scheme)
        reader = Tool(bench.ours, ["--format", "json", "--bind", place.address], "nn_pull")
        try:
            place.wait(reader)
            begin = time.time()
            for words in (["-D", 'say "é"'], ["-F", bench.blob]):
                Tool(bench.theirs, ["--push", "-i", "30", "--connect", place.address, *words])
                wanted = 1 + (words[0] == "-F")
                reader.wait_for(lambda said, wanted=wanted: said.count(b"\n") == wanted)
            text, blob = map(json.loads, bytes(reader.said).splitlines())
            check(text["data"] == 'say "é"' and text["size"] == 8, f"{text}")
            check("data" not in blob and len(blob["base64"]) == 4 * (-(-len(BLOB) // 3)), f"{blob}")
            check(text["peer"].startswith(f"{scheme}://"), f"{text}")
            moment = time.strptime(text["time"][:19], "%Y-%m-%dT%H:%M:%S")
            now = time.mktime(moment) - time.timezone
            check(begin - 2 <= now <= time.time() + 2, f"{text}")
        finally:
            reader.drop()


def time_outs_and_outputs_have_their_codes(bench):
    place = bench.place()
    Tool(bench.ours, ["--pull", "--bind", place.address, "--recv-timeout", ".1",
                      "--fail-on-timeout"]).end(5)
    Tool(bench.ours, ["--req", "-Dx", "--bind", place.address, "--recv-timeout", ".1",
                      "--fail-on-timeout"]).end(5)
    with open("/dev/full", "wb") as full:
        reader = Tool(bench.ours, ["--pull", "-A", "--bind", place.address], stdout=full)
        place.wait(reader)
        Tool(bench.ours, ["--push", "-Dx", "--connect", place.address]).end(0)
        reader.end(4)
    read, write = os.pipe()
    os.close(read)
    place = bench.place()
    reader = Tool(bench.ours, ["--pull", "-A", "--bind", place.address], stdout=write)
    os.close(write)
    place.wait(reader)
    Tool(bench.ours, ["--push", "-Dx", "--connect", place.address]).end(0)
    reader.end(4)
    check(not reader.complained, f"it told {bytes(reader.complained)!r}")
    Tool(bench.ours, ["--push", "--bind", "foo", "-F", "/"]).end(2)


def a_signal_ends_it_in_good_order(bench):
    for which in (signal.SIGTERM, signal.SIGINT):
        place = bench.place()
        reader = Tool(bench.ours, ["-A", "--stats", "--bind", place.address], "nn_pull",
                      preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        place.wait(reader)
        for _ in range(3):
            Tool(bench.ours, ["-Dx", "--connect", place.address], "nn_push").end(0)
        reader.wait_for(lambda said: said == b"x\n" * 3)
        reader.process.send_signal(which)
        reader.end(-which)
        told = bytes(reader.complained).decode()
        check("received: 3 messages, 3 bytes\n" in told, told)
        check("connections accepted: 3\n" in told, told)
        check(not os.path.exists(place.path), "its file is left behind")


def rates_are_shown_on_a_terminal_only(bench):
    for words, shown in ((["-q"], False), ([], True)):
        place = bench.place()
        terminal, other = pty.openpty()
        reader = Tool(bench.ours, ["-A", "--bind", place.address, *words], "nn_pull",
                      stderr=other)
        os.close(other)
        said = bytearray()
        try:
            place.wait(reader)
            Tool(bench.ours, ["-Dx", "-i", "30", "--connect", place.address], "nn_push")
            reader.wait_for(lambda said: said == b"x\n")
            os.set_blocking(terminal, False)
            until = time.monotonic() + (PATIENCE if shown else 1)
            while time.monotonic() < until and b"1 messages" not in said:
                try:
                    said += os.read(terminal, 4096)
                except BlockingIOError:
                    time.sleep(0.05)
            check((b"1 messages" in said) == shown, f"{words} showed {bytes(said)!r}")
            check(bytes(reader.said) == b"x\n", "the output has more than the message")
        finally:
            reader.drop()
            os.close(terminal)


def a_bar_is_shown_for_a_file(bench):
    place = bench.place()
    terminal, other = pty.openpty()
    reader = Tool(bench.ours, ["--bind", place.address], "nn_pull")
    try:
        place.wait(reader)
        sender = Tool(bench.ours, ["--lines", "-F", bench.few, "-i", ".3", "--connect",
                                   place.address], "nn_push", stderr=other)
        os.close(other)
        said = b""
        try:
            while part := os.read(terminal, 4096):
                said += part
        except OSError:
            pass
        sender.end(0)
        check(b"4 B/6 B" in said or b"4B/6B" in said, f"it showed {said!r}")
    finally:
        reader.drop()
        os.close(terminal)


def intervals_and_delays_are_kept(bench):
    place = bench.place()
    begin = time.monotonic()
    Tool(bench.ours, ["--pub", "--lines", "-F", bench.few, "-i", ".3", "-d", ".4", "--bind",
                      place.address]).end(0)
    took = time.monotonic() - begin
    check(took >= 1.3, f"it took {took}")
    begin = time.monotonic()
    Tool(bench.ours, ["--pull", "--bind", place.address, "--recv-timeout", "0.4"]).end(0)
    took = time.monotonic() - begin
    check(took >= 0.4, f"a part of a second was {took}")


def make_certificate(bench, name):
    """PEM with the certificate and its key, for this machine; it vouches for itself only."""
    path = os.path.join(bench.folder, name)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-addext",
                    "basicConstraints=CA:FALSE", "-keyout", f"{path}.key", "-out", f"{path}.pem"],
                   check=True, capture_output=True)
    with open(f"{path}.both", "wb") as both:
        for end in ("pem", "key"):
            with open(f"{path}.{end}", "rb") as part:
                both.write(part.read())
    return f"{path}.pem", f"{path}.key", f"{path}.both"


def certificates_decide_who_is_talked_to(bench):
    """Where the library that encrypts was built beside it, and certificates can be made."""
    encrypting = os.path.join(os.path.dirname(bench.ours), "libspmsg_tls.so")
    place = bench.place("tcp")
    if not os.path.exists(encrypting) or not shutil.which("openssl"):
        tool = Tool(bench.ours, ["--pull", "--bind", f"tls+{place.address}"])
        tool.end(3)
        print(f"without {encrypting} or openssl there is no TLS: {tool.complained.decode()}")
        return
    found = os.path.join(bench.folder, "found")
    os.mkdir(found)
    os.symlink(encrypting, os.path.join(found, "libspmsg-tls.so.0"))
    environment = {**os.environ, "LD_LIBRARY_PATH": found}

    def start(*words):
        return Tool(bench.ours, words, env=environment)

    pem, key, both = make_certificate(bench, "here")
    other, other_key, _ = make_certificate(bench, "other")
    for scheme in ("tls+tcp", "wss"):
        address = place.address.replace("tcp", scheme)
        for own in (["--cert", pem, "--key", key], ["--cert", both]):
            here = start("--pair", "--bind", address, *own, "-D", "from here", "-A",
                         "--recv-timeout", "1")
            place.wait(here)
            there = start("--pair", "--connect", address, "--cacert", pem, "-D", "from there",
                          "-A", "--recv-timeout", "1")
            here.end(0)
            there.end(0)
            check((here.said, there.said) == (b"from there\n", b"from here\n"),
                  f"they say {here.said} and {there.said}")
        # Whom one does not know is sent nothing, unless it does not matter who it is.
        here = start("--pull", "--bind", address, "--cert", both, "-A")
        place.wait(here)
        for words in (["--cacert", other], ["--cacert", pem, "--cert-name", "elsewhere.test"]):
            start("--push", "--connect", address, *words, "-D", "no", "--send-timeout", ".5").end(3)
        start("--push", "--connect", address, "--cert-unchecked", "-D", "yes").end(0)
        here.wait_for(lambda said: said == b"yes\n")
        here.end()
        # Who listens may ask for certificates as well.
        here = start("--pull", "--bind", address, "--cert", both, "--cacert", other,
                     "--cert-required", "-A")
        place.wait(here)
        start("--push", "--connect", address, "--cacert", pem, "-D", "no", "--send-timeout",
              ".5").end()
        start("--push", "--connect", address, "--cacert", pem, "--cert", other, "--key", other_key,
              "-D", "yes").end(0)
        here.wait_for(lambda said: said == b"yes\n")
        here.end()
    tool = start("--pull", "--bind", address, "--cert", os.path.join(bench.folder, "nowhere"))
    tool.end(3)
    check(address.encode() in tool.complained, f"it complains {bytes(tool.complained)}")


def run(cases):
    failed = []
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        futures = {pool.submit(body): name for name, body in cases}
        for future in concurrent.futures.as_completed(futures):
            name, failure = futures[future], future.exception()
            if failure is None:
                continue
            failed.append(name)
            print(f"FAILED {name}: {failure!r}", flush=True)
    print(f"{len(cases) - len(failed)} of {len(cases)} cases passed")
    return not failed


def all_cases(bench):
    cases = [(f"line: {line}", lambda line=line, code=code: command_line(bench, line, code))
             for line, code in LINES]
    for index, (name, first, second) in enumerate(conversations(bench)):
        scheme = ("tcp", "ipc")[index % 2]
        cases.append((f"{name} over {scheme}",
                      lambda a=first, b=second, s=scheme: held(bench, a, b, s)))
    for body in (lines_reach_a_slow_reader, one_message_reaches_a_stopped_reader,
                 one_shot_senders_lose_nothing,
                 what_cannot_be_delivered_in_time_is_told, a_peer_that_takes_nothing_is_told,
                 lines_are_asked_and_answered,
                 lines_go_both_ways_at_once, json_tells_time_and_peer,
                 time_outs_and_outputs_have_their_codes, a_signal_ends_it_in_good_order,
                 rates_are_shown_on_a_terminal_only, a_bar_is_shown_for_a_file,
                 intervals_and_delays_are_kept, certificates_decide_who_is_talked_to):
        cases.append((body.__name__, lambda body=body: body(bench)))
    return cases


WORKERS = 6


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", required=True)
    parser.add_argument("--theirs", default=shutil.which("nanocat"))
    parser.add_argument("cases", nargs="*", help="parts of names; all cases without")
    arguments = parser.parse_args()
    # Theirs does not know this option; ours under its name would be compared with itself.
    if subprocess.run([arguments.theirs, "-V"], capture_output=True, check=False).returncode == 0:
        sys.exit(f"{arguments.theirs} is not the tool of libnanomsg")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(os.path.abspath(arguments.ours), arguments.theirs, folder)
        bench.few = os.path.join(folder, "few")
        with open(bench.few, "wb") as file:
            file.write(b"1\n2\n3\n")
        wanted = [(name, body) for name, body in all_cases(bench)
                  if not arguments.cases or any(part in name for part in arguments.cases)]
        try:
            return 0 if wanted and run(wanted) else 1
        finally:
            for tool in Tool.started:
                tool.drop()


if __name__ == "__main__":
    sys.exit(main())
