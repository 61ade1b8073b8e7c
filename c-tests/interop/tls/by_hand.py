#!/usr/bin/env python3
"""tls+tcp and wss with Python's ssl, and peers that are made by hand on top of it.

    SPMSG_SO=libspmsg.so by_hand.py [CASE...]
"""

import contextlib
import itertools
import socket
import ssl
import struct
import sys

from ours import FAULTS, PAIR, PATIENCE, SPMSG, Failed, Socket, check, equal, run
from peer import NAMES, PARTNERS, Sp, WebSocket, converse

VERSIONS = ["TLSv1.2", "TLSv1.3"]
SCHEMES = ["tls+tcp", "wss"]
# Alerts of RFC 8446, 6.2.
HANDSHAKE_FAILURE, UNKNOWN_CA, CERTIFICATE_REQUIRED = 40, 48, 116


def greeted(scheme, stream, kind, port, dials, **more):
    """A peer of our socket of that type."""
    theirs = Sp(stream) if scheme == "tls+tcp" else \
        WebSocket(stream, dials, host=f"localhost:{port}", **more)
    theirs.greet(PARTNERS[kind])
    return theirs


def plain(port):
    stream = socket.create_connection(("127.0.0.1", port), PATIENCE)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def dial(context, port, name="localhost"):
    stream = plain(port)
    try:
        return context.wrap_socket(stream, server_hostname=name, suppress_ragged_eofs=False)
    except BaseException:
        stream.close()
        raise


class Listener:
    """Whoever connects is greeted by TLS."""

    def __init__(self, context):
        self.context = context
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        stream = self.listener.accept()[0]
        stream.settimeout(PATIENCE)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return self.context.wrap_socket(stream, server_side=True, suppress_ragged_eofs=False)
        except BaseException:
            stream.close()
            raise


def we_listen(place, kind, scheme, version, is_mutual):
    with Socket(kind, place, shows="here", asks=is_mutual) as ours:
        port = ours.bind(f"{scheme}://127.0.0.1:0")
        context = place.context("dial", version, shows="client" if is_mutual else "")
        with dial(context, port) as stream:
            equal(stream.version(), version, "the version")
            theirs = greeted(scheme, stream, kind, port, dials=True)
            ours.await_peer()
            converse(ours, theirs, kind)


def they_listen(place, kind, scheme, version, is_mutual):
    context = place.context("listen", version, shows="here", asks=is_mutual)
    with Listener(context) as listener, \
            Socket(kind, place, shows="client" if is_mutual else "") as ours:
        ours.connect(f"{scheme}://localhost:{listener.port}")
        with listener.accept() as stream:
            equal(stream.version(), version, "the version")
            if is_mutual:
                names = dict(pair[0] for pair in stream.getpeercert()["subject"])
                equal(names["commonName"], "client", "whom they see")
            theirs = greeted(scheme, stream, kind, listener.port, dials=False)
            ours.await_peer()
            converse(ours, theirs, kind)


def every_type(place):
    """Each type of socket, in both roles, over both versions, one-sided and mutual."""
    count = 0
    for kind, scheme, role, version, is_mutual in itertools.product(
            NAMES, SCHEMES, (we_listen, they_listen), VERSIONS, (False, True)):
        try:
            role(place, kind, scheme, version, is_mutual)
        except Exception as reason:
            raise Failed(f"{NAMES[kind]} over {scheme}, {role.__name__}, {version}, "
                         f"{'mutual' if is_mutual else 'one-sided'}") from reason
        count += 1
    return f"{count} conversations passed"


def application_protocols(place):
    """A wss listener takes those who name no protocol, and those who name http/1.1; a dialer names
    it, and takes a server that chooses none. tls+tcp has none to offer."""
    for offered, expected in ((None, None), (["http/1.1"], "http/1.1"),
                              (["h2", "http/1.1"], "http/1.1")):
        with Socket(PAIR, place, shows="here") as ours:
            port = ours.bind("wss://127.0.0.1:0")
            context = place.context("dial")
            if offered:
                context.set_alpn_protocols(offered)
            with dial(context, port) as stream:
                equal(stream.selected_alpn_protocol(), expected, f"of {offered}")
                converse(ours, greeted("wss", stream, PAIR, port, dials=True), PAIR)
    with Socket(PAIR, place, shows="here") as ours:
        port = ours.bind("wss://127.0.0.1:0")
        context = place.context("dial")
        context.set_alpn_protocols(["h2"])
        try:
            dial(context, port).close()
            raise Failed("h2 was taken")
        except ssl.SSLError as error:
            check("no application protocol" in str(error), f"h2 is told {error}")
        ours.failure(FAULTS["INCOMPATIBLE"], SPMSG["TLS_FAULT_OTHER"])
    for scheme, known, expected in (("wss", ["http/1.1"], "http/1.1"), ("wss", [], None),
                                    ("tls+tcp", ["http/1.1"], None)):
        context = place.context("listen", shows="here")
        if known:
            context.set_alpn_protocols(known)
        with Listener(context) as listener, Socket(PAIR, place) as ours:
            ours.connect(f"{scheme}://localhost:{listener.port}")
            with listener.accept() as stream:
                equal(stream.selected_alpn_protocol(), expected, f"{scheme} to {known}")
                theirs = greeted(scheme, stream, PAIR, listener.port, dials=False)
                converse(ours, theirs, PAIR)


def names_are_asked_for(place):
    """A name is told before a certificate is shown (SNI); a number is none."""
    asked = []
    for scheme, (host, name) in itertools.product(
            SCHEMES, (("localhost", "localhost"), ("127.0.0.1", None))):
        context = place.context("listen", shows="here")
        context.sni_callback = lambda _stream, name, _context: asked.append(name)
        with Listener(context) as listener, Socket(PAIR, place) as ours:
            ours.connect(f"{scheme}://{host}:{listener.port}")
            listener.accept().close()
            equal(asked.pop(), name, f"the name for {host}")


def paths_and_protocols(place):
    """The path of an address arrives as it stands there. Another type is answered with 400."""
    with Listener(place.context("listen", shows="here")) as listener, \
            Socket(PAIR, place) as ours:
        ours.connect(f"wss://localhost:{listener.port}/some/path?q=a:b")
        with listener.accept() as stream:
            theirs = greeted("wss", stream, PAIR, listener.port, dials=False,
                             path="/some/path?q=a:b")
            converse(ours, theirs, PAIR)
    for kind, name in NAMES.items():
        with Socket(kind, place, shows="here") as ours:
            port = ours.bind("wss://127.0.0.1:0/some/path")
            for other in NAMES.values():
                # A listener goes by the name of its own type.
                with dial(place.context("dial"), port) as stream:
                    theirs = WebSocket(stream, True, path="/some/path", host="localhost")
                    status = theirs.ask(f"{other}.sp.nanomsg.org")[0]
                    expected = " 101 " if other == name else " 400 "
                    check(expected in status, f"{other} is told {status} by {name}")
                if other == name:
                    ours.event("DISCONNECTED")


def certificates_of_clients(place):
    """Who shows none, or one of a stranger, is told so, and the next one is served."""
    for scheme, version in itertools.product(SCHEMES, VERSIONS):
        with Socket(PAIR, place, shows="here", asks=True) as ours:
            port = ours.bind(f"{scheme}://127.0.0.1:0")
            for shows, fault in (("", "NO_CERTIFICATE"), ("alone", "UNTRUSTED")):
                try:
                    # In TLS 1.3 a client is done before it is judged.
                    with dial(place.context("dial", version, shows), port) as stream:
                        stream.recv(1)
                    raise Failed(f"whoever shows '{shows}' is talked to")
                except (ssl.SSLError, ConnectionResetError):
                    pass
                ours.failure(FAULTS[fault])
            with dial(place.context("dial", version, "client"), port) as stream:
                converse(ours, greeted(scheme, stream, PAIR, port, dials=True), PAIR)
        context = place.context("listen", version, shows="here", asks=True)
        with Listener(context) as listener, Socket(PAIR, place) as ours:
            ours.connect(f"{scheme}://localhost:{listener.port}")
            try:
                listener.accept().close()
                raise Failed("they do not ask")
            except ssl.SSLError as error:
                check("peer did not return a certificate" in str(error), f"they say {error}")
            ours.failure(FAULTS["ALERT"] + (CERTIFICATE_REQUIRED if version == "TLSv1.3"
                                            else HANDSHAKE_FAILURE))


def certificates_of_servers(place):
    """One for another name, or of nobody whom we trust, is not believed, nor is ours by those who
    trust somebody else."""
    for scheme, version in itertools.product(SCHEMES, VERSIONS):
        for shows, fault in (("there", "WRONG_NAME"), ("alone", "UNTRUSTED")):
            with Listener(place.context("listen", version, shows)) as listener, \
                    Socket(PAIR, place) as ours:
                ours.connect(f"{scheme}://localhost:{listener.port}")
                try:
                    with listener.accept() as stream:
                        stream.recv(1)
                    raise Failed(f"{shows} is believed")
                except ssl.SSLError as error:
                    check("alert" in str(error), f"they are told {error}")
                ours.failure(FAULTS[fault])
        with Socket(PAIR, place, shows="here") as ours:
            port = ours.bind(f"{scheme}://127.0.0.1:0")
            try:
                dial(place.context("dial", version, trust="alone.pem"), port).close()
                raise Failed("we are believed")
            except ssl.SSLCertVerificationError:
                pass
            ours.failure(FAULTS["ALERT"] + UNKNOWN_CA)
            with dial(place.context("dial", version), port) as stream:
                converse(ours, greeted(scheme, stream, PAIR, port, dials=True), PAIR)


def versions_that_do_not_meet(place):
    """Who wants 1.3 only does not talk to those who know 1.2 only."""
    for scheme in SCHEMES:
        with Socket(PAIR, place, shows="here") as ours:
            ours.set(SPMSG["TLS"], SPMSG["TLS_VERSION_MIN"], 13)
            port = ours.bind(f"{scheme}://127.0.0.1:0")
            try:
                dial(place.context("dial", "TLSv1.2"), port).close()
                raise Failed("1.2 is spoken")
            except ssl.SSLError as error:
                check("alert protocol version" in str(error), f"they are told {error}")
            ours.failure(FAULTS["INCOMPATIBLE"])
            with dial(place.context("dial", "TLSv1.3"), port) as stream:
                converse(ours, greeted(scheme, stream, PAIR, port, dials=True), PAIR)


def farewells(place):
    """Who leaves in order says so, and is heard; who is cut off is told from that."""
    for scheme, version, dials in itertools.product(SCHEMES, VERSIONS, (True, False)):
        for how in ("we leave", "they leave", "they are cut off"):
            with Socket(PAIR, place, shows="here") as ours, \
                    Listener(place.context("listen", version, "here")) as listener:
                if dials:
                    port = ours.bind(f"{scheme}://127.0.0.1:0")
                    stream = dial(place.context("dial", version), port)
                else:
                    port = listener.port
                    ours.connect(f"{scheme}://localhost:{port}")
                    stream = listener.accept()
                with stream:
                    converse(ours, greeted(scheme, stream, PAIR, port, dials), PAIR)
                    leave(ours, stream, how, f"{scheme}, {version}, {how}")


def leave(ours, stream, how, what):
    if how == "we leave":
        ours.close()
        # Without a farewell this raises SSLEOFError, for ragged ends are not suppressed.
        equal(stream.recv(1), b"", what)
    elif how == "they leave":
        stream.unwrap().close()
        equal(ours.event("DISCONNECTED").reason, SPMSG["REASON_LEFT"], what)
    else:
        stream.shutdown(socket.SHUT_RDWR)
        event = ours.event("DISCONNECTED")
        equal((event.reason, event.found), (SPMSG["REASON_TLS"], FAULTS["TRUNCATED"]), what)


class InPieces:
    """A stream whose user says what goes into one piece of it."""

    def __init__(self, context, plain_stream):
        self.plain = plain_stream
        self.coming, self.going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.machine = context.wrap_bio(self.coming, self.going, server_hostname="localhost")
        self.until_done(self.machine.do_handshake)

    def until_done(self, step, *words):
        while True:
            try:
                result = step(*words)
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                self.coming.write(self.plain.recv(65536))

    def flush(self):
        self.plain.sendall(self.going.read())

    def sendall(self, data):
        self.machine.write(data)
        self.flush()

    def recv(self, size):
        return self.until_done(self.machine.read, size)


def what_comes_with_a_farewell(place):
    """It is received, and the end is heard of although the stream stays open."""
    for version in VERSIONS:
        with Socket(PAIR, place, shows="here") as ours:
            port = ours.bind("tls+tcp://127.0.0.1:0")
            with plain(port) as plain_stream:
                stream = InPieces(place.context("dial", version), plain_stream)
                converse(ours, greeted("tls+tcp", stream, PAIR, port, dials=True), PAIR)
                stream.machine.write((4).to_bytes(8, "big") + b"last")
                with contextlib.suppress(ssl.SSLWantReadError):
                    stream.machine.unwrap()
                stream.flush()
                equal(ours.recv(), b"last", version)
                equal(ours.event("DISCONNECTED").reason, SPMSG["REASON_LEFT"], version)


def sessions_are_resumed(place):
    """In both roles and versions; the conversation is as the first one."""
    for scheme, version in itertools.product(SCHEMES, VERSIONS):
        with Socket(PAIR, place, shows="here") as ours:
            port = ours.bind(f"{scheme}://127.0.0.1:0")
            context, session = place.context("dial", version), None
            for turn in range(3):
                with context.wrap_socket(plain(port), server_hostname="localhost",
                                         session=session) as stream:
                    converse(ours, greeted(scheme, stream, PAIR, port, dials=True), PAIR)
                    equal(stream.session_reused, turn > 0, f"to our listener, {version}")
                    session = stream.session
                ours.event("DISCONNECTED")
        with Listener(place.context("listen", version, "here")) as listener, \
                Socket(PAIR, place) as ours:
            ours.connect(f"{scheme}://localhost:{listener.port}")
            for turn in range(3):
                with listener.accept() as stream:
                    theirs = greeted(scheme, stream, PAIR, listener.port, dials=False)
                    converse(ours, theirs, PAIR)
                    equal(stream.session_reused, turn > 0, f"of our dialer, {version}")


def records_of_a_byte(place):
    """Where records end means nothing."""
    for version in VERSIONS:
        with Socket(PAIR, place, shows="here") as ours:
            port = ours.bind("tls+tcp://127.0.0.1:0")
            with dial(place.context("dial", version), port) as stream:
                for byte in b"\0SP\0\0\x10\0\0" + struct.pack(">Q", 300) + bytes(300) + \
                        struct.pack(">Q", 2) + b"so":
                    stream.sendall(bytes([byte]))
                equal(ours.recv(), bytes(300), "byte by byte")
                equal(ours.recv(), b"so", "byte by byte")


CASES = [every_type, application_protocols, names_are_asked_for, paths_and_protocols,
         certificates_of_clients, certificates_of_servers, versions_that_do_not_meet, farewells,
         what_comes_with_a_farewell, sessions_are_resumed, records_of_a_byte]

if __name__ == "__main__":
    run(CASES, sys.argv[1:])
