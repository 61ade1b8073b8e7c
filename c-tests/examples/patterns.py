#!/usr/bin/env python3
"""Starts the examples as their comments say, and compares what they print with what they should.

    patterns.py --programs DIRECTORY [--schemes tcp,ipc,ws] [CASE...]

DIRECTORY is where the examples were built. Which library they run on is up to the environment.
"""

import argparse
import os
import pathlib
import queue
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PATIENCE = 20


class Failed(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Failed(text)


class Program:
    """An example that runs. Its lines can be waited for."""

    directory = None
    running = []

    def __init__(self, name, *words, stdin=subprocess.DEVNULL, environment=None):
        self.words = [name, *words]
        path = os.path.join(Program.directory, f"examples-{name}")
        self.process = subprocess.Popen([path, *words], stdin=stdin, stdout=subprocess.PIPE,
                                        text=True, env={**os.environ, **(environment or {})})
        Program.running.append(self)
        self.lines = queue.Queue()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def line(self):
        try:
            return self.lines.get(timeout=PATIENCE)
        except queue.Empty:
            raise Failed(f"{self.words} says nothing more") from None

    def says(self, expected):
        line = self.line()
        check(line == expected, f"{self.words} says {line!r} instead of {expected!r}")

    def write(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def all_lines(self, code=0):
        """What it says until it ends by itself, with this code."""
        try:
            ended = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.words} does not end") from None
        check(ended == code, f"{self.words} ended with {ended}, not {code}")
        self.thread.join(PATIENCE)
        lines = []
        while not self.lines.empty():
            lines.append(self.lines.get())
        return lines

    @staticmethod
    def end_all():
        for program in Program.running:
            if program.process.poll() is None:
                program.process.kill()
            program.process.wait()
            program.process.stdout.close()
            if program.process.stdin:
                program.process.stdin.close()
        Program.running.clear()


class Addresses:
    """Addresses that nobody else uses."""

    def __init__(self, scheme, directory):
        self.scheme = scheme
        self.directory = directory
        self.count = 0
        # Below those that the kernel gives to connecting sockets, each process elsewhere.
        self.port = random.randrange(11000, 32000)

    def new(self):
        self.count += 1
        if self.scheme == "ipc":
            return f"ipc://{self.directory}/{self.count}"
        while True:
            self.port += 1
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", self.port))
                except OSError:
                    continue
            return f"{self.scheme}://127.0.0.1:{self.port}"


def hello(_):
    check(Program("hello").all_lines() == ["received 5 bytes: hello"], "hello says otherwise")


def reqrep(addresses):
    url = addresses.new()
    asker = Program("reqrep", "ask", url, "hello", "is anybody there?", "")
    Program("reqrep", "serve", url)
    check(asker.all_lines() == ["HELLO", "IS ANYBODY THERE?", ""], "the replies are others")
    check(Program("reqrep", "ask", url, "again").all_lines() == ["AGAIN"], "not a second time")
    Program("reqrep", "shout", url).all_lines(code=2)


def pubsub(addresses):
    url = addresses.new()
    sport = Program("pubsub", "subscribe", url, "sport.")
    both = Program("pubsub", "subscribe", url, "weather.", "sport.tennis")
    deaf = Program("pubsub", "subscribe", url, "Sport")
    publisher = Program("pubsub", "publish", url, "3")
    tennis = "sport.tennis: the match was won by both"
    today = "weather.today: wind from all directions"
    chess = "sport.chess: white to move, for an hour now"
    tomorrow = "weather.tomorrow: as today, but later"
    check(publisher.all_lines() == [], "the publisher talks")
    check(sport.all_lines() == [tennis, chess], "sport is something else")
    check(both.all_lines() == [tennis, today, tomorrow], "two topics are something else")
    check(deaf.all_lines() == [], "a topic is taken for another")


def pipeline(addresses):
    work, results = addresses.new(), addresses.new()
    gatherer = Program("pipeline", "gather", results, "1000")
    for _ in range(3):
        Program("pipeline", "work", work, results)
    dealer = Program("pipeline", "deal", work, "1000", "3")
    check(dealer.all_lines() == [], "the dealer talks")
    check(gatherer.all_lines() == ["1000 results, their sum is 333833500"], "the sum is wrong")


def survey(addresses):
    url = addresses.new()
    for name in ("anna", "-", "bert"):
        Program("survey", "answer", url, name)
    lines = Program("survey", "ask", url, "3", "3000").all_lines()
    check(sorted(lines[:-1]) == ["anna", "bert"], f"{lines} answer")
    check(lines[-1] == "2 of 3 answered", f"{lines[-1]!r} is the end")


def bus(addresses):
    names = ["anna", "bert", "cleo"]
    urls = [addresses.new() for _ in names]
    guests = [Program("bus", name, "3", urls[i], *urls[:i]) for i, name in enumerate(names)]
    for name, guest in zip(names, guests):
        guest.says(f"{name} sits down")
        heard = sorted(guest.all_lines())
        others = [f"{name} hears {other}" for other in names if other != name]
        check(heard == others, f"{name} says {heard}")


def loops(addresses):
    """Every loop that was built, in talk with the one before it in the list."""
    names = ["poll", "uv", "ev", "glib", "poll"]
    built = [name for name in names if pathlib.Path(
        Program.directory, f"examples-loop-{name}").exists()]
    for one, other in zip(built, built[1:]):
        url = addresses.new()
        here = Program(f"loop-{one}", "bind", url, stdin=subprocess.PIPE)
        here.says("ready")
        here.write("hello")
        here.says('nobody hears "hello"')
        there = Program(f"loop-{other}", "connect", url, stdin=subprocess.PIPE)
        there.says("ready")
        # Who has just connected can be heard a moment later.
        tries = 0
        while True:
            there.write(f"line {tries}")
            try:
                line = here.lines.get(timeout=0.05)
            except queue.Empty:
                tries += 1
                check(tries < 400, "nothing comes across")
                continue
            check(line.startswith("line "), f"{one} hears {line!r}")
            break
        here.write("one\ntwo\n" + "x" * 600)
        for expected in ("one", "two"):
            while (line := there.line()) != expected:
                check(line.startswith("nobody hears"), f"{other} hears {line!r}")
        # What does not fit into a line of the program goes out in two.
        check(there.line() + there.line() == "\n".join(["", ""]).strip() + "x" * 600, "cut badly")
        here.process.stdin.close()
        there.process.stdin.close()
        here.all_lines()
        there.all_lines()


def wrapper(_):
    check(Program("wrapper").all_lines() == ["HELLO FROM C++", "no more: Connection timed out"],
          "wrapper says otherwise")


def contexts(_):
    lines = Program("contexts").all_lines()
    check(lines == [f"question {number} is answered" for number in range(16)], f"it says {lines}")


def drops(_):
    numbers = [int(line.split(":")[1].split()[0]) for line in Program("drops").all_lines()]
    check(numbers[:2] == [0, 0] and numbers[2] > 0, f"these are {numbers}")
    check(numbers[2] + numbers[3] == 100, f"{numbers}: some are neither dropped nor received")


def last(_):
    lines = Program("last").all_lines()
    check(lines == ["temperature 24", "pressure 1009", "outdated: 3"], f"it says {lines}")


def many(addresses):
    url = addresses.new()
    server = Program("many", "serve", url, "2")
    for name in ("anna", "bert"):
        check(Program("many", "say", url, name).all_lines() == [f"good day, {name}"], name)
    lines = server.all_lines()
    check(len(lines) == 1 and lines[0].endswith(" 2") and 'name="desk"' in lines[0], f"{lines}")
    # Several of another library at a time, which know nothing of each other.
    other = os.path.join(Program.directory, "lib", "reference")
    if not os.path.exists(os.path.join(other, "libspmsg.so.0")):
        return
    url = addresses.new()
    server = Program("many", "serve", url, str(1 + 4 * (3 + 1)))
    check(Program("many", "say", url, "anna").all_lines() == ["good day, anna"], "anna")
    environment = {"LD_LIBRARY_PATH": other, "ASAN_OPTIONS": "detect_leaks=0"}
    others = [Program("pair", "1", url, environment=environment) for _ in range(4)]
    for program in others:
        lines = program.all_lines()
        check(lines[-1] == 'node 1: received "good day, node 1, message 3"', f"{lines}")
    server.all_lines()


def watch(addresses):
    url = addresses.new()
    watcher = Program("watch", url, "3")
    pusher = Program("pipeline", "work", addresses.new(), url)
    watcher.says("came")
    pusher.process.kill()
    watcher.says("went")
    Program("survey", "answer", url, "a stranger")
    check(watcher.all_lines() == ["did not speak as a PUSH does"], "a stranger is welcome")


def listening(url):
    """What a manager of services opens, and how systemd-socket-activate calls it."""
    scheme, place = url.split("://")
    if scheme == "ipc":
        opened = socket.socket(socket.AF_UNIX)
        opened.bind(place)
    else:
        host, port = place.split(":")
        opened = socket.socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, int(port)))
    opened.listen()
    return opened


def ask_all(url, questions):
    """On this library, and on libnanomsg where it is installed."""
    libraries = pathlib.Path(Program.directory, "lib")
    for name in ("spmsg", "reference"):
        if (libraries / name / "libspmsg.so.0").exists():
            environment = {"LD_LIBRARY_PATH": str(libraries / name)}
            lines = Program("reqrep", "ask", url, *questions, environment=environment).all_lines()
            check(lines == [question.upper() for question in questions], f"{name} hears {lines}")


def activated(addresses):
    if addresses.scheme == "ws":
        return
    # A manager that opens the address, starts the service again and again, and keeps the address.
    url = addresses.new()
    opened = listening(url)
    path = os.path.join(Program.directory, "examples-activated")
    for _ in range(2):
        service = os.fork()
        if service == 0:
            os.dup2(opened.fileno(), 3)
            os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
            os.execv(path, [path, "1000"])
        ask_all(url, ["hello", "again"])
        check(os.waitpid(service, 0)[1] == 0, "the service fails")
        # It has left the address to who opened it, who may be asked in the meantime.
        patient = Program("reqrep", "ask", url, "early")
    opened.close()
    patient.process.kill()
    if addresses.scheme == "ipc":
        check(os.path.exists(url[len("ipc://"):]), "the file is gone")
    Program("activated").all_lines(code=2)

    manager = shutil.which("systemd-socket-activate")
    for words in ([[], ["--accept"]] if manager else []):
        url = addresses.new()
        place = url.split("://")[1]
        running = subprocess.Popen([manager, *words, "-l", place, "-E", "LD_LIBRARY_PATH", path,
                                    "2000"], stderr=subprocess.DEVNULL)
        try:
            ask_all(url, ["hello"])
        finally:
            running.kill()
            running.wait()


def make_certificates(directory):
    """An authority, what it vouches for, and somebody for whom nobody does."""
    new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    lines = [f"openssl req -x509 {new} -days 30 -subj /CN={name} -keyout {name}.key -out {name}.pem"
             for name in ("ca", "other")]
    for name, names in (("here", "DNS:localhost,IP:127.0.0.1"), ("there", "DNS:elsewhere.test"),
                        ("client", "DNS:client.test")):
        lines += [f"echo subjectAltName={names} >{name}.ext",
                  f"openssl req {new} -subj /CN={name} -keyout {name}.key -out {name}.csr",
                  f"openssl x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial"
                  f" -days 30 -extfile {name}.ext -out {name}.pem"]
    done = subprocess.run(["sh", "-ec", "\n".join(lines)], cwd=directory, text=True, check=False,
                          stdin=subprocess.DEVNULL, capture_output=True)
    check(done.returncode == 0, f"openssl says {done.stderr}")


def tls(addresses):
    make_certificates(addresses.directory)

    def file(name):
        return os.path.join(addresses.directory, name)

    def ask(url, trust, *own):
        certificates = [file(name) for name in own] or ["-", "-"]
        program = os.path.join(Program.directory, "examples-tls")
        done = subprocess.run([program, "ask", url.replace("127.0.0.1", "localhost"), file(trust),
                               *certificates, "hello", ""], text=True, capture_output=True,
                              check=False, timeout=PATIENCE)
        return done.stdout + done.stderr, done.returncode

    def answers(url, *words):
        said = ask(url, *words)
        check(said == ("HELLO\n\n", 0), f"ask {words} says {said}")

    def refuses(why, url, *words):
        said = ask(url, *words)
        check(said == (f"no answer: {why}\n", 1), f"ask {words} says {said}")

    url = addresses.new()
    for end in (".pem", ".key"):
        shutil.copy(file(f"here{end}"), file(f"now{end}"))
    service = Program("tls", "serve", url, file("now.pem"), file("now.key"))
    answers(url, "ca.pem")
    refuses("nobody who is trusted vouches for the peer's certificate", url, "other.pem")
    # What it shows changes when it is told, and not before.
    for name, why in (("there", "the peer's certificate is for another name"), ("here", None)):
        for end in (".pem", ".key"):
            shutil.copy(file(f"{name}{end}"), file(f"now{end}"))
        service.process.send_signal(signal.SIGHUP)
        service.says("the certificates were read again")
        if why:
            refuses(why, url, "ca.pem")
    answers(url, "ca.pem")
    pathlib.Path(file("now.pem")).write_text("nothing")
    service.process.send_signal(signal.SIGHUP)
    check(service.line() != "the certificates were read again", "it takes anything")
    answers(url, "ca.pem")

    url = addresses.new()
    Program("tls", "serve", url, file("here.pem"), file("here.key"), file("ca.pem"))
    answers(url, "ca.pem", "client.pem", "client.key")
    for own in ([], ["other.pem", "other.key"]):
        text, code = ask(url, "ca.pem", *own)
        check(code == 1 and "the peer refuses with alert" in text, f"ask with {own} says {text}")
    check(ask(addresses.new(), "ca.pem") == ("no answer: nobody is there\n", 1), "who answers?")
    Program("tls", "serve", addresses.new(), file("none.pem"), file("here.key")).all_lines(code=1)
    Program("tls", "ask").all_lines(code=2)


CASES = [
    hello, reqrep, pubsub, pipeline, survey, bus, loops, wrapper, contexts, drops, last, many,
    watch, activated, tls,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", required=True, metavar="DIRECTORY")
    parser.add_argument("--schemes", default="tcp,ipc,ws")
    parser.add_argument("cases", nargs="*", metavar="CASE")
    options = parser.parse_args()
    Program.directory = options.programs
    failures = 0
    for case in CASES:
        if options.cases and case.__name__ not in options.cases:
            continue
        for scheme in options.schemes.split(","):
            began = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="spmsg-examples-") as directory:
                try:
                    case(Addresses(scheme, directory))
                    result = "passed"
                except Failed as reason:
                    result = f"FAILED: {reason}"
                    failures += 1
                finally:
                    Program.end_all()
            print(f"{case.__name__} over {scheme}: {result}, "
                  f"{time.monotonic() - began:.1f} s", flush=True)
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
