#!/usr/bin/env python3
"""tls+tcp and wss with proxies at the other end, on behalf of a socket without TLS.

    SPMSG_SO=libspmsg.so proxies.py --programs DIRECTORY [CASE...]

DIRECTORY is where the tests were built: interop/peer.c has a conversation of each type. Proxies run
with the files in c-tests/interop/proxies, on free ports. Behind stunnel is libnanomsg, where it is
installed.
"""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

from ours import (CURRENT_CONNECTIONS, HERE, PAIR, PATIENCE, PORTS, SPMSG, Failed, Socket, check,
                  equal, nn, run)

PAIRS = [("pair", "pair"), ("pub", "sub"), ("sub", "pub"), ("req", "rep"), ("rep", "req"),
         ("push", "pull"), ("pull", "push"), ("surveyor", "respondent"),
         ("respondent", "surveyor"), ("bus", "bus")]
os.environ["PATH"] += ":/usr/sbin:/usr/local/sbin"
PROGRAMS = None


class Ports(dict):
    """Ours for the port of that number in a configuration."""

    def __missing__(self, number):
        self[number] = next(PORTS)
        return self[number]


def configuration(place, ports, name, before="", after="", versions=None):
    text = (HERE.parent / "proxies" / name).read_text()
    if versions:
        check("TLSv1.2 TLSv1.3;" in text, f"{name} tells no versions")
        text = text.replace("TLSv1.2 TLSv1.3;", f"{versions};")
    text = re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{ports[found[1]]}", text)
    text = text.replace("/etc/ssl/service/service.pem", place.file("here.both"))
    text = text.replace("/etc/ssl/service/ca.pem", place.file("ca.pem"))
    path = pathlib.Path(place.file(name))
    path.write_text(before + text + after)
    return path


def start(place, ports, number, *words):
    """Returns when it accepts connections."""
    log = pathlib.Path(place.file("log"))
    with open(log, "ab") as output:
        process = place.start(*words, stdout=output, stderr=output)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", ports[number]), 1).close()
            return process
        time.sleep(0.02)
    raise Failed(f"{words[0]} does not start:\n{log.read_text()}")


def stop(process):
    process.terminate()
    check(process.wait(PATIENCE) is not None, "it does not stop")


def converse(place, listens, dials):
    """Each of (library, address), with every type of socket once in each role."""
    for one, other in PAIRS:
        ends = socket.socketpair()
        peers = []
        for (library, address), role, kind, end in ((listens, "listen", one, ends[0]),
                                                    (dials, "dial", other, ends[1])):
            environment = dict(os.environ, SPMSG_PEER_CERTIFICATES=str(place.directory),
                               LD_LIBRARY_PATH=str(PROGRAMS / "lib" / library))
            peers.append(place.start(PROGRAMS / "interop" / "interop-peer", kind, role, address,
                                     stdin=end, env=environment))
            end.close()
        for peer, kind in zip(peers, (one, other)):
            said = peer.communicate(timeout=4 * PATIENCE)[0].decode()
            equal(peer.returncode, 0, f"{kind}, {listens} and {dials}: {said}")


def over_ws(place, ports):
    """TLS ends in the proxy, or begins there."""
    def at(scheme, number):
        return "spmsg", f"{scheme}://127.0.0.1:{ports[number]}/service"
    converse(place, at("ws", "5555"), at("wss", "6555"))
    converse(place, at("wss", "5556"), at("ws", "6556"))


def over_tcp(place, ports):
    def at(scheme, number):
        return "spmsg", f"{scheme}://127.0.0.1:{ports[number]}"
    converse(place, at("tcp", "5557"), at("tls+tcp", "6557"))
    converse(place, at("tls+tcp", "5558"), at("tcp", "6558"))


def refuses_strangers(place, ports, *schemes):
    """The proxy checks our certificate: nobody talks to whoever shows another one. Some proxies say
    so within TLS, and some only leave; for ws they say so to the client."""
    for scheme in schemes:
        if scheme == "wss":
            refuses_a_stranger(place, f"wss://127.0.0.1:{ports['5556']}",
                               f"ws://127.0.0.1:{ports['6556']}/service")
        else:
            refuses_a_stranger(place, f"tls+tcp://127.0.0.1:{ports['5558']}",
                               f"tcp://127.0.0.1:{ports['6558']}")


def refuses_a_stranger(place, inside, outside):
    with Socket(PAIR, place, shows="alone") as ours, Socket(PAIR, place) as other:
        ours.bind(inside)
        other.connect(outside)
        event = ours.event("HANDSHAKE_FAILED")
        check(event.reason == SPMSG["REASON_LEFT"] or event.reason == SPMSG["REASON_TLS"]
              and event.found > SPMSG["TLS_FAULT_ALERT"], f"{event.reason}, {event.found}")
        event = other.event("HANDSHAKE_FAILED")
        if outside.startswith("ws:"):
            check(event.reason == SPMSG["REASON_DENIED"] and event.found in (502, 503),
                  f"the client is told {event.reason}, {event.found}")
        equal([nn.nn_get_statistic(s.handle, CURRENT_CONNECTIONS) for s in (ours, other)], [0, 0],
              "connections")


def streams_of_nginx():
    """The line that loads what it needs for tcp, nothing where that is built in, or None."""
    said = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=True).stderr
    if "--with-stream" in said.split():
        return ""
    module = next((path for path in STREAM_MODULES if path.exists()), None)
    return module and f"load_module {module};\n"


def nginx(place):
    streams = streams_of_nginx()
    for versions in ("TLSv1.2", "TLSv1.3"):
        ports = Ports()
        process = start_nginx(place, ports, streams, versions)
        over_ws(place, ports)
        if streams is not None:
            over_tcp(place, ports)
        refuses_strangers(place, ports, *(["wss"] if streams is None else ["wss", "tls+tcp"]))
        stop(process)
    if streams is None:
        return "passed for wss; this nginx has nothing for tcp"


def start_nginx(place, ports, streams, versions):
    temporary = "".join(f"    {kind}_temp_path {place.directory}/{kind};\n" for kind in
                        ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    site = configuration(place, ports, "nginx-encrypted.conf", versions=versions)
    stream = configuration(place, ports, "nginx-stream.conf", versions=versions)
    text = f"daemon off;\npid {place.directory}/nginx.pid;\nevents {{}}\n" \
           f"http {{\n    access_log off;\n{temporary}    include {site};\n}}\n"
    if streams is not None:
        text = f"{streams}{text}stream {{\n    include {stream};\n}}\n"
    whole = pathlib.Path(place.file("nginx.conf"))
    whole.write_text(text)
    return start(place, ports, "6556", "nginx", "-e", "stderr", "-p", place.directory, "-c", whole)


def haproxy(place):
    for number, only in enumerate(("force-tlsv13", "force-tlsv12")):
        ports = Ports()
        settings = f"global\n    ssl-default-bind-options {only}\n" \
                   f"    ssl-default-server-options {only}\n"
        process = start(place, ports, "6558", "haproxy", "-db", "-f", configuration(
            place, ports, "haproxy-encrypted.cfg", settings))
        over_ws(place, ports)
        over_tcp(place, ports)
        # It tries three times, a second apart.
        if number == 0:
            refuses_strangers(place, ports, "wss", "tls+tcp")
        stop(process)


def stunnel(place):
    """In front of libnanomsg, which listens, and beside it, which dials."""
    ports = Ports()
    program = shutil.which("stunnel4") or shutil.which("stunnel")
    settings = "foreground = yes\npid =\nsyslog = no\n"
    plain = "reference" if (PROGRAMS / "lib/reference/libspmsg.so.0").exists() else "spmsg"
    for version in ("TLSv1.2", "TLSv1.3"):
        only = f"sslVersionMin = {version}\nsslVersionMax = {version}\n"
        server = start(place, ports, "6555", program, configuration(
            place, ports, "stunnel-server.conf", settings, only))
        converse(place, (plain, f"tcp://127.0.0.1:{ports['5555']}"),
                 ("spmsg", f"tls+tcp://127.0.0.1:{ports['6555']}"))
        stop(server)
        # Now it is ours that has the port to which the client's stunnel connects.
        client = start(place, ports, "7555", program, configuration(
            place, ports, "stunnel-client.conf", settings, only))
        converse(place, ("spmsg", f"tls+tcp://127.0.0.1:{ports['6555']}"),
                 (plain, f"tcp://127.0.0.1:{ports['7555']}"))
        stop(client)
    return f"passed, with {plain} on the other side"


STREAM_MODULES = [pathlib.Path(directory, "ngx_stream_module.so") for directory in
                  ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules",
                   "/usr/share/nginx/modules")]

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", metavar="DIRECTORY", type=pathlib.Path)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    options = parser.parse_args()
    if not options.programs:
        parser.error("--programs is missing")
    PROGRAMS = options.programs.resolve()
    run([nginx, haproxy, stunnel], options.cases)
