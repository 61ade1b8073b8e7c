"""The machine a comparison runs on: what it is, how busy it is, and how to keep it busy."""

import contextlib
import os
import platform
import subprocess
import sys

# It asks once in a while for its parent, so that it outlives nobody.
HOG = """
import os
parent = int(os.sys.argv[1])
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


def processor():
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def description():
    return {"processor": processor(), "cpus": len(os.sched_getaffinity(0)),
            "kernel": f"{platform.system()} {platform.release()}"}


def load():
    return os.getloadavg()[0]


@contextlib.contextmanager
def hogs(count):
    """So many processes that do nothing but use a processor, as long as the block lasts."""
    running = [subprocess.Popen([sys.executable, "-c", HOG, str(os.getpid())])
               for _ in range(count)]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.wait()
