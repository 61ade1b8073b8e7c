"""Somebody else who speaks TLS, for the C tests: SP over tls+tcp by hand, with the ssl module.

listen: prints the port, accepts COUNT connections, and tells of each what it was asked for.
connect: makes COUNT connections to the port, one after the other, and tells what it got.

Each connection greets as a PAIR, receives or sends a message, and ends as TLS wants it, or not."""

import argparse
import socket
import ssl
import sys

GREETING = b"\0SP\0\0\x10\0\0"


def tell(**what):
    print(*(f"{key}={value}" for key, value in what.items()), flush=True)


def read(stream, size):
    data = b""
    while len(data) < size:
        more = stream.recv(size - len(data))
        if not more:
            raise SystemExit("the stream is at its end")
        data += more
    return data


def converse(stream, is_cut):
    """What is read makes tickets known, which come behind the handshake."""
    stream.sendall(GREETING + (2).to_bytes(8, "big") + b"to")
    assert read(stream, 8) == GREETING
    read(stream, int.from_bytes(read(stream, 8), "big"))
    session = stream.session
    if is_cut:
        # Without a word, and without a reset.
        stream.shutdown(socket.SHUT_RDWR)
        stream.close()
    else:
        stream.unwrap().close()
    return session


def context(arguments):
    is_client = arguments.mode == "connect"
    role = ssl.PROTOCOL_TLS_CLIENT if is_client else ssl.PROTOCOL_TLS_SERVER
    context = ssl.SSLContext(role)
    if arguments.weak:
        context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.load_verify_locations("ca.pem")
    context.load_cert_chain(f"{arguments.certificate}.pem", f"{arguments.certificate}.key")
    if arguments.version:
        version = {12: ssl.TLSVersion.TLSv1_2, 13: ssl.TLSVersion.TLSv1_3}[arguments.version]
        context.minimum_version = context.maximum_version = version
    if arguments.alpn:
        context.set_alpn_protocols(arguments.alpn.split(","))
    return context


def listen(arguments):
    server = context(arguments)
    asked = []
    server.sni_callback = lambda _stream, name, _context: asked.append(name)
    listener = socket.create_server(("127.0.0.1", 0))
    tell(port=listener.getsockname()[1])
    for _ in range(arguments.count):
        plain = listener.accept()[0]
        plain.settimeout(20)
        asked.clear()
        try:
            stream = server.wrap_socket(plain, server_side=True)
        except ssl.SSLError as error:
            tell(error=error.reason or "other")
            continue
        told = {"name": asked[0] if asked else None, "alpn": stream.selected_alpn_protocol(),
                "resumed": stream.session_reused, "version": stream.version()}
        if arguments.only_greet:
            # Nobody waits for an answer to a request for a WebSocket.
            stream.close()
        else:
            converse(stream, arguments.cut)
        tell(**told)


def connect(arguments):
    client = context(arguments)
    session = None
    for _ in range(arguments.count):
        plain = socket.create_connection(("127.0.0.1", arguments.port), 20)
        try:
            stream = client.wrap_socket(plain, server_hostname=arguments.name, session=session)
        except ssl.SSLError as error:
            tell(error=error.reason or "other")
            continue
        told = {"alpn": stream.selected_alpn_protocol(), "resumed": stream.session_reused,
                "version": stream.version()}
        if arguments.only_greet:
            # A listener of wss waits for a request.
            stream.close()
        else:
            session = converse(stream, arguments.cut)
        tell(**told)


parser = argparse.ArgumentParser()
parser.add_argument("mode", choices=["listen", "connect"])
parser.add_argument("--port", type=int)
parser.add_argument("--count", type=int, default=1)
parser.add_argument("--certificate", default="here")
parser.add_argument("--name", default="localhost")
parser.add_argument("--alpn")
parser.add_argument("--version", type=int)
parser.add_argument("--weak", action="store_true")
parser.add_argument("--cut", action="store_true")
parser.add_argument("--only-greet", action="store_true")
arguments = parser.parse_args()
sys.exit({"listen": listen, "connect": connect}[arguments.mode](arguments))
