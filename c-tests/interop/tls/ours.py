"""What the tests with other implementations of TLS share: our sockets, loaded with ctypes from the
path in SPMSG_SO, certificates for the occasion, and the running of cases."""

import contextlib
import ctypes
import os
import pathlib
import re
import select
import ssl
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parents[1] / "support"))
from ports import free_ports

PATIENCE = 15
PORTS = free_ports()

PAIR, PUB, SUB, REQ, REP, PUSH, PULL = 16, 32, 33, 48, 49, 80, 81
SURVEYOR, RESPONDENT, BUS = 98, 99, 112
AF_SP, SOL_SOCKET, SNDTIMEO, RCVTIMEO, RECONNECT_IVL, RCVMAXSIZE = 1, 0, 4, 5, 6, 16
SUB_SUBSCRIBE, SURVEYOR_DEADLINE = 1, 1
CURRENT_CONNECTIONS = 201


def constants():
    """The numbers that spmsg.h counts from SPMSG_BASE, and the others."""
    text = (HERE.parents[2] / "include/spmsg/spmsg.h").read_text()
    found = {}
    for name, value in re.findall(r"^#define SPMSG_(\w+) \(?((?:SPMSG_BASE \+ )?\d+)\)?$", text,
                                  re.MULTILINE):
        found[name] = sum(int(found.get(part, part)) for part in
                          value.replace("SPMSG_", "").split(" + "))
    return found


SPMSG = constants()
FAULTS = {name: SPMSG[f"TLS_FAULT_{name}"] for name in (
    "TRUNCATED", "NOT_TLS", "INCOMPATIBLE", "NO_CERTIFICATE", "UNTRUSTED", "WRONG_NAME", "ALERT")}
nn = ctypes.CDLL(os.environ["SPMSG_SO"], use_errno=True)


class Failed(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Failed(text)


def equal(found, expected, what):
    check(found == expected, f"{what}: {found!r}, should be {expected!r}")


def library_error():
    text = ctypes.create_string_buffer(300)
    nn.spmsg_error_text(text, len(text))
    return f"{os.strerror(ctypes.get_errno())}: {text.value.decode()}"


class Event(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("endpoint", ctypes.c_int), ("error", ctypes.c_int),
                ("missed", ctypes.c_uint), ("peer", ctypes.c_char * SPMSG["EVENT_PEER_MAX"]),
                ("reason", ctypes.c_int), ("found", ctypes.c_uint), ("rest", ctypes.c_char * 512)]


class Socket:
    """One of ours that cannot make a test hang, with a certificate of that name and our trust."""

    def __init__(self, kind, place, shows="", asks=None, **more):
        self.handle = nn.nn_socket(AF_SP, kind)
        check(self.handle >= 0, f"nn_socket: {library_error()}")
        for option in (SNDTIMEO, RCVTIMEO):
            self.set(SOL_SOCKET, option, PATIENCE * 1000)
        self.set(SOL_SOCKET, RECONNECT_IVL, 10)
        if kind == SURVEYOR:
            self.set(SURVEYOR, SURVEYOR_DEADLINE, PATIENCE * 1000)
        if shows:
            self.tls("CERTIFICATE", place.file(f"{shows}.both"))
        self.tls("TRUST", place.file("ca.pem"))
        if asks is not None:
            self.tls("VERIFY", SPMSG["TLS_VERIFY_REQUIRED"] if asks else SPMSG["TLS_VERIFY_NONE"])
        for option, value in more.items():
            self.tls(option, value)
        self.events = nn.spmsg_events(self.handle)
        check(self.events >= 0, f"spmsg_events: {library_error()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.handle >= 0:
            self.close()

    def close(self):
        check(nn.nn_close(self.handle) == 0, f"nn_close: {library_error()}")
        self.handle = -1

    def set(self, level, option, value):
        if isinstance(value, int):
            value = value.to_bytes(4, sys.byteorder, signed=True)
        result = nn.nn_setsockopt(self.handle, level, option, value, len(value))
        check(result == 0, f"option {option} of level {level}: {library_error()}")

    def tls(self, option, value):
        value = os.fsencode(value) if isinstance(value, (str, os.PathLike)) else value
        self.set(SPMSG["TLS"], SPMSG[f"TLS_{option}"], value)

    def bind(self, url):
        endpoint = nn.spmsg_bind(self.handle, url.encode())
        check(endpoint > 0, f"spmsg_bind {url}: {library_error()}")
        text = ctypes.create_string_buffer(128)
        result = nn.spmsg_address(self.handle, endpoint, text, len(text))
        check(result >= 0, f"spmsg_address: {library_error()}")
        return int(re.search(r":(\d+)", text.value.decode().split("://")[1])[1])

    def connect(self, url):
        check(nn.nn_connect(self.handle, url.encode()) > 0, f"nn_connect {url}: {library_error()}")

    def send(self, body):
        sent = nn.nn_send(self.handle, body, len(body), 0)
        check(sent == len(body), f"nn_send of {len(body)} bytes: {library_error()}")

    def recv(self):
        buffer = ctypes.create_string_buffer(1 << 20)
        size = nn.nn_recv(self.handle, buffer, len(buffer), 0)
        check(size >= 0, f"nn_recv: {library_error()}")
        return buffer.raw[:size]

    def subscribe(self, topic):
        self.set(SUB, SUB_SUBSCRIBE, topic)

    def await_peer(self):
        nn.nn_get_statistic.restype = ctypes.c_uint64
        deadline = time.monotonic() + PATIENCE
        while nn.nn_get_statistic(self.handle, CURRENT_CONNECTIONS) != 1:
            check(time.monotonic() < deadline, "nobody is connected")
            time.sleep(0.001)

    def event(self, name):
        """The next event of that type, whatever comes before it."""
        event, deadline = Event(), time.monotonic() + PATIENCE
        while True:
            left = max(0, deadline - time.monotonic())
            check(select.select([self.events], [], [], left)[0], f"no event of {name} comes")
            result = nn.spmsg_next_event(self.handle, ctypes.byref(event))
            if result == 0 and event.type == SPMSG[f"EVENT_{name}"]:
                return event

    def failure(self, *faults):
        """The next failed handshake, which has to be for one of these."""
        event = self.event("HANDSHAKE_FAILED")
        equal(event.reason, SPMSG["REASON_TLS"], "the reason")
        check(event.found in faults, f"found is {event.found}, should be one of {faults}")
        return event


class Place:
    """A directory with certificates, and processes that end with it."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.processes = []
        subprocess.run(["sh", HERE.parent / "authority.sh", directory], check=True)

    def file(self, name):
        return str(self.directory / name)

    def start(self, *words, **more):
        more = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE,
                "stderr": subprocess.STDOUT, **more}
        self.processes.append(subprocess.Popen(list(map(str, words)), **more))
        return self.processes[-1]

    def end_all(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if stream:
                        stream.close()

    def context(self, role, version="", shows="", asks=None, trust="ca.pem"):
        """Of Python's ssl, for who connects ("dial") or listens."""
        dials = role == "dial"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if dials else ssl.PROTOCOL_TLS_SERVER)
        if version:
            context.minimum_version = context.maximum_version = VERSIONS[version]
        if shows:
            context.load_cert_chain(self.file(f"{shows}.both"))
        context.load_verify_locations(self.file(trust))
        if asks is not None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
        return context


VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def run(cases, words):
    """Runs those that are named, or all, and ends the program."""
    failures = 0
    chosen = [case for case in cases if not words or case.__name__ in words]
    for case in chosen:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="spmsg-tls-") as directory:
            place = Place(directory)
            try:
                said = case(place) or "passed"
            except Exception as reason:
                failures += 1
                said = "FAILED"
                traceback.print_exception(reason)
            finally:
                place.end_all()
        print(f"{case.__name__}: {said}, {time.monotonic() - began:.1f} s", flush=True)
    print(f"{len(chosen)} cases, {failures} failed")
    sys.exit(failures > 0 or not chosen)
