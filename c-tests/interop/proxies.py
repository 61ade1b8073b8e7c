#!/usr/bin/env python3
"""Sockets that talk through proxies: TLS by stunnel, nginx and HAProxy, ws through the last two.

    proxies.py --programs DIRECTORY [CASE...]

DIRECTORY is where the examples were built; c-tests/examples/reqrep.c is what talks. The proxies run
with the files in c-tests/interop/proxies, which the guide shows, on free ports and with a
certificate that is made for the occasion.
"""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "support"))
from ports import free_ports

PATIENCE = 20
PORTS = free_ports()
CONFIGURATIONS = HERE / "proxies"
# Not everybody has these on his path.
os.environ["PATH"] += ":/usr/sbin:/usr/local/sbin"


class Failed(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Failed(text)


class Place:
    """A directory with certificates, free ports, and the processes that run there."""

    def __init__(self, directory, programs):
        self.directory = pathlib.Path(directory)
        self.programs = pathlib.Path(programs)
        self.ports = {}
        self.processes = []
        for name in ("ca", "strange"):
            self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                         "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=service.example",
                     "-keyout", "service.key", "-out", "service.csr")
        (self.directory / "names").write_text("subjectAltName=DNS:service.example\n")
        self.openssl("x509", "-req", "-in", "service.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                     "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "service.crt")
        (self.directory / "service.pem").write_text(
            (self.directory / "service.crt").read_text()
            + (self.directory / "service.key").read_text())

    def openssl(self, *words):
        result = subprocess.run(["openssl", *words], cwd=self.directory, capture_output=True,
                                text=True, check=False)
        check(result.returncode == 0, f"openssl {words[0]}: {result.stderr}")

    def port(self, name):
        """Ours for the port of that number in a configuration."""
        if name not in self.ports:
            self.ports[name] = next(PORTS)
        return self.ports[name]

    def configuration(self, name, before="", authority="ca.pem"):
        text = (CONFIGURATIONS / name).read_text()
        text = re.sub(r"127\.0\.0\.1:(\d+)", lambda m: f"127.0.0.1:{self.port(m[1])}", text)
        text = text.replace("/etc/ssl/service/ca.pem", str(self.directory / authority))
        text = text.replace("/etc/ssl/service", str(self.directory))
        path = self.directory / f"{len(self.processes)}-{name}"
        path.write_text(before + text)
        return path

    def start(self, *words, **more):
        process = subprocess.Popen(list(map(str, words)), stdin=subprocess.DEVNULL, **more)
        self.processes.append(process)
        return process

    def start_listening(self, port, *words):
        """Returns when it accepts connections."""
        with open(self.directory / "log", "ab") as log:
            process = self.start(*words, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port(port)), 1).close()
                return process
            time.sleep(0.02)
        raise Failed(f"{words[0]} does not start:\n{(self.directory / 'log').read_text()}")

    def ask(self, url, *questions):
        return self.start(self.programs / "examples-reqrep", "ask", url, *questions,
                          stdout=subprocess.PIPE, text=True)

    def serve(self, url):
        return self.start(self.programs / "examples-reqrep", "serve", url)

    def ask_idly(self, url, ping, seconds, times):
        """Asks so many times more, with so many seconds of silence before each."""
        return self.start(self.programs / "interop" / "interop-idle", "ask", url, ping, seconds,
                          times, stdout=subprocess.PIPE, text=True)

    def end(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout:
            process.stdout.close()

    def end_all(self):
        for process in reversed(self.processes):
            self.end(process)


def check_answers(asker, *expected):
    try:
        said = asker.communicate(timeout=PATIENCE)[0].splitlines()
    except subprocess.TimeoutExpired:
        raise Failed("no answer comes") from None
    check(said == list(expected), f"the answers are {said}")
    check(asker.returncode == 0, f"who asks ends with {asker.returncode}")


def check_conversation(place, outside, inside):
    """A service comes later than its client, goes, and comes again, behind proxies that stay."""
    early = place.ask(outside, "first", "second", "x" * 100000)
    service = place.serve(inside)
    check_answers(early, "FIRST", "SECOND", "X" * 100000)
    place.end(service)
    later = place.ask(outside, "again")
    place.serve(inside)
    check_answers(later, "AGAIN")


def check_certificate(place, port):
    """Who listens there proves that he is the service, and nothing is said in the clear."""
    context = ssl.create_default_context(cafile=str(place.directory / "ca.pem"))
    with socket.create_connection(("127.0.0.1", place.port(port)), PATIENCE) as stream:
        with context.wrap_socket(stream, server_hostname="service.example") as safe:
            check(safe.version() in ("TLSv1.2", "TLSv1.3"), f"this is {safe.version()}")
    strange = ssl.create_default_context(cafile=str(place.directory / "strange.pem"))
    with socket.create_connection(("127.0.0.1", place.port(port)), PATIENCE) as stream:
        try:
            strange.wrap_socket(stream, server_hostname="service.example").close()
            raise Failed("any certificate is good enough")
        except ssl.SSLCertVerificationError:
            pass


def check_page(place, port):
    """What a page in a browser does with `new WebSocket("wss://...", "rep.sp.nanomsg.org")`."""
    context = ssl.create_default_context(cafile=str(place.directory / "ca.pem"))
    with socket.create_connection(("127.0.0.1", place.port(port)), PATIENCE) as stream, \
            context.wrap_socket(stream, server_hostname="service.example") as safe:
        safe.sendall(b"GET /service HTTP/1.1\r\nHost: service.example\r\nUpgrade: websocket\r\n"
                     b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     b"Sec-WebSocket-Protocol: rep.sp.nanomsg.org\r\n\r\n")
        said = b""
        while b"\r\n\r\n" not in said:
            part = safe.recv(4096)
            check(part, f"the page is told {said!r}")
            said += part
        head, _, said = said.partition(b"\r\n\r\n")
        check(b" 101 " in head.split(b"\r\n")[0], f"the page is told {head!r}")
        check(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, f"the page is told {head!r}")
        # A binary message under a mask of zeros: the number of a request, and its body.
        safe.sendall(b"\x82\x88" + bytes(4) + b"\x80\x00\x00\x07page")
        while len(said) < 10:
            part = safe.recv(4096)
            check(part, "the service hangs up on the page")
            said += part
        check(said == b"\x82\x08\x80\x00\x00\x07PAGE", f"the page is answered {said!r}")


def lines_of(asker):
    """What a client that is silent now and then has said."""
    try:
        said = asker.communicate(timeout=PATIENCE + 10)[0].splitlines()
    except subprocess.TimeoutExpired:
        raise Failed("no answer comes") from None
    check(asker.returncode == 0, f"who asks ends with {asker.returncode}")
    return said


def connections(said):
    return [int(line.split()[1]) for line in said if line.startswith("connections:")]


def check_silence(place, port, seen):
    """A proxy ends a silent connection, and one that is kept by pings it does not."""
    url = f"ws://127.0.0.1:{place.port(port)}/service"
    silent, kept = (place.ask_idly(url, ping, 3, 2) for ping in (0, 1))
    said = lines_of(silent)
    check(connections(said)[-1] > 1, f"its time-out is none: {said}")
    said = lines_of(kept)
    check(connections(said) == [1, 1, 1], f"pings do not keep a connection: {said}")
    # Names have no case, and HAProxy writes them its own way.
    for line in ["x-client: idle", *seen]:
        check(line in map(str.lower, said), f"the service does not see {line}: {said}")


STUNNEL = "foreground = yes\npid =\nsyslog = no\n"


def start_stunnel(place, name, port, **more):
    program = shutil.which("stunnel4") or shutil.which("stunnel")
    return place.start_listening(port, program, place.configuration(name, STUNNEL, **more))


def start_nginx(place, name="nginx-site.conf", port="6555"):
    site = place.configuration(name)
    whole = place.directory / "nginx.conf"
    temporary = "".join(f"    {kind}_temp_path {place.directory}/{kind};\n" for kind in
                        ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    whole.write_text(f"daemon off;\npid {place.directory}/nginx.pid;\nevents {{}}\n"
                     f"http {{\n    access_log off;\n{temporary}    include {site};\n}}\n")
    return place.start_listening(port, "nginx", "-e", "stderr", "-p", place.directory, "-c", whole)


def stunnel(place):
    start_stunnel(place, "stunnel-server.conf", "6555")
    client = start_stunnel(place, "stunnel-client.conf", "7555")
    check_conversation(place, f"tcp://127.0.0.1:{place.port('7555')}",
                       f"tcp://127.0.0.1:{place.port('5555')}")
    check_certificate(place, "6555")

    # With another authority, the client does not let a byte through.
    place.end(client)
    start_stunnel(place, "stunnel-client.conf", "7555", authority="strange.pem")
    with socket.create_connection(("127.0.0.1", place.port("7555")), PATIENCE) as stream:
        stream.settimeout(PATIENCE)
        try:
            check(stream.recv(8) == b"", "an unknown service is talked to")
        except ConnectionResetError:
            pass


def nginx(place):
    """A page in a browser speaks TLS by itself, a program in C has a stunnel for that."""
    start_nginx(place)
    start_stunnel(place, "stunnel-client.conf", "7555")
    check_conversation(place, f"ws://127.0.0.1:{place.port('7555')}/service",
                       f"ws://127.0.0.1:{place.port('5555')}/service")
    check_certificate(place, "6555")
    check_page(place, "6555")


def haproxy(place):
    place.start_listening("6555", "haproxy", "-db", "-f", place.configuration("haproxy.cfg"))
    start_stunnel(place, "stunnel-client.conf", "7555")
    inside = f"ws://127.0.0.1:{place.port('5555')}/service"
    check_conversation(place, f"ws://127.0.0.1:{place.port('7555')}/service", inside)
    check_certificate(place, "6555")
    check_page(place, "6555")
    # The service is still there.
    check_answers(place.ask(f"ws://127.0.0.1:{place.port('6556')}/service", "in the clear"),
                  "IN THE CLEAR")


def start_idle(place):
    place.start_listening("5555", place.programs / "interop" / "interop-idle", "serve",
                          f"ws://127.0.0.1:{place.port('5555')}/service")


def nginx_idle(place):
    """Silence, and a new configuration: whoever is connected stays so."""
    proxy = start_nginx(place, "nginx-idle.conf", "6557")
    start_idle(place)
    check_silence(place, "6557", ["x-forwarded-for: 127.0.0.1"])
    url = f"ws://127.0.0.1:{place.port('6557')}/service"
    staying = place.ask_idly(url, 1, 4, 1)
    first = [staying.stdout.readline() for _ in range(4)]
    check("connections: 1\n" in first, f"it begins with {first}")
    proxy.send_signal(signal.SIGHUP)
    said = lines_of(staying)
    check(connections(said) == [1], f"behind a reload it has {said}")
    fresh = lines_of(place.ask_idly(url, 1, 0, 0))
    check(connections(fresh) == [1], f"after a reload another one has {fresh}")


def haproxy_idle(place):
    place.start_listening("6558", "haproxy", "-db", "-f", place.configuration("haproxy-idle.cfg"))
    start_idle(place)
    check_silence(place, "6558", ["x-forwarded-for: 127.0.0.1"])
    check_silence(place, "6559", [])


CASES = [stunnel, nginx, haproxy, nginx_idle, haproxy_idle]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", required=True, metavar="DIRECTORY")
    parser.add_argument("cases", nargs="*", metavar="CASE")
    options = parser.parse_args()
    failures = 0
    for case in CASES:
        if options.cases and case.__name__ not in options.cases:
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="spmsg-proxies-") as directory:
            place = None
            try:
                place = Place(directory, options.programs)
                case(place)
                result = "passed"
            except Failed as reason:
                result = f"FAILED: {reason}"
                failures += 1
                with contextlib.suppress(OSError):
                    print(pathlib.Path(directory, "log").read_text())
            finally:
                if place:
                    place.end_all()
        print(f"{case.__name__}: {result}, {time.monotonic() - began:.1f} s", flush=True)
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
