"""Ports that no other test has: each process takes a block of them for as long as it lives, as the
tests in C do (support/ports.c)."""

import contextlib
import os
import socket

# Below what the kernel gives to whoever connects.
FIRST, BLOCK, BLOCKS = 10000, 200, 100
TAKEN = []


def take(first):
    """A socket whose name says that the block that begins there is taken, or None."""
    sign = socket.socket(socket.AF_UNIX)
    try:
        sign.bind(f"\0spmsg-test-ports-{first}")
    except OSError:
        sign.close()
        return None
    return sign


def free_ports(row=1):
    """Those of one more block that are free now, the lowest first; or the first ports of free rows
    that are that long. When they are used up, those of another block."""
    for number in range(BLOCKS):
        first = FIRST + (os.getpid() + number) % BLOCKS * BLOCK
        sign = take(first)
        if sign:
            TAKEN.append(sign)
            yield from (port for port in range(first, first + BLOCK - row + 1)
                        if all(is_free(port + place) for place in range(row)))


def is_free(port):
    with socket.socket() as probe:
        with contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False
