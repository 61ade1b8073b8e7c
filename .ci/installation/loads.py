#!/usr/bin/env python3
"""Loads libnanomsg by each of the names given, and tells from which file it came.

    loads.py NAME...
"""

import ctypes
import os
import sys

for name in sys.argv[1:]:
    library = ctypes.CDLL(name)
    handle = library.nn_socket(1, 16)
    assert handle >= 0 and library.nn_close(handle) == 0, name
    address = ctypes.cast(library.nn_socket, ctypes.c_void_p).value
    with open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            span, *_, path = line.rstrip("\n").split(maxsplit=5)
            low, high = (int(end, 16) for end in span.split("-"))
            if low <= address < high:
                print(os.path.realpath(path))
