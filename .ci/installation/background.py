#!/usr/bin/env python3
"""Starts a program in the background of an interactive shell, and waits until it says something; it
must not be stopped for reading the terminal, then and after a line was typed for the shell.

    background.py SAID PROGRAM [ARGUMENT...]
"""

import os
import pty
import re
import select
import shlex
import sys
import time

PATIENCE = 30

wanted, command = sys.argv[1], sys.argv[2:]
shell, terminal = pty.fork()
if shell == 0:
    os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])

said = ""


def wait_for(pattern):
    """Reads what the terminal shows until the pattern is there."""
    global said
    deadline = time.monotonic() + PATIENCE
    while not re.search(pattern, said):
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            sys.exit(f"{pattern} was not shown, but:\n{said}")
        said += os.read(terminal, 4096).decode(errors="replace")


def type_line(line):
    os.write(terminal, line.encode() + b"\n")


type_line(shlex.join(command) + " & echo begun:$!")
wait_for(r"begun:\d+")
wait_for(wanted)
job = re.search(r"begun:(\d+)", said)[1]
# What a process that reads and may not gets is a signal at once: it has had the time for it when
# the shell has done something else meanwhile.
type_line("sleep 1; jobs -l; echo the-$((1))-end")
wait_for("the-1-end")
type_line(f"kill {job}; exit")
if re.search(r"Stopped|SIGTTIN", said):
    sys.exit(f"it was stopped:\n{said}")
print(f"{command[0]} ran in the background of a terminal")
