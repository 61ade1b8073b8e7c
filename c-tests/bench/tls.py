#!/usr/bin/env python3
"""What encryption costs: tls+tcp and wss against themselves in the clear, against nng with TLS, and
against stunnel in front of plain tcp on both libraries; the limit is what the cipher gives.

Needs openssl and stunnel, and nng where its library was built (SPMSG_BENCH_RIVALS).
"""

import argparse
import contextlib
import ctypes
import os
import platform
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import harness

SIZES = (64, 1024, 65536, 1048576)
CIPHERS = ("aes-128-gcm", "aes-256-gcm", "chacha20-poly1305")
RECORD = 16384
TLS_NAME = "libspmsg-tls.so.0"
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
SETTLING_S = 0.05
ATTEMPTS = 100
HANDSHAKES = 200
# As the headers number them.
NN_PULL, NN_PUSH, NN_SOL_SOCKET = 81, 80, 0
SPMSG_TLS = 0x53500000 + 64
SPMSG_TLS_CERTIFICATE = SPMSG_TLS + 1


def openssl(*arguments, directory):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def make_certificates(directory):
    """own.pem, a certificate for this machine and its key, and ca.pem, who vouches for it."""
    openssl("req", "-x509", *KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30",
            "-subj", "/CN=bench", directory=directory)
    (directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("req", *KEY, "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=localhost",
            directory=directory)
    openssl("x509", "-req", "-in", "own.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "30", "-out", "own.crt", "-extfile", "names",
            directory=directory)
    parts = [(directory / name).read_text() for name in ("own.crt", "own.key")]
    (directory / "own.pem").write_text("".join(parts))


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def await_port(port):
    for _ in range(ATTEMPTS):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(SETTLING_S)
    raise harness.RunError(f"nobody listens at port {port}")


class Tunnel:
    """Two stunnels: who connects to `near` talks to whoever is bound to `far`, and what lies
    between is encrypted."""

    def __init__(self, directory, certificates):
        self.far, self.near, self.between = free_ports(3)
        common = "foreground = yes\npid =\ndebug = 3\nsyslog = no\n"
        server = (f"[s]\naccept = 127.0.0.1:{self.between}\nconnect = 127.0.0.1:{self.far}\n"
                  f"cert = {certificates}/own.pem\n")
        client = (f"[c]\nclient = yes\naccept = 127.0.0.1:{self.near}\n"
                  f"connect = 127.0.0.1:{self.between}\nCAfile = {certificates}/ca.pem\n"
                  "verifyChain = yes\ncheckHost = localhost\n")
        self.processes = []
        for name, text in (("server", server), ("client", client)):
            file = Path(directory) / f"{name}.conf"
            file.write_text(common + text)
            self.processes.append(subprocess.Popen(
                [shutil.which("stunnel") or "stunnel4", str(file)], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        await_port(self.between)
        await_port(self.near)

    def environment(self):
        return {"BENCH_BIND": f"tcp://127.0.0.1:{self.far}",
                "BENCH_CONNECT": f"tcp://127.0.0.1:{self.near}"}

    def cpu_us(self):
        return sum(cpu_us(process.pid) for process in self.processes)

    def end(self):
        for process in self.processes:
            process.terminate()
            process.wait()


class Way(harness.Library):
    """A library, and what stands between its two sides."""

    def __init__(self, library, tunnel=None):
        super().__init__(library.name + ("+stunnel" if tunnel else ""), library.directory)
        self.tunnel = tunnel

    def environment(self):
        return super().environment() | (self.tunnel.environment() if self.tunnel else {})

    def measure(self, program, kind, transport, size, seconds):
        if self.tunnel:
            transport = "tcp"
        case, _, place = kind.partition("@")
        name = f"{case}:{transport}:{size}" + ("@" + place if place else "")
        before = self.tunnel.cpu_us() if self.tunnel else 0
        result = harness.run(program, self, name, ["--seconds", seconds])
        if self.tunnel:
            # Of the warm-up, too, which is a fifth of the time.
            used = (self.tunnel.cpu_us() - before) / 1.2
            result["cpu_us"] += used / result["count"]
        return result


def cpu_us(pid):
    """Processor time of a process, with that of its threads that are gone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000 / os.sysconf("SC_CLK_TCK")


def serve(scheme, port):
    """Listens until it is told to stop, for whoever counts handshakes."""
    library = ctypes.CDLL(harness.SONAME, use_errno=True)
    s = library.nn_socket(1, NN_PULL)
    path = os.environ["BENCH_TLS"].encode() + b"/own.pem"
    if scheme != "tcp":
        library.nn_setsockopt(s, SPMSG_TLS, SPMSG_TLS_CERTIFICATE, path,
                              ctypes.c_size_t(len(path)))
    if library.nn_bind(s, f"{scheme}://127.0.0.1:{port}".encode()) < 0:
        sys.exit("cannot bind")
    print("bound", flush=True)
    sys.stdin.read()


def greet(context, port, session):
    """Connects, hears the greeting, and leaves; the session can be resumed."""
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as covered:
            covered.sendall(b"\0SP\0\0\x50\0\0")
            if covered.recv(8)[:4] != b"\0SP\0":
                raise harness.RunError("a greeting that is none")
            return covered.session, covered.session_reused


def handshakes(way, is_resumed, certificates):
    """Handshakes a second and processor time of the listening side in each; None where it resumes
    none."""
    port = way.tunnel.far if way.tunnel else free_ports(1)[0]
    command = [sys.executable, __file__, "--serve", "tcp" if way.tunnel else "tls+tcp", str(port)]
    with subprocess.Popen(command, env=way.environment(), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as server:
        if server.stdout.readline() != "bound\n":
            raise harness.RunError(f"{way.name} does not listen")
        door = way.tunnel.between if way.tunnel else port
        context = ssl.create_default_context(cafile=certificates / "ca.pem")
        session, _ = greet(context, door, None)
        counted = [server.pid] + ([way.tunnel.processes[0].pid] if way.tunnel else [])
        before, start = sum(map(cpu_us, counted)), time.monotonic()
        for _ in range(HANDSHAKES):
            fresh, was_resumed = greet(context, door, session if is_resumed else None)
            if was_resumed != is_resumed:
                server.stdin.close()
                return None
            session = fresh
        seconds = time.monotonic() - start
        used = sum(map(cpu_us, counted)) - before
        server.stdin.close()
    return HANDSHAKES / seconds, used / HANDSHAKES


def cipher_speed(cipher):
    """Bytes a second on one core, in pieces of the size of a record."""
    done = subprocess.run(["openssl", "speed", "-seconds", "1", "-bytes", str(RECORD), "-evp",
                           cipher], capture_output=True, text=True, check=True)
    return float(re.search(r"([\d.]+)k\s*$", done.stdout).group(1)) * 1000


def better(kind, ours, theirs):
    """How many times better ours is, as the median over the rounds."""
    field = "rate" if kind.startswith("thr") else "p50_us"
    if field == "rate":
        return harness.ratio(field, ours, theirs)
    return harness.ratio(field, theirs, ours)


def shown(kind, results):
    if kind.startswith("thr"):
        rate = statistics.median(result["rate"] for result in results)
        return f"{rate:,.0f} /s".replace(",", " ")
    return f"{statistics.median(result['p50_us'] for result in results):.1f} µs"


def cpu(results):
    return statistics.median(result["cpu_us"] for result in results)


def row(kind, transport, size, ways, rounds):
    """A row of the table, from the results by way and round."""
    ours = rounds["ours"]
    case, _, place = kind.partition("@")
    fields = [f"`{case}:{transport}:{size}{'@' + place if place else ''}`", shown(kind, ours),
              f"{cpu(ours):.3g}", f"{1 / better(kind, ours, rounds['plain']):.2f}"]
    for way in ways:
        results = rounds.get(way)
        fields += ([shown(kind, results), f"**{better(kind, ours, results):.2f}**",
                    f"{cpu(results):.3g}"] if results else ["", "", ""])
    return "| " + " | ".join(fields) + " |"


def measure_all(options, program, ways, plain):
    lines = []
    rivals = [name for name in ways if name != "ours"]
    head = ["case", "encrypted", "CPU µs", "cost"]
    for name in rivals:
        head += [name, "gain", "CPU µs"]
    lines.append("| " + " | ".join(head) + " |")
    lines.append("| --- |" + " ---: |" * (len(head) - 1))
    limits = {}
    for transport, clear in (("tls+tcp", "tcp"), ("wss", "ws")):
        for kind in ("lat:pair@0", "lat:pair", "thr:pair"):
            for size in SIZES:
                rounds = {}
                for _ in range(options.rounds):
                    for name, way in ways.items():
                        if way.tunnel and transport == "wss":
                            continue
                        rounds.setdefault(name, []).append(
                            way.measure(program, kind, transport, size, options.seconds))
                    rounds.setdefault("plain", []).append(
                        plain.measure(program, kind, clear, size, options.seconds))
                lines.append(row(kind, transport, size, rivals, rounds))
                harness.note(lines[-1])
                if kind == "thr:pair":
                    rate = statistics.median(result["rate"] for result in rounds["ours"])
                    limits[transport, size] = (rate * size, size / cpu(rounds["ours"]) * 1e6)
    return lines, limits


def measure_handshakes(options, ways):
    lines = ["| listener | full | CPU µs | resumed | CPU µs |", "| --- |" + " ---: |" * 4]
    for name, way in ways.items():
        fields = [name]
        for is_resumed in (False, True):
            found = [handshakes(way, is_resumed, options.certificates)
                     for _ in range(options.rounds)]
            if None in found:
                fields += ["none", ""]
            else:
                rates, used = zip(*found)
                fields += [f"{statistics.median(rates):.0f} /s", f"{statistics.median(used):.0f}"]
        lines.append("| " + " | ".join(fields) + " |")
        harness.note(lines[-1])
    return lines


def measure_ciphers(limits):
    lines = ["| cipher | GB/s on one core |", "| --- | ---: |"]
    speeds = {cipher: cipher_speed(cipher) for cipher in CIPHERS}
    lines += [f"| {cipher} | {speed / 1e9:.2f} |" for cipher, speed in speeds.items()]
    lines += ["", "| stream | GB/s | of what AES-128-GCM gives on one core | on the cores used |",
              "| --- | ---: | ---: | ---: |"]
    for (transport, size), (speed, speed_of_core) in limits.items():
        # One side encrypts and the other decrypts.
        shares = (speed, 2 * speed_of_core)
        one, used = (100 * share / speeds["aes-128-gcm"] for share in shares)
        lines.append(f"| `{transport}:{size}` | {speed / 1e9:.2f} | {one:.0f} % | {used:.0f} % |")
    return lines


PREAMBLE = """# What encryption costs

`make bench-tls` has written this table on {machine}. Each round
runs every way by turns; a figure is the median over {rounds} rounds, a ratio the median over the
rounds of the ratio inside a round.

* `cost` is how much less a stream carries, or how much longer a round trip takes, than over plain
  tcp or ws.
* `gain` is how many times better ours is than what stands before it: nng with TLS (of Debian, with
  Mbed TLS), and stunnel at both ends of plain tcp, on our library and on libnanomsg.
* CPU is processor time of an operation, both sides together, stunnels included.
* `@0` means that both sides share a processor; stunnel does not.

"""

BELOW_STREAMS = """
## The cipher as the limit

What `openssl speed` tells of one core, in pieces of 16 KiB, and what a stream of messages carries.
Both sides of a stream work at a time, each with the cipher and with the kernel's copies. On the
cores used: what two passes of the cipher, one on each side, would take of the processor time that
both sides have taken.

"""

BELOW_CIPHERS = """
## Handshakes

One after another, by a client of OpenSSL that hears the greeting of SP and leaves; processor time
is that of the listening side.

"""


def ways_of(options, root, tunnel):
    ours = harness.stage("ours", options.ours, root)
    tls = Path(options.ours).with_name("libspmsg_tls.so")
    (ours.directory / TLS_NAME).symlink_to(tls.resolve())
    ways = {"ours": Way(ours)}
    nng = Path(options.nng)
    if (nng / harness.SONAME).exists():
        ways["nng"] = Way(harness.stage("nng", nng, root))
    ways["stunnel"] = Way(ours, tunnel)
    reference = harness.stage("libnanomsg", harness.reference_of(options), root)
    ways["stunnel + libnanomsg"] = Way(reference, tunnel)
    return ways, Way(ours)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_own_options(parser)
    parser.add_argument("--reference", metavar="PATH", help="the reference library")
    parser.add_argument("--nng", metavar="DIRECTORY",
                        default=str(harness.ROOT / "target" / "c-tests" / "lib" / "nng"))
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--seconds", default="0.5", metavar="S")
    parser.add_argument("--write", metavar="FILE", help="where the table goes, too")
    parser.add_argument("--serve", nargs=2, metavar=("SCHEME", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
        return 0
    try:
        with tempfile.TemporaryDirectory() as root, contextlib.ExitStack() as stack:
            options.certificates = Path(root) / "certificates"
            options.certificates.mkdir()
            make_certificates(options.certificates)
            os.environ["BENCH_TLS"] = str(options.certificates)
            tunnel = Tunnel(root, options.certificates)
            stack.callback(tunnel.end)
            ways, plain = ways_of(options, root, tunnel)
            streams, limits = measure_all(options, harness.program_of(options), ways, plain)
            text = (PREAMBLE.format(machine=machine(), rounds=options.rounds)
                    + "\n".join(streams) + "\n" + BELOW_STREAMS
                    + "\n".join(measure_ciphers(limits)) + "\n" + BELOW_CIPHERS
                    + "\n".join(measure_handshakes(options, ways)) + "\n")
    except harness.RunError as error:
        print(error, file=sys.stderr)
        return 1
    print(text)
    if options.write:
        Path(options.write).write_text(text, encoding="utf-8")
    return 0


def machine():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} processors"


if __name__ == "__main__":
    sys.exit(main())
