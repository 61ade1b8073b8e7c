"""What manual pages say of options, held against the library itself, for manuals.py."""

import ctypes
import errno
import pathlib
import re
import sys

UNITS = {"none": 0, "hops": 0, "bytes": 1, "milliseconds": 2, "priority": 3, "boolean": 4}
TYPES = {"int": 1, "string": 2, "bytes": 2}
INT_MIN, INT_MAX = -2**31, 2**31 - 1


class Library:
    """The library itself, asked for its options."""

    def __init__(self, file, interface):
        self.values = interface.values
        self.calls = ctypes.CDLL(str(file), use_errno=True)
        self.calls.nn_symbol.restype = ctypes.c_char_p

    def properties(self):
        """For each constant that nn_symbol lists its namespace, type and unit."""
        class Properties(ctypes.Structure):
            _fields_ = [("value", ctypes.c_int), ("name", ctypes.c_char_p), ("ns", ctypes.c_int),
                        ("type", ctypes.c_int), ("unit", ctypes.c_int)]
        about, found, at = Properties(), {}, 0
        while self.calls.nn_symbol_info(at, ctypes.byref(about), ctypes.sizeof(about)) > 0:
            found[about.name.decode()] = (about.ns, about.type, about.unit)
            at += 1
        return found

    def open(self, kind):
        return self.calls.nn_socket(self.values["AF_SP"], self.values[kind])

    def set(self, s, level, option, value):
        """The name of the error, or an empty string."""
        data = value if isinstance(value, bytes) else ctypes.c_int(value)
        size = len(value) if isinstance(value, bytes) else 4
        at = data if isinstance(value, bytes) else ctypes.byref(data)
        done = self.calls.nn_setsockopt(s, self.values[level], self.values[option], at,
                                        ctypes.c_size_t(size))
        return errno.errorcode[ctypes.get_errno()] if done < 0 else ""

    def get(self, s, level, option):
        """The value as bytes, or the name of the error as a string."""
        room, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
        done = self.calls.nn_getsockopt(s, self.values[level], self.values[option], room,
                                        ctypes.byref(size))
        return errno.errorcode[ctypes.get_errno()] if done < 0 else room.raw[:size.value]


def wrong_options(file, pages, interface):
    """Holds the tables of options against the library in that file."""
    library = Library(file, interface)
    listed = library.properties()
    rows = {}
    for page in pages.values():
        for level, kind, cells in page.options:
            where = f"{page.file}: {cells[0]}"
            rows.setdefault(cells[0], set()).add((level, *cells))
            if len(cells) != 5 or cells[0] not in interface.values:
                yield f"{where}: this is no row about an option"
                continue
            s = library.open(kind)
            yield from (f"{where}: {wrong}" for wrong in wrong_option(library, s, level, cells))
            library.calls.nn_close(s)
            _, type_listed, unit_listed = listed.get(cells[0], (0, None, None))
            if type_listed not in (None, TYPES.get(cells[1])):
                yield f"{where}: nn_symbol_info knows another type"
            if unit_listed not in (None, UNITS.get(cells[2])):
                yield f"{where}: nn_symbol_info knows another unit"
    wanted = {name for name, (namespace, _, _) in listed.items() if namespace in (6, 7)}
    own = "PEER_INFO|ACCEPT_UID|IPC_MODE|TCP_KEEPALIVE|WS_PING"
    wanted |= {name for name in interface.constants
               if re.fullmatch(rf"NN_IPC_\w+|SPMSG_({own})", name)}
    wanted -= {"NN_WS_MSG_TYPE_TEXT", "NN_WS_MSG_TYPE_BINARY"}
    yield from (f"{name}: no table of options has it" for name in sorted(wanted - set(rows)))
    yield from (f"{name}: two tables differ" for name in sorted(rows) if len(rows[name]) > 1)
    yield from wrong_defaults(pages, rows)
    yield from wrong_headers(file, rows)


def wrong_option(library, s, level, cells):
    """Holds a row against the library: what is the default, what is taken, what is refused."""
    option, kind, _, default, values = cells
    got = library.get(s, level, option)
    if values == "write only":
        if got != "ENOPROTOOPT" or library.set(s, level, option, b"topic") == got:
            yield "it is not write only"
        return
    shown = {"the handle": str(s).encode(), "NULL": bytes(8)}.get(default)
    if default and shown is None:
        shown = int(default).to_bytes(4, sys.byteorder, signed=True)
    if isinstance(got, str) or default and got != shown:
        shown = got if isinstance(got, str) else int.from_bytes(got, sys.byteorder, signed=True)
        yield f"the default is {shown}"
    if values == "read only":
        if library.set(s, level, option, 1) != "ENOPROTOOPT":
            yield "it is not read only"
    elif kind == "int":
        low, high = limits(values)
        for value in {low, high}:
            if library.set(s, level, option, value):
                yield f"it cannot be {value}"
        for value in {low - 1, high + 1}:
            if INT_MIN <= value <= INT_MAX and library.set(s, level, option, value) != "EINVAL":
                yield f"it can be {value}"
    elif kind == "string":
        most = limits(values)[1]
        if library.set(s, level, option, b"a" * most) or \
                library.set(s, level, option, b"a" * (most + 1)) != "EINVAL":
            yield f"the longest value does not have {most} bytes"


def limits(values):
    if values == "any":
        return INT_MIN, INT_MAX
    low, high = re.fullmatch(r"(-?\w+) (?:to|or) (\w+)", values).groups()
    number = [int(word, 8) if re.match("0.", word) else int(word)
              for word in (low, high) if word != "more"]
    return number[0], number[-1] if high != "more" else INT_MAX


def wrong_defaults(pages, rows):
    """Where running text says a default, it is that of the table."""
    for page in pages.values():
        for name, number, unit in re.findall(
                r"\bDv (\w+)(?:(?!\. |Dv ).)*?(\d+)(?: (MiB|\w+))?(?:(?!\. |Dv ).)*? unless set",
                page.text()):
            defaults = {row[4] for row in rows.get(name, set()) if row[4] != "the handle"}
            if defaults and str(int(number) * (2**20 if unit == "MiB" else 1)) not in defaults:
                yield f"{page.file}: the default of {name} is {min(defaults)}, not {number} {unit}"


# What is chosen when there is no choice by number, and what is there for other systems.
NO_NUMBERS = re.compile(r"NN_WS_MSG_TYPE|NN_IPC_\w+|NN_\w+FD|NN_DOMAIN|NN_PROTOCOL|SPMSG_\w+")


def wrong_headers(file, rows):
    """The headers name the same defaults, of every option that has a number for one."""
    folder = pathlib.Path(__file__).resolve().parent.parent / "include/nanomsg"
    text = "".join(header.read_text() for header in sorted(folder.glob("*.h")))
    said = {name: number for comment, name in
            re.findall(r"/\*\*((?:(?!\*/).)*)\*/\n#define (\w+)", text, re.DOTALL)
            for number in re.findall(r";\s+(?:\* )?(-?\d+)\s+(?:\* )?unless\s+(?:\* )?set", comment)}
    for name, found in sorted(rows.items()):
        default = {row[4] for row in found}.pop()
        if re.fullmatch(r"-?\d+", default) and not NO_NUMBERS.fullmatch(name) and \
                said.get(name) != default:
            yield f"{name}: its default is {default}, and the header says {said.get(name)}"
