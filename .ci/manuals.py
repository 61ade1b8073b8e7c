#!/usr/bin/env python3
"""Checks that the manual pages in doc/man say what the headers and the library say.

    .ci/manuals.py [DIRECTORY]    with the library there; target/release unless given

Each function, constant, structure, error and option has its place on a page, and nothing else has:
prototypes and structures are those of the headers, errors those of the headers' comments and of
doc/spec, values, defaults and limits those that the library itself shows. References lead to pages
that exist, every page renders without a warning, and every example compiles, runs and prints what
the page says. The pages are mdoc(7); comments in them say what the display or table below them is:

    program NAME       a C program; the display after the comment `output` is what it prints
    program that does not end NAME
    shell              commands, run where the page's programs are
    struct             structures, as in the header
    options LEVEL TYPE a table of options, for a socket of that type
"""

import errno
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

from manual_options import wrong_options
from manual_page import Page

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = ROOT / "doc/man"
HEADERS = sorted(ROOT.glob("include/*/*.h"))
LIBRARY = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/release").resolve()
SECONDS_MAX = 20
# Of what stands in a display, five columns from the left on a terminal of 80.
COLUMNS_MAX = 73
# Between two columns of a table.
COLUMN_GAP = 3
# What encloses all the rest of its line.
ENCLOSING = set("Bq Dq Pq Ql".split())
MACROS_LIKE_WORDS = set("An At Do In No".split())

# Pages for what no header has a name of its own for.
GENERAL = ["nanocat.1", "nanomsg.7", "nn_env.7", "spmsg-top.1", "spmsg.7",
           "spmsg_tls.7", "with-spmsg.1"]
# Functions whose page has another name, because it is about several.
PAGE_OF = {"nn_cmsg_nxthdr_": "nn_cmsg"}
# Pages of others that ours may refer to.
FOREIGN = set("""
    bind(2) close(2) execve(2) fork(2) listen(2) poll(2) shutdown(2) socket(2) umask(2)
    socketpair(2)
    dlsym(3) errno(3) exit(3) free(3) memcpy(3) pthread_cancel(3) sd_listen_fds(3) siglongjmp(3) strerror(3)
    environ(7) tcp(7) unix(7)
    """.split())
# Constants of others.
SYSTEM = set("NULL POLLIN RLIMIT_NOFILE SA_RESTART SIGPIPE TCP_NODELAY".split())
# What a header defines and no reader needs.
UNSAID = r"\w+_H_INCLUDED|\w+_EXPORT|NN_EISCONN_DEFINED|NN_CMSG_ALIGN_|E(?!TERM$|FSM$)[A-Z]+"
# Errors that neither the header's comment nor section 6 of doc/spec/abi.md names: core 6.3 has the
# first, abi 6.1 the second, for whatever needs a descriptor.
MORE_ERRORS = {"nn_getsockopt": {"EINVAL", "EMFILE"}}


def squeezed(code):
    """C without what does not matter: comments, and blanks but between words."""
    code = re.sub(r"/\*.*?\*/", " ", code, flags=re.DOTALL)
    return re.sub(r"\s*([^\w\s])\s*", r"\1", " ".join(code.split()))


class Interface:
    """What the headers declare."""

    def __init__(self):
        self.functions, self.comments, self.structures = {}, {}, {}
        self.macros, self.constants, self.home = {}, [], {}
        for header in HEADERS:
            self.read(header)
        self.values = constants_compiled([name for name in self.constants
                                          if not re.fullmatch(UNSAID + "|NN_MSG", name)])

    def read(self, header):
        include = f"{header.parent.name}/{header.name}"
        text = header.read_text()
        declared = r"/\*\*((?:(?!\*/).)*)\*/\s*\w+_EXPORT\s+([^;#]*?\b(\w+)\s*\([^;]*\));"
        for comment, prototype, name in re.findall(declared, text, re.DOTALL):
            self.functions[name] = squeezed(prototype)
            self.comments[name] = " ".join(comment.replace("*", " ").split())
            self.home[name] = include
        for name, body in re.findall(r"^struct (\w+) (\{.*?^\});", text, re.DOTALL | re.MULTILINE):
            self.structures[name] = squeezed(body)
        for name, parameters in re.findall(r"^#define (\w+)\(([^)]*)\)", text, re.MULTILINE):
            self.macros[name] = re.findall(r"\w+", parameters)
        self.constants += re.findall(r"^#define (\w+) ", text, re.MULTILINE)


def constants_compiled(names):
    lines = [f"#include <{header.parent.name}/{header.name}>" for header in HEADERS]
    lines += ["#include <stdio.h>", "int main(void) {"]
    lines += [f'printf("{name} %lld\\n", (long long)({name}));' for name in names]
    lines += ["return 0; }"]
    with tempfile.TemporaryDirectory() as place:
        source, program = pathlib.Path(place, "values.c"), pathlib.Path(place, "values")
        source.write_text("\n".join(lines) + "\n")
        subprocess.run(["cc", f"-I{ROOT}/include", source, "-o", program], check=True)
        said = subprocess.run([program], check=True, text=True, capture_output=True).stdout
    return {name: int(value) for name, value in (line.split() for line in said.splitlines())}


def check_names(pages, interface):
    """Every page is what its file says, and everything public has one."""
    for page in pages.values():
        titles = [arguments for _, macro, arguments in page.macros if macro == "Dt"]
        if titles != [[page.name.upper(), page.section]]:
            yield f"{page.file}: .Dt does not name this page"
        named = page.marked("Nm", "NAME")
        if PAGE_OF.get(page.name, page.name) not in named and not named[-1].startswith(page.name):
            yield f"{page.file}: NAME does not name this page"
        for part in ["SYNOPSIS", "DESCRIPTION", "SEE ALSO"] + [
                part for part in ("THREADS AND SIGNALS", "LIBRARY", "EXAMPLES")
                if page.section == "3"]:
            if part not in [heading for heading, macro, _ in page.macros if macro == "Sh"]:
                yield f"{page.file}: it has no section {part}"
    wanted = {f"{PAGE_OF.get(name, name)}.3" for name in interface.functions}
    wanted |= {f"nn_{header.stem}.7" for header in HEADERS if header.stem not in ("nn", "spmsg")}
    wanted |= set(GENERAL)
    for name in sorted(wanted - set(pages)):
        yield f"{name}: there is no such page"
    for name in sorted(name for name in set(pages) - wanted if pages[name].section != "1"):
        yield f"{name}: it is about nothing that a header has"


def check_prototypes(pages, interface):
    shown = {}
    for page in pages.values():
        includes, result, open_function = [], "", None
        for heading, macro, arguments in page.macros:
            if heading != "SYNOPSIS":
                continue
            if macro == "In":
                includes += arguments
            elif macro == "Ft":
                result = " ".join(arguments)
            elif macro == "Fn":
                shown[arguments[0]] = (page, includes, result, arguments[1:])
            elif macro == "Fo":
                open_function = (arguments[0], [])
            elif macro == "Fa":
                open_function[1].append(" ".join(arguments))
            elif macro == "Fc":
                shown[open_function[0]] = (page, includes, result, open_function[1])
        for include in includes:
            if not (ROOT / "include" / include).exists():
                yield f"{page.file}: there is no header <{include}>"
    for name, prototype in interface.functions.items():
        if name not in shown:
            yield f"{name}: no SYNOPSIS shows it"
            continue
        page, includes, result, parameters = shown.pop(name)
        if squeezed(f"{result} {name}({', '.join(parameters)})") != prototype:
            yield f"{page.file}: {name} is declared as {prototype}"
        if interface.home[name] not in includes:
            yield f"{page.file}: {name} is declared by <{interface.home[name]}>"
        if page.name != PAGE_OF.get(name, name):
            yield f"{page.file}: {name} has a page of its own"
    for name, (page, _, _, parameters) in shown.items():
        words = [re.findall(r"\w+", parameter)[-1] for parameter in parameters]
        if interface.macros.get(name) != words:
            yield f"{page.file}: no header has {name}({', '.join(words)})"


def check_structures(pages, interface):
    shown = set()
    for page in pages.values():
        for said, text in page.displays:
            for name, body in re.findall(r"^struct (\w+) (\{.*?^\});", text, re.DOTALL | re.M):
                shown.add(name)
                if said == "struct" and squeezed(body) != interface.structures.get(name):
                    yield f"{page.file}: struct {name} is another one in the header"
    for name in sorted(set(interface.structures) - shown):
        yield f"struct {name}: no page shows it"


def check_constants(pages, interface):
    """What is marked as a constant is one, every constant is somewhere, and numbers are right."""
    known = set(interface.constants) | set(interface.macros) | SYSTEM
    said = set()
    for page in pages.values():
        names = [word for word in page.marked("Dv") if re.search("[A-Z]", word)]
        names += [word for word in page.marked("Nm", "NAME") if word.startswith("NN_")]
        said |= set(names) | set(page.marked("Er"))
        for name in sorted(set(names) - known):
            yield f"{page.file}: no header has a constant {name}"
        for name, value in re.findall(r"\.(?:It )?Dv (\w+) \.?Pq (-?\d+)\b", page.text()):
            if interface.values.get(name, value) != int(value):
                yield f"{page.file}: {name} is {interface.values.get(name)}, not {value}"
        for name in sorted(set(page.marked("Er"))):
            if not (hasattr(errno, name) or name in ("ETERM", "EFSM")):
                yield f"{page.file}: there is no error {name}"
    for name in sorted((set(interface.constants) | set(interface.macros)) - said):
        if not re.fullmatch(UNSAID, name):
            yield f"{name}: no page names this constant"


def errors_in(text):
    text = re.sub(r"[Nn]ever (returns )?EINTR", "", text)
    return {word for word in re.findall(r"\bE[A-Z]{3,}\b", text)
            if hasattr(errno, word) or word in ("ETERM", "EFSM")}


def check_errors(pages, interface):
    """ERRORS has those of the header's comment, and no others than doc/spec knows."""
    sections = {}
    specified = (ROOT / "doc/spec/abi.md").read_text()
    for number, title, text in re.findall(r"^### (6\.\d+) (.*?)\n(.*?)(?=^##)", specified,
                                          re.DOTALL | re.MULTILINE):
        for name in re.findall(r"\b(nn_\w+) \(", title):
            sections[name] = sections[number] = text
    scarce = "\n".join(line for line in (ROOT / "doc/failures.md").read_text().splitlines()
                       if line.startswith("| memory, in"))
    for name, comment in interface.comments.items():
        page = pages.get(f"{PAGE_OF.get(name, name)}.3")
        if page is None:
            continue
        wanted = errors_in(comment) | ({"ENOMEM"} if f"`{name}`" in scarce else set())
        text = sections.get(name, "")
        for reference in re.findall(r"\b6\.\d+\b|nn_\w+msg\b", text):
            text += sections.get(reference, "")
        possible = wanted | errors_in(text) | MORE_ERRORS.get(name, set())
        said = set(page.marked("Er", "ERRORS"))
        for missing in sorted(wanted - said):
            yield f"{page.file}: ERRORS does not have {missing}"
        for wrong in sorted(said - possible):
            yield f"{page.file}: ERRORS has {wrong}, which doc/spec does not know"
        for _, macro, arguments in page.macros:
            if macro == "It" and arguments[:2] == ["Bq", "Er"] and len(arguments) != 3:
                yield f"{page.file}: one error an entry, please: {' '.join(arguments)}"


def check_references(pages, _):
    for page in pages.values():
        for _, macro, arguments in page.macros:
            for at, word in enumerate([macro, *arguments]):
                if word != "Xr":
                    continue
                name, section = arguments[at:at + 2]
                if f"{name}.{section}" not in pages and f"{name}({section})" not in FOREIGN:
                    yield f"{page.file}: {name}({section}) leads nowhere"


def check_rendering(pages, _):
    for page in pages.values():
        for line in "".join(text for _, text in page.displays).splitlines():
            if len(line) > COLUMNS_MAX:
                yield f"{page.file}: more than {COLUMNS_MAX} columns: {line}"
        for row in wide_rows(page.lines):
            yield f"{page.file}: wider than its columns: {row}"
        for _, macro, arguments in page.macros:
            if sum(word in ENCLOSING for word in [macro, *arguments]) > 1:
                yield f"{page.file}: quotes in quotes: {macro} {' '.join(arguments)}"
        for heading in (arguments for _, macro, arguments in page.macros if macro == "Ss"):
            if set(heading) & MACROS_LIKE_WORDS:
                yield f"{page.file}: a word is taken for a macro: {' '.join(heading)}"
        for command in (["mandoc", "-Tlint", "-Wstyle", page.path],
                        ["groff", "-mandoc", "-Tutf8", "-Kutf8", "-ww", "-z", page.path]):
            done = subprocess.run(command, text=True, capture_output=True, check=False)
            for line in (done.stdout + done.stderr).splitlines():
                # What is referred to need not be installed here; check_references looks.
                if not re.search(r"referenced manual not found|mandoc\.db", line):
                    yield f"{page.file}: {line}"


def wide_rows(lines):
    """Rows of tables with a cell, before the last, that reaches into the next one."""
    widths = []
    for line in lines:
        if line.startswith(".Bl"):
            widths = [len(width) for width in re.findall(r'"([^"]*)"', line)]
        elif line.startswith(".It ") and " Ta " in line:
            shown = re.sub(r"(Xr \S+) (\d)", r"\1(\2)", line[len(".It "):].replace("\\-", "-"))
            cells = re.sub(r"\b(?!Ta\b)[A-Z][a-z] ", "", shown).split(" Ta ")
            if any(len(cell) > width + COLUMN_GAP for cell, width in zip(cells[:-1], widths)):
                yield line


def check_options(pages, interface):
    return wrong_options(LIBRARY / "libspmsg.so", pages, interface)


def check_examples(pages, _):
    for page in pages.values():
        with tempfile.TemporaryDirectory() as place:
            yield from (f"{page.file}: {wrong}" for wrong in wrong_examples(page, place))


def wrong_examples(page, place):
    if page.section == "3" and not any(said.startswith("program") for said, _ in page.displays):
        yield "it has no program for an example"
    printed = None
    for said, text in [*page.displays, ("", "")]:
        if said == "output":
            if printed != text:
                yield f"an example prints {printed!r}, not {text!r}"
            printed = None
            continue
        if printed:
            yield f"an example prints {printed!r}, and the page does not say so"
        printed = None
        if said.startswith("program"):
            name = said.split()[-1]
            printed = run_program(text, place, name, "does not end" in said)
        elif said == "shell":
            printed = run(["sh", "-eu", "-c", text], place)
        elif said != "struct" and text:
            yield f"what is this display? {text!r}"


def run_program(text, place, name, endless):
    """What it prints. Its port becomes one that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    source, program = pathlib.Path(place, name), pathlib.Path(place, name).with_suffix("")
    source.write_text(text.replace("5555", port))
    failed = run(["cc", "-std=c99", "-D_XOPEN_SOURCE=700", "-pedantic", "-Wall", "-Wextra",
                  "-Werror", "-pthread", source, "-o", program, "-lspmsg"], place)
    if failed or endless:
        return failed
    return run([program], place).replace(port, "5555")


def run(command, place):
    environment = {**os.environ, "LC_ALL": "C", "CPATH": str(ROOT / "include"),
                   "LIBRARY_PATH": str(LIBRARY), "LD_LIBRARY_PATH": str(LIBRARY)}
    for name in ("NN_PRINT_ERRORS", "SPMSG_TRACE"):
        environment.pop(name, None)
    try:
        done = subprocess.run(command, cwd=place, env=environment, text=True, check=False,
                              capture_output=True, timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return f"(it did not end within {SECONDS_MAX} s)"
    return done.stdout + done.stderr + (f"(exit code {done.returncode})" * (done.returncode != 0))


def check_installation(pages, _):
    """Every page is installed, and a name for each function that shares one; those of the tools as
    if they were built."""
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["cmake", "-S", ROOT, "-B", f"{place}/build", "-DSPMSG_PREBUILT=NOTHING",
                        "-DCMAKE_INSTALL_PREFIX=/usr", "-DCMAKE_INSTALL_LIBDIR=lib"],
                       check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["cmake", "--install", f"{place}/build"], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, "DESTDIR": place})
        man = pathlib.Path(place, "usr/share/man")
        for file in [*pages, *(f"{name}.3" for name in PAGE_OF)]:
            if not (man / f"man{file[-1]}" / file).exists():
                yield f"{file}: it is not installed"


def main():
    for tool in ("cc", "cmake", "mandoc", "groff"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing here")
    pages = {path.name: Page(path) for path in sorted(PAGES.glob("*.[0-9]"))}
    interface = Interface()
    wrong = [said for check in (check_names, check_prototypes, check_structures, check_constants,
                                check_errors, check_references, check_rendering, check_options,
                                check_examples, check_installation)
             for said in check(pages, interface)]
    print("\n".join(wrong + [f"{len(pages)} pages, {len(wrong)} mistakes"]))
    return 1 if wrong or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
