"""Drives ws-chat.html in two windows of a headless Chromium against ws-chat: text and binary, from
a page to the program and to all pages, and from the program to the pages.

    python ws_chat.py --chat PATH --page PATH [--browser chromium] [--screenshot FILE.png]

The browser is driven over its DevTools protocol, which is a WebSocket as well.
"""

import argparse
import base64
import contextlib
import json
import pathlib
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

from websockets.sync.client import connect

PATIENCE = 30
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--remote-debugging-port=0", "--remote-allow-origins=*", "--window-size=1180,720"]


def wait_for(what, condition):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A program that is ended with us, and whose lines of output can be waited for."""

    def __init__(self, words):
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def line(self):
        return self.lines.get(timeout=PATIENCE)

    def write(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Window:
    """A page of the browser."""

    def __init__(self, stack, debugger, url):
        request = urllib.request.Request(
            f"http://{debugger}/json/new?{urllib.parse.quote(url, safe='')}", method="PUT")
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            target = json.load(answer)
        self.socket = stack.enter_context(
            connect(target["webSocketDebuggerUrl"], max_size=None, open_timeout=PATIENCE))
        self.number = 0

    def call(self, method, **parameters):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv(PATIENCE))
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    def await_value(self, expression):
        return wait_for(expression, lambda: self.value(expression))

    def say(self, words):
        self.value("part('text').focus()")
        self.call("Input.insertText", text=words)
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter",
                      text="\r", windowsVirtualKeyCode=13)

    def drag(self, points):
        box = self.value("(b => [b.left, b.top, b.width, b.height])(board.getBoundingClientRect())")
        kind = "mousePressed"
        for x, y in points:
            self.call("Input.dispatchMouseEvent", type=kind, button="left", buttons=1,
                      clickCount=1, x=box[0] + x * box[2], y=box[1] + y * box[3])
            kind = "mouseMoved"
        self.call("Input.dispatchMouseEvent", type="mouseReleased", button="left", clickCount=1,
                  x=box[0] + x * box[2], y=box[1] + y * box[3])


def start_browser(stack, browser):
    profile = stack.enter_context(
        tempfile.TemporaryDirectory(prefix="spmsg-browser-", ignore_cleanup_errors=True))
    stack.enter_context(Process([browser, *FLAGS, f"--user-data-dir={profile}", "about:blank"]))
    note = pathlib.Path(profile, "DevToolsActivePort")
    port = wait_for("the start of the browser",
                    lambda: note.exists() and note.read_text().split("\n")[0])
    return f"127.0.0.1:{port}"


def talk(alice, bob, chat):
    for window in (alice, bob):
        window.await_value("document.readyState === 'complete' && isReady()")
        assert window.value("incoming.socket.protocol") == "pub.sp.nanomsg.org"
        assert window.value("outgoing.socket.protocol") == "pull.sp.nanomsg.org"

    alice.say("hello ✓ from a page")
    assert chat.line() == "text: Alice: hello ✓ from a page"
    last = "(part('log').lastChild || {}).innerText"
    for window in (alice, bob):
        window.await_value(f"{last} === 'Alice\\nhello ✓ from a page'")
    assert alice.value("part('log').lastChild.className") == "mine"
    assert bob.value("part('log').lastChild.className") == ""

    bob.say("and an answer")
    assert chat.line() == "text: Bob: and an answer"
    alice.await_value(f"{last} === 'Bob\\nand an answer'")

    chat.write("a line that was typed at the program")
    for window in (alice, bob):
        window.await_value(f"{last} === 'a line that was typed at the program'")

    # A stroke makes one binary message for each movement.
    alice.drag([(0.2, 0.7), (0.35, 0.3), (0.5, 0.7), (0.65, 0.3), (0.8, 0.7)])
    for _ in range(4):
        assert chat.line() == "binary: 9 bytes"
    painted = "pen.getImageData(board.width * 0.35 - 6, board.height * 0.3 - 6, 12, 12)" \
              ".data.some(value => value > 0)"
    for window in (alice, bob):
        window.await_value("counts.binary === 4 && strokes.length === 4")
        assert window.value(painted), "nothing is drawn where the pointer was"
    bob.drag([(0.2, 0.2), (0.5, 0.15), (0.8, 0.2)])
    alice.await_value("counts.binary === 6 && counts.text === 3")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chat", required=True, metavar="PATH")
    parser.add_argument("--page", required=True, metavar="PATH")
    parser.add_argument("--browser", default="chromium", metavar="PATH")
    parser.add_argument("--screenshot", metavar="FILE.png")
    options = parser.parse_args()
    receive, send = (f"ws://127.0.0.1:{free_port()}" for _ in range(2))

    with contextlib.ExitStack() as stack:
        chat = stack.enter_context(Process([options.chat, receive, send]))
        assert chat.line() == f"publishing on {receive}, pulling on {send}"
        debugger = start_browser(stack, options.browser)
        page = pathlib.Path(options.page).resolve().as_uri()
        windows = [Window(stack, debugger, page + "?" + urllib.parse.urlencode(
            {"receive": receive, "send": send, "name": name})) for name in ("Alice", "Bob")]
        talk(*windows, chat)
        if options.screenshot:
            image = windows[0].call("Page.captureScreenshot")["data"]
            pathlib.Path(options.screenshot).write_bytes(base64.b64decode(image))
    print("two pages and a C program talked in text and in binary")
    return 0


if __name__ == "__main__":
    sys.exit(main())
