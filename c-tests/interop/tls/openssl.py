#!/usr/bin/env python3
"""tls+tcp with the tools of OpenSSL, s_client and s_server, at the other end.

    SPMSG_SO=libspmsg.so openssl.py [CASE...]

What they write of a session is asked for by -msg and goes to a file; their standard input and
output are the stream.
"""

import contextlib
import itertools
import os
import pathlib
import select
import subprocess
import sys
import time

from ours import FAULTS, PAIR, PATIENCE, PORTS, SPMSG, Failed, Socket, check, equal, run
from peer import NAMES, PARTNERS, Sp, converse

FLAGS = {"1.2": "-tls1_2", "1.3": "-tls1_3"}
FAREWELL = "warning close_notify"


class Tool:
    """One of the tools, whose pipes are a stream as Python's sockets are."""

    def __init__(self, place, name, *words):
        self.notes = pathlib.Path(place.file(f"notes-{len(place.processes)}"))
        self.errors = pathlib.Path(place.file(f"errors-{len(place.processes)}"))
        with open(self.errors, "wb") as errors:
            self.process = place.start("openssl", name, *words, "-msg", "-msgfile", self.notes,
                                       stderr=errors)
        self.said = b""

    def sendall(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def recv(self, size):
        check(select.select([self.process.stdout], [], [], PATIENCE)[0],
              f"nothing comes, but {self.error()}")
        return os.read(self.process.stdout.fileno(), size)

    def await_text(self, text):
        """Reads on until it has said that, and gives what came before."""
        while text not in self.said:
            part = self.recv(65536)
            check(part, f"it ends without {text}: {self.said!r} {self.error()}")
            self.said += part
        before, _, self.said = self.said.partition(text)
        return before

    def await_note(self, *parts):
        """A line of its notes that has all of these."""
        deadline = time.monotonic() + PATIENCE
        while not any(all(part in line for part in parts) for line in self.lines()):
            check(time.monotonic() < deadline, f"no {parts}, but {self.error()}")
            time.sleep(0.01)

    def lines(self):
        return self.notes.read_text().splitlines() if self.notes.exists() else []

    def error(self):
        return self.errors.read_text()

    def hang_up(self):
        """As a human does it."""
        self.process.stdin.close()

    def status(self):
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed(f"it does not end: {self.error()}") from None


def client(place, port, version, *words):
    return Tool(place, "s_client", "-connect", f"127.0.0.1:{port}", FLAGS[version], "-CAfile",
                place.file("ca.pem"), "-verify_return_error", "-verify_hostname", "localhost",
                "-servername", "localhost", *words)


@contextlib.contextmanager
def server(place, version, *words):
    """Its port, and the tool, when it listens. The port is taken only then."""
    port = next(PORTS)
    tool = Tool(place, "s_server", "-accept", f"127.0.0.1:{port}", FLAGS[version], "-cert",
                place.file("here.pem"), "-key", place.file("here.key"), *words)
    yield port, tool


def their_client(place):
    """Their client with each type of ours, over both versions, one-sided and mutual."""
    for version, is_mutual, kind in itertools.product(FLAGS, (False, True), NAMES):
        with Socket(kind, place, shows="here", asks=is_mutual) as ours:
            port = ours.bind("tls+tcp://127.0.0.1:0")
            own = ["-cert", place.file("client.both")] if is_mutual else []
            tool = client(place, port, version, "-quiet", *own)
            theirs = Sp(tool)
            theirs.greet(PARTNERS[kind])
            ours.await_peer()
            converse(ours, theirs, kind)
            tool.await_note("<<<", f"TLS {version}")
            ours.close()
            tool.await_note("<<<", FAREWELL)
            equal(tool.status(), 0, "how it ends")


def their_server(place):
    """Their server with each type of ours."""
    for version, is_mutual, kind in itertools.product(FLAGS, (False, True), NAMES):
        asks = ["-Verify", "2", "-CAfile", place.file("ca.pem"), "-verify_return_error"]
        with server(place, version, "-quiet", *(asks if is_mutual else [])) as (port, tool), \
                Socket(kind, place, shows="client" if is_mutual else "") as ours:
            ours.connect(f"tls+tcp://localhost:{port}")
            theirs = Sp(tool)
            theirs.greet(PARTNERS[kind])
            ours.await_peer()
            converse(ours, theirs, kind)
            tool.await_note("<<<", f"TLS {version}")
            ours.close()
            tool.await_note("<<<", FAREWELL)


def their_farewells(place):
    """Their client says that it leaves. Their server closes the descriptor first, so that it tells
    nobody, and counts as cut off."""
    for version in FLAGS:
        with Socket(PAIR, place, shows="here") as ours:
            port = ours.bind("tls+tcp://127.0.0.1:0")
            tool = client(place, port, version, "-nocommands")
            Sp(tool).write(b"\0SP\0\0\x10\0\0")
            ours.event("CONNECTED")
            tool.hang_up()
            tool.await_note(">>>", FAREWELL)
            equal(ours.event("DISCONNECTED").reason, SPMSG["REASON_LEFT"], "why")
            equal(tool.status(), 0, "how it ends")
        with server(place, version) as (port, tool), Socket(PAIR, place) as ours:
            ours.connect(f"tls+tcp://localhost:{port}")
            tool.await_text(b"\0SP\0")
            tool.sendall(b"\0SP\0\0\x10\0\0")
            ours.event("CONNECTED")
            # A letter that is a line of its own is a command: end this one.
            tool.sendall(b"q\n")
            event = ours.event("DISCONNECTED")
            equal((event.reason, event.found), (SPMSG["REASON_TLS"], FAULTS["TRUNCATED"]), "why")


def who_is_not_believed(place):
    """Their client says so itself, and ours does of their server."""
    for version in FLAGS:
        with Socket(PAIR, place, shows="alone") as ours:
            port = ours.bind("tls+tcp://127.0.0.1:0")
            tool = client(place, port, version, "-quiet")
            check(tool.status() != 0, "they believe a stranger")
            check("verify error" in tool.error(), f"they say {tool.error()}")
            ours.failure(FAULTS["ALERT"] + UNKNOWN_CA)
        with server(place, version, "-cert", place.file("there.pem"), "-key",
                    place.file("there.key")) as (port, tool), Socket(PAIR, place) as ours:
            ours.connect(f"tls+tcp://localhost:{port}")
            ours.failure(FAULTS["WRONG_NAME"])
            tool.await_note("<<<", "fatal")


def sessions_are_resumed(place):
    """By their client, and of ours by their server."""
    with Socket(PAIR, place, shows="here") as ours:
        port = ours.bind("tls+tcp://127.0.0.1:0")
        tool = client(place, port, "1.2", "-reconnect", "-nocommands")
        for _ in range(5):
            tool.await_text(b"\nReused, TLSv1.2")
        tool.hang_up()
        for version in FLAGS:
            session = place.file(f"session-{version}")
            tool = client(place, port, version, "-sess_out", session, "-nocommands")
            tool.await_text(f"New, TLSv{version}".encode())
            # In 1.3 it comes when both are done. What is told of it stays in the tool's buffer.
            tool.await_note("<<<", "NewSessionTicket" if version == "1.3" else "Finished")
            tool.hang_up()
            equal(tool.status(), 0, "how it ends")
            tool = client(place, port, version, "-sess_in", session, "-nocommands")
            tool.await_text(f"Reused, TLSv{version}".encode())
            tool.hang_up()
            equal(tool.status(), 0, "how it ends")
    for version in FLAGS:
        with server(place, version) as (port, tool), Socket(PAIR, place) as ours:
            ours.connect(f"tls+tcp://localhost:{port}")
            before = tool.await_text(b"\0SP\0")
            check(b"Reused session-id" not in before, f"{version} begins with an old session")
            for _ in range(3):
                tool.sendall(b"q\n")
                before = tool.await_text(b"\0SP\0")
                check(b"Reused session-id" in before, f"{version}: {before.decode()}")


def a_number_as_a_name(place):
    """RFC 6066 wants none, and some clients send it all the same: it is passed over."""
    for version in FLAGS:
        with Socket(PAIR, place, shows="here") as ours:
            port = ours.bind("tls+tcp://127.0.0.1:0")
            theirs = Sp(client(place, port, version, "-quiet", "-servername", "127.0.0.1"))
            theirs.greet(PARTNERS[PAIR])
            converse(ours, theirs, PAIR)


def nothing_is_renegotiated(place):
    """In TLS 1.2, by the command R; in 1.3 there is no such thing. Whoever comes next is served."""
    with Socket(PAIR, place, shows="here") as ours:
        port = ours.bind("tls+tcp://127.0.0.1:0")
        tool = client(place, port, "1.2")
        tool.await_text(b"\0SP\0")
        tool.sendall(b"R\n")
        tool.await_note("<<<", "no_renegotiation")
        check(tool.status() != 0, "it has what it wants")
        check("no renegotiation" in tool.error(), f"it says {tool.error()}")
        theirs = Sp(client(place, port, "1.2", "-quiet"))
        theirs.greet(PARTNERS[PAIR])
        converse(ours, theirs, PAIR)
    with server(place, "1.2") as (port, tool), Socket(PAIR, place) as ours:
        ours.connect(f"tls+tcp://localhost:{port}")
        tool.await_text(b"\0SP\0")
        tool.sendall(b"R\n")
        tool.await_note(">>>", "HelloRequest")
        tool.await_note("<<<", "no_renegotiation")
        # Afterwards there is a greeting again, on a new connection.
        lines = tool.lines()
        asked, refused = (next(i for i, line in enumerate(lines) if word in line)
                          for word in ("HelloRequest", "no_renegotiation"))
        check(asked < refused, "it is refused before it is asked for")
        check(not any("ClientHello" in line for line in lines[asked:refused]),
              "it greets once more on the same connection")
        tool.await_text(b"\0SP\0")


UNKNOWN_CA = 48
CASES = [their_client, their_server, their_farewells, who_is_not_believed, sessions_are_resumed,
         a_number_as_a_name, nothing_is_renegotiated]

if __name__ == "__main__":
    run(CASES, sys.argv[1:])
