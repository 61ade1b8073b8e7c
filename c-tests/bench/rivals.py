"""Other libraries, and none at all, through the same program: which cases each can run.

Each is built as a library with the name that the program asks for, from a file in rivals/.
"""

import fnmatch

NAMES = ("nng", "zmq", "raw")

# Patterns of what each can run, and what is left out again.
CASES = {
    # Its subscriptions are a list, so adding so many takes minutes.
    "nng": (("*",), ("subs:100000*",)),
    # Its sockets are not for several threads, its inproc proxy cannot be ended from another one,
    # and a closed socket is gone only later.
    "zmq": (("lat:*", "thr:*", "zc:*", "burst:*", "tail:*", "pollv:*", "fanin:*", "fanout:*",
             "dev:*", "churn:*", "subadd", "mem:idle", "mem:used:*"),
            ("*:ws*", "dev:*:inproc:*", "churn:bind:*", "churn:sock*")),
    # The limit of round trips and streams.
    "raw": (("lat:pair:*", "thr:pair:*", "thr:push:*", "burst:*"),
            ("*:ws:*", "*inproc*")),
}

# How much faster than zmq, at least: what it is made for.
ZMQ_BARS = (
    ("thr:*:1", 1.1),
    ("thr:*:8", 1.1),
    ("thr:*:64", 1.1),
    ("thr:*:512", 1.1),
    ("thr:*:1024", 1.1),
    ("fanin:push:*", 1.1),
)


def runs(name, case):
    wanted, unwanted = CASES[name]
    return (any(fnmatch.fnmatchcase(case, pattern) for pattern in wanted)
            and not any(fnmatch.fnmatchcase(case, pattern) for pattern in unwanted))


def bar(name, case):
    """The least gain over this rival; None where it has no bar."""
    if name != "zmq":
        return None
    return next((bar for pattern, bar in ZMQ_BARS if fnmatch.fnmatchcase(case, pattern)), None)
