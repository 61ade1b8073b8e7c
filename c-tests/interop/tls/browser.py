#!/usr/bin/env python3
"""wss with a headless Chromium, which trusts our authority, and nobody else's.

    SPMSG_SO=libspmsg.so browser.py [--browser chromium] [CASE...]

Whom the browser trusts stands in a data base of NSS in a home of its own. It needs the package
"websockets", over which the browser is driven, as c-tests/examples/ws_chat.py does it.
"""

import argparse
import contextlib
import os
import pathlib
import subprocess
import sys

from ours import FAULTS, HERE, PAIR, REP, SPMSG, Socket, check, equal, run

sys.path.append(str(HERE.parents[1] / "examples"))
from ws_chat import Window, start_browser

PAGE = """<!doctype html><title>wss</title><script>
let state = "opening", said = [], socket;
function open_socket(url, protocol) {
    state = "opening"; said = [];
    socket = new WebSocket(url, protocol);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => state = "open " + socket.protocol;
    socket.onclose = event => state = "closed " + event.code + " " + event.wasClean;
    socket.onmessage = event => said.push(typeof event.data === "string" ? event.data :
        Array.from(new Uint8Array(event.data)).join());
}
function bytes(size) { return new Uint8Array(size).map((_, i) => i * 7 % 251); }
</script>"""
BROWSER = "chromium"


@contextlib.contextmanager
def window(place, trusted):
    """A page of a browser that trusts the authority of that file."""
    home = pathlib.Path(place.file("home"))
    store = home / ".pki/nssdb"
    store.mkdir(parents=True)
    for words in (["-N", "--empty-password"],
                  ["-A", "-t", "C,,", "-n", "ours", "-i", place.file(trusted)]):
        subprocess.run(["certutil", "-d", f"sql:{store}", *words], check=True)
    page = pathlib.Path(place.file("page.html"))
    page.write_text(PAGE)
    before = os.environ.get("HOME", "/")
    with contextlib.ExitStack() as stack:
        os.environ["HOME"] = str(home)
        try:
            debugger = start_browser(stack, BROWSER)
        finally:
            os.environ["HOME"] = before
        shown = Window(stack, debugger, page.as_uri())
        shown.await_value("typeof open_socket === 'function'")
        yield shown


def who_trusts_us(place):
    """Text and bytes both ways, over a PAIR; questions of a page, over a REP; and a farewell."""
    body = bytes(i * 7 % 251 for i in range(200000))
    with window(place, "ca.pem") as page:
        with Socket(PAIR, place, shows="here") as ours:
            port = ours.bind("wss://127.0.0.1:0")
            page.value(f"open_socket('wss://localhost:{port}/some/path', 'pair.sp.nanomsg.org')")
            page.await_value("state === 'open pair.sp.nanomsg.org'")
            page.value("socket.send('from the page ✓')")
            equal(ours.recv().decode(), "from the page ✓", "text")
            page.value("socket.send(bytes(200000))")
            check(ours.recv() == body, "bytes of the page")
            ours.send(body)
            page.await_value("said.length === 1")
            check(page.value("said[0] === bytes(200000).join()"), "bytes for the page")
            page.value("socket.close()")
            equal(ours.event("DISCONNECTED").reason, SPMSG["REASON_LEFT"], "why")
        with Socket(REP, place, shows="here") as ours:
            port = ours.bind("wss://127.0.0.1:0")
            page.value(f"open_socket('wss://127.0.0.1:{port}/', 'rep.sp.nanomsg.org')")
            page.await_value("state === 'open rep.sp.nanomsg.org'")
            page.value("socket.send(new Uint8Array([128, 0, 0, 7, 65, 66]))")
            equal(ours.recv(), b"AB", "a question")
            ours.send(b"ab")
            page.await_value("said[0] === '128,0,0,7,97,98'")
            ours.close()
            page.await_value("state.startsWith('closed')")


def who_trusts_another(place):
    """There is no connection, and an event says why."""
    with window(place, "alone.pem") as page, Socket(PAIR, place, shows="here") as ours:
        port = ours.bind("wss://127.0.0.1:0")
        page.value(f"open_socket('wss://localhost:{port}/', 'pair.sp.nanomsg.org')")
        page.await_value("state === 'closed 1006 false'")
        ours.failure(*(FAULTS["ALERT"] + alert for alert in CERTIFICATE_ALERTS))


# bad, unknown, of an unknown authority
CERTIFICATE_ALERTS = (42, 46, 48)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--browser", default=BROWSER, metavar="PATH")
    parser.add_argument("cases", nargs="*", metavar="CASE")
    options = parser.parse_args()
    BROWSER = options.browser
    run([who_trusts_us, who_trusts_another], options.cases)
