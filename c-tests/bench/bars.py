"""The least gain over the reference that each case must show, and those of whole groups.

The first pattern that matches a name counts; what matches none must not be slower.
"""

import fnmatch

DEFAULT = 1.0

GAINS = (
    ("fanin:push:tcp:64:*", 9),
    ("fanin:push:ipc:64:*", 7),
    ("tail:ipc:64:20", 1.1),
    ("tail:ipc:64:100", 1.1),
    ("tail:tcp:64:20", 1.1),
    ("tail:tcp:64:100", 1.1),
    ("lat:pair:ipc:65536*", 2),
    ("lat:pair:tcp:65536*", 1.8),
    ("lat:pair:ipc:1048576*", 1.7),
    ("lat:pair:tcp:1048576*", 1.5),
    ("thr:pair:ipc:65536*", 1.2),
    ("thr:pair:tcp:65536*", 1.3),
    ("thr:pair:ws:65536*", 2),
    ("thr:pair:ipc:1048576*", 2),
    ("thr:pair:tcp:1048576*", 2),
    ("thr:pair:ipc:16777216*", 1.5),
    ("thr:pair:tcp:16777216*", 1.5),
    ("zc:inproc:65536", 10),
    ("zc:inproc:1048576", 15),
    ("zc:inproc:67108864", 300),
    ("thr:pair:inproc:64", 45),
    ("thr:pair:ipc:64", 25),
    ("thr:pair:tcp:64", 18),
    ("thr:pair:ws:64", 12),
    ("lat:pair:inproc:64", 18),
    ("lat:pair:ipc:64", 7),
    ("lat:pair:tcp:64", 5),
    ("lat:pair:ws:64", 6),
    ("lat:pair:inproc:64@0", 2.6),
    ("lat:req:inproc:64@0", 8),
    ("lat:pair:ipc:64@0", 4.2),
    ("lat:pair:tcp:64@0", 3.4),
    ("lat:pair:ws:64@0", 2),
    ("poll:pair:tcp:64", 2),
    ("poll:pair:tcp:64@0", 2.3),
    ("poll:pair:ipc:64@0", 3),
    ("pollv:1:*:64@0", 4),
    ("pollv:100:*:64@0", 3),
    ("fanout:tcp:64:1", 1.5),
    ("fanout:tcp:64:8", 4),
    ("fanout:tcp:64:64", 6),
    ("dev:*:tcp:64*", 2.4),
    ("survey:tcp:64:64", 2.3),
    ("bus:tcp:64:8", 1.5),
    ("churn:sock", 9),
    ("churn:cold", 60),
    ("churn:conn:inproc", 3),
    ("churn:conn:ipc", 1.4),
    ("churn:conn:tcp", 1.3),
)

# An absolute bar in place of a gain: a library that lets the kernel wait for more data stalls 40 ms
# on a burst; and a socket that does less for its statistics may be smaller than ours has to be.
LIMITS = {
    "burst:tcp:64:8": ("p99_us", 20_000.0),
    "mem:idle": ("bytes", 768),
}

MEAN = 6.0
MEAN_BESIDE_HOGS = 4.0


def gain_bar(case):
    for pattern, bar in GAINS:
        if fnmatch.fnmatchcase(case, pattern):
            return bar
    return DEFAULT
