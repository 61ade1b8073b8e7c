"""An independent implementation of WebSocket, Python's websockets, on the other end of ours.

It is the client of our listeners and the server of our dialers. The library is loaded with ctypes,
so that both ends are in one place; its path is in SPMSG_SO. With the word "wss" it is that, with
certificates that are made for the occasion.

    SPMSG_SO=target/release/libspmsg.so target/venv/bin/python c-tests/interop/ws_client.py [wss]
"""

import ctypes
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import traceback
from contextlib import ExitStack

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import serve

AF_SP, PAIR, PUB, SUB, REQ, REP, PUSH, PULL, BUS = 1, 16, 32, 33, 48, 49, 80, 81, 112
SOL_SOCKET, SNDTIMEO, RCVTIMEO, RECONNECT_IVL, RCVMAXSIZE = 0, 4, 5, 6, 16
WS, WS_MSG_TYPE, TEXT, BINARY = -4, 1, 1, 2
SUB_SUBSCRIBE = 1
TLS, TLS_CERTIFICATE, TLS_TRUST = (1397751808 + number for number in (64, 65, 67))
PATIENCE = 10

nn = ctypes.CDLL(os.environ["SPMSG_SO"], use_errno=True)


class Socket:
    """An SP socket that cannot make the test hang."""

    def __init__(self, kind):
        self.handle = nn.nn_socket(AF_SP, kind)
        assert self.handle >= 0, os.strerror(ctypes.get_errno())
        for option in (SNDTIMEO, RCVTIMEO):
            self.set(SOL_SOCKET, option, PATIENCE * 1000)
        self.set(SOL_SOCKET, RECONNECT_IVL, 10)
        if SCHEME == "wss":
            self.set(TLS, TLS_CERTIFICATE, certificate("here.both").encode())
            self.set(TLS, TLS_TRUST, certificate("ca.pem").encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        assert nn.nn_close(self.handle) == 0

    def set(self, level, option, value):
        if isinstance(value, int):
            value = value.to_bytes(4, sys.byteorder, signed=True)
        assert nn.nn_setsockopt(self.handle, level, option, value, len(value)) == 0

    def bind(self, url):
        assert nn.nn_bind(self.handle, url.encode()) > 0, os.strerror(ctypes.get_errno())

    def connect(self, url):
        assert nn.nn_connect(self.handle, url.encode()) > 0, os.strerror(ctypes.get_errno())

    def send(self, body):
        sent = nn.nn_send(self.handle, body, len(body), 0)
        assert sent == len(body), os.strerror(ctypes.get_errno())

    def recv(self, room=1 << 23):
        buffer = ctypes.create_string_buffer(room)
        size = nn.nn_recv(self.handle, buffer, room, 0)
        assert size >= 0, os.strerror(ctypes.get_errno())
        return buffer.raw[:size]


def free_url():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"{SCHEME}://127.0.0.1:{probe.getsockname()[1]}"


def certificate(name):
    return os.path.join(CERTIFICATES.name, name)


def context(purpose):
    """For whoever asks that of the other side; None where nothing is encrypted."""
    if SCHEME == "ws":
        return None
    made = ssl.create_default_context(purpose, cafile=certificate("ca.pem"))
    if purpose == ssl.Purpose.CLIENT_AUTH:
        made.load_cert_chain(certificate("here.both"))
    else:
        # A client of websockets reads and writes in two threads, of which ssl loses what is written
        # now and then while a ticket of TLS 1.3 comes in. In 1.2 none comes then.
        made.maximum_version = ssl.TLSVersion.TLSv1_2
    return made


def client_of(url, token, **more):
    options = {"max_size": None, "open_timeout": PATIENCE, "close_timeout": PATIENCE,
               "ssl": context(ssl.Purpose.SERVER_AUTH), **more}
    return connect(url, subprotocols=[token + ".sp.nanomsg.org"], **options)


def big(size):
    return bytes(range(251)) * (size // 251 + 1)


def text_and_binary_pass_both_ways():
    url = free_url()
    with Socket(PAIR) as pair:
        pair.bind(url)
        # It offers to compress, and is not taken up on it.
        with client_of(url, "pair") as client:
            assert client.subprotocol == "pair.sp.nanomsg.org"
            for message in (b"", b"binary", "", "text ✓", big(70000)[:70000]):
                client.send(message)
                received = pair.recv()
                assert received == (message.encode() if isinstance(message, str) else message)
                pair.send(received)
                assert client.recv(PATIENCE) == received
        pair.set(WS, WS_MSG_TYPE, TEXT)
        with client_of(url, "pair") as client:
            client.send("hello")
            assert pair.recv() == b"hello"
            pair.send("text ✓".encode())
            assert client.recv(PATIENCE) == "text ✓"


def messages_larger_than_a_frame_pass():
    url, body = free_url(), big(5_000_000)
    with Socket(PAIR) as pair:
        pair.set(SOL_SOCKET, RCVMAXSIZE, -1)
        pair.bind(url)
        with client_of(url, "pair") as client:
            client.send(body)
            assert pair.recv() == body
            sender = threading.Thread(target=pair.send, args=(body,))
            sender.start()
            assert client.recv(PATIENCE) == body
            sender.join()


def fragments_are_put_together():
    url = free_url()
    with Socket(PAIR) as pair:
        pair.bind(url)
        with client_of(url, "pair") as client:
            parts = [bytes([i]) * (i * 37 % 5000) for i in range(200)]
            client.send(parts)
            assert pair.recv() == b"".join(parts)
            client.send(["te", "xt ", "\u2713", ""])
            assert pair.recv() == "text ✓".encode()


def pings_are_answered_while_nobody_receives():
    url = free_url()
    with Socket(PAIR) as pair:
        pair.bind(url)
        with client_of(url, "pair") as client:
            client.send(b"unread")
            for payload in (b"", b"ping", b"p" * 125):
                assert client.ping(payload).wait(PATIENCE), payload
            assert pair.recv() == b"unread"
            pair.send(b"alive")
            assert client.recv(PATIENCE) == b"alive"


def closing_is_answered_and_makes_room():
    url = free_url()
    with Socket(PAIR) as pair:
        pair.bind(url)
        for code in (1000, 1001, 3000):
            with client_of(url, "pair") as client:
                client.send(b"last")
                client.close(code)
                assert client.protocol.close_rcvd.code == code
            assert pair.recv() == b"last"


def what_is_too_large_is_refused_with_1009():
    url = free_url()
    with Socket(PAIR) as pair:
        pair.set(SOL_SOCKET, RCVMAXSIZE, 1000)
        pair.bind(url)
        with client_of(url, "pair") as client:
            client.send(big(1001)[:1001])
            try:
                client.recv(PATIENCE)
                raise AssertionError("it was not refused")
            except ConnectionClosed as closed:
                assert closed.rcvd.code == 1009, closed
        with client_of(url, "pair") as client:
            client.send(b"small")
            assert pair.recv() == b"small"


def another_type_is_refused_with_400():
    url = free_url()
    with Socket(PAIR) as pair:
        pair.bind(url)
        try:
            with client_of(url, "rep"):
                pass
            raise AssertionError("it was not refused")
        except InvalidStatus as refused:
            assert refused.response.status_code == 400
        with client_of(url, "pair") as client:
            client.send(b"fine")
            assert pair.recv() == b"fine"


def publishers_reach_every_client():
    url = free_url()
    with Socket(PUB) as pub:
        pub.bind(url)
        with ExitStack() as stack:
            clients = [stack.enter_context(client_of(url, "pub")) for _ in range(4)]
            for body in (b"small", big(200_000), big(2_000_000)):
                # Who has his answer is taken in: none of them misses anything.
                pub.send(body)
                for client in clients:
                    assert client.recv(PATIENCE) == body


def questions_are_answered():
    url = free_url()
    with Socket(REP) as rep:
        rep.bind(url)
        with client_of(url, "rep") as client:
            request = b"\x80\x00\x00\x01question"
            client.send(request)
            assert rep.recv() == b"question"
            rep.send(b"answer")
            assert client.recv(PATIENCE) == request[:4] + b"answer"


class Server:
    """A server of websockets in a thread; what it takes in goes to `connections` one by one."""

    def __init__(self, url, token):
        self.came = threading.Semaphore(0)
        self.connections = []
        self.server = serve(
            self.handle,
            "127.0.0.1",
            int(url.rsplit(":", 1)[1]),
            subprotocols=[token + ".sp.nanomsg.org"],
            max_size=None,
            ssl=context(ssl.Purpose.CLIENT_AUTH),
        )
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()

    def handle(self, connection):
        self.connections.append(connection)
        self.came.release()
        connection.protocol_done = threading.Event()
        connection.protocol_done.wait(4 * PATIENCE)

    def next(self):
        assert self.came.acquire(timeout=PATIENCE), "nobody came"
        return self.connections.pop(0)


def done(connection, code=1000):
    connection.close(code)
    connection.protocol_done.set()


def our_dialer_talks_to_their_server():
    url, body = free_url(), big(3_000_000)
    with Server(url, "pair") as server, Socket(PAIR) as pair:
        pair.set(SOL_SOCKET, RCVMAXSIZE, -1)
        pair.connect(url + "/some/path?q=a:b")
        theirs = server.next()
        assert theirs.request.path == "/some/path?q=a:b"
        assert theirs.subprotocol == "pair.sp.nanomsg.org"
        for message in (b"", b"binary", "text ✓", body, [b"in ", b"", b"parts"]):
            theirs.send(message)
            received = pair.recv()
            expected = b"".join(message) if isinstance(message, list) else message
            assert received == (expected.encode() if isinstance(expected, str) else expected)
        for message in (b"", b"x" * 126, body):
            sender = threading.Thread(target=pair.send, args=(message,))
            sender.start()
            assert theirs.recv(PATIENCE) == message
            sender.join()
        assert theirs.ping(b"there?").wait(PATIENCE)
        done(theirs)


def our_dialer_comes_back_after_a_farewell():
    url = free_url()
    with Server(url, "pair") as server, Socket(PAIR) as pair:
        pair.connect(url)
        for code in (1000, 1001):
            theirs = server.next()
            theirs.send(b"hello")
            assert pair.recv() == b"hello"
            done(theirs, code)
        theirs = server.next()
        pair.send(b"back")
        assert theirs.recv(PATIENCE) == b"back"
        done(theirs)


def our_dialer_waits_for_their_server():
    url = free_url()
    with Socket(PAIR) as pair:
        pair.connect(url)
        for _ in range(2):
            with Server(url, "pair") as server:
                theirs = server.next()
                theirs.send(b"hello")
                assert pair.recv() == b"hello"
                done(theirs, 1001)


def main():
    cases = [case for name, case in globals().items() if getattr(case, "__doc__", 0) is None
             and callable(case) and case.__module__ == "__main__" and name not in HELPERS]
    failed = 0
    for case in cases:
        print("case", case.__name__, flush=True)
        try:
            case()
        except Exception:
            failed += 1
            traceback.print_exc()
    print(f"{len(cases)} cases, {failed} failed")
    return 1 if failed or not cases else 0


HELPERS = ("free_url", "certificate", "context", "client_of", "big", "done", "main")
SCHEME = "wss" if sys.argv[1:] == ["wss"] else "ws"
CERTIFICATES = tempfile.TemporaryDirectory(prefix="spmsg-wss-")

if __name__ == "__main__":
    if SCHEME == "wss":
        script = pathlib.Path(__file__).resolve().parent / "authority.sh"
        subprocess.run(["sh", script, CERTIFICATES.name], check=True)
    sys.exit(main())
