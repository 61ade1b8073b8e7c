"""A peer of SP that is made by hand, over any stream of Python: the greeting and the frames of tcp,
or the handshake and the frames of WebSocket. It knows nothing of TLS, and nothing of us."""

import base64
import hashlib
import os
import struct

from ours import Failed, check, equal

NAMES = {16: "pair", 32: "pub", 33: "sub", 48: "req", 49: "rep", 80: "push", 81: "pull",
         98: "surveyor", 99: "respondent", 112: "bus"}
PARTNERS = {16: 16, 32: 33, 33: 32, 48: 49, 49: 48, 80: 81, 81: 80, 98: 99, 99: 98, 112: 112}


class Stream:
    def __init__(self, stream):
        self.stream = stream

    def read(self, size):
        said = b""
        while len(said) < size:
            part = self.stream.recv(size - len(said))
            check(part, f"the stream ends behind {said[:40]!r}")
            said += part
        return said

    def write(self, *parts):
        for part in parts:
            self.stream.sendall(part)

    def close(self):
        self.stream.close()


class Sp(Stream):
    """tls+tcp: eight bytes that say the type, then each message behind its length."""

    def greet(self, kind):
        self.write(b"\0SP\0" + struct.pack(">HH", kind, 0))
        equal(self.read(8), b"\0SP\0" + struct.pack(">HH", PARTNERS[kind], 0), "the greeting")

    def send(self, body):
        self.write(struct.pack(">Q", len(body)), body)

    def recv(self):
        return self.read(struct.unpack(">Q", self.read(8))[0])


class WebSocket(Stream):
    """wss, from either side."""

    def __init__(self, stream, dials, path="/", host="localhost"):
        super().__init__(stream)
        self.dials, self.path, self.host = dials, path, host

    def head(self):
        said = b""
        while b"\r\n\r\n" not in said:
            said += self.read(1)
        lines = said.decode().split("\r\n")
        return lines[0], {name.lower(): value.strip() for name, _, value in
                          (line.partition(":") for line in lines[1:-2])}

    def greet(self, kind):
        if self.dials:
            status, fields = self.ask(f"{NAMES[PARTNERS[kind]]}.sp.nanomsg.org")
            check(" 101 " in status, f"the answer is {status}")
            equal(fields["sec-websocket-accept"], accept(self.key), "Sec-WebSocket-Accept")
            equal(fields["sec-websocket-protocol"],
                  f"{NAMES[PARTNERS[kind]]}.sp.nanomsg.org", "the sub-protocol")
            return
        line, fields = self.head()
        equal(line, f"GET {self.path} HTTP/1.1", "the request")
        equal(fields["host"], self.host, "Host")
        equal(fields["sec-websocket-protocol"], f"{NAMES[kind]}.sp.nanomsg.org",
              "the sub-protocol")
        self.write(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\n"
                    f"Sec-WebSocket-Accept: {accept(fields['sec-websocket-key'])}\r\n"
                    f"Sec-WebSocket-Protocol: {NAMES[kind]}.sp.nanomsg.org\r\n\r\n").encode())

    def ask(self, protocol):
        """What a listener says to a request for that sub-protocol."""
        self.key = base64.b64encode(os.urandom(16)).decode()
        self.write((f"GET {self.path} HTTP/1.1\r\nHost: {self.host}\r\n"
                    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                    f"Sec-WebSocket-Key: {self.key}\r\nSec-WebSocket-Version: 13\r\n"
                    f"Sec-WebSocket-Protocol: {protocol}\r\n\r\n").encode())
        return self.head()

    def send(self, body):
        size = len(body)
        mark = 0x80 if self.dials else 0
        if size < 126:
            head = bytes([0x82, mark | size])
        elif size < 65536:
            head = struct.pack(">BBH", 0x82, mark | 126, size)
        else:
            head = struct.pack(">BBQ", 0x82, mark | 127, size)
        mask = os.urandom(4) if self.dials else b""
        self.write(head + mask, masked(body, mask))

    def recv(self):
        first, size = self.read(2)
        equal(first, 0x82, "the first byte of a frame")
        equal(size & 0x80 != 0, not self.dials, "whether a frame is masked")
        size &= 0x7F
        if size > 125:
            size = int.from_bytes(self.read(2 if size == 126 else 8), "big")
        mask = b"" if self.dials else self.read(4)
        return masked(self.read(size), mask)


def accept(key):
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    return base64.b64encode(digest).decode()


def masked(body, mask):
    if not mask or not body:
        return body
    whole = (mask * (len(body) // 4 + 1))[:len(body)]
    return (int.from_bytes(body, "big") ^ int.from_bytes(whole, "big")).to_bytes(len(body), "big")


# What either side may say, around the borders that records and frames have.
BODIES = [b"", b"small", b"x" * 125, b"y" * 126, b"z" * 16376, bytes(range(256)) * 400]


def converse(ours, theirs, kind):
    """What our socket of that type and a greeted peer have to say to each other."""
    TALKS[kind](ours, theirs)


def tell(ours, theirs):
    for body in BODIES:
        ours.send(body)
        equal(theirs.recv(), body, "what we have sent")


def hear(ours, theirs):
    for body in BODIES:
        theirs.send(body)
        equal(ours.recv(), body, "what they have sent")


def both(ours, theirs):
    tell(ours, theirs)
    hear(ours, theirs)


def subscribe(ours, theirs):
    ours.subscribe(b"a")
    for topic in (b"b is not heard", b"a is", b"", b"another"):
        theirs.send(topic)
    equal(ours.recv(), b"a is", "what was subscribed")
    equal(ours.recv(), b"another", "what was subscribed")


def ask(ours, theirs):
    for body in BODIES:
        ours.send(body)
        question = theirs.recv()
        check(question[0] & 0x80, f"the number of a question is {question[:4]!r}")
        equal(question[4:], body, "the question")
        theirs.send(question[:4] + body[::-1])
        equal(ours.recv(), body[::-1], "the answer")


def answer(ours, theirs):
    for number, body in enumerate(BODIES):
        head = struct.pack(">I", 0x80000000 | number)
        theirs.send(head + body)
        equal(ours.recv(), body, "the question")
        ours.send(body[::-1])
        equal(theirs.recv(), head + body[::-1], "the answer")


TALKS = {16: both, 32: tell, 33: subscribe, 48: ask, 49: answer, 80: tell, 81: hear, 98: ask,
         99: answer, 112: both}

__all__ = ["Failed", "NAMES", "PARTNERS", "Sp", "WebSocket", "converse"]
