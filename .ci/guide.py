#!/usr/bin/env python3
"""Holds doc/guide against the programs that it shows.

    .ci/guide.py [--write] [--build DIRECTORY]

A comment above a block of code says what it is:

    <!-- from FILE -->            the whole file
    <!-- from FILE: a, b -->      these functions of it, with the comments above them

and the block has to be just that; --write makes it so. Any other block of C is compiled, as the
inside of a function that knows a socket `s` and a `text`. A block of `sh` is run, all of a page in
one empty directory with the examples on the path, and what it prints is the block of `text` behind
it. A page may say what its commands take, as a file below DIRECTORY, and they are left out where
that was not built:

    <!-- needs FILE -->

Links lead to files and headings that exist, each chapter stands in SUMMARY.md, and where mdbook is
installed it makes a book of it. DIRECTORY, target/c-tests unless given, is where the examples were
built.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
GUIDE = ROOT / "doc/guide"
SECONDS_MAX = 30
BLOCK = re.compile(r"(?:^<!-- from (?P<source>[^\n:]+?)(?:: (?P<parts>[^\n]+?))? -->\n)?"
                   r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.M | re.S)
HEADERS = "bus inproc ipc nn pair pipeline pubsub reqrep survey tcp ws".split()
WRAPPING = "".join(f"#include <nanomsg/{name}.h>\n" for name in HEADERS) + """
#include <spmsg/spmsg.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
extern volatile int stopping;
extern int s;
extern char text[64];
int snippet%d(void);
int snippet%d(void)
{
%s
    return 0;
}
"""

complaints = []


def complain(page, text):
    complaints.append(f"{page.relative_to(ROOT)}: {text}")


def function_of(source, name):
    """The function of that name, with the comment above it."""
    lines = source.split("\n")
    head = re.compile(rf"^\w[^;=]*\b{name}\(")
    for at, line in enumerate(lines):
        if not head.match(line):
            continue
        end = at
        while lines[end] != "}":
            end += 1
        begin = at
        if at and lines[at - 1].endswith("*/"):
            begin -= 1
            while not lines[begin].startswith("/*"):
                begin -= 1
        return "\n".join(lines[begin:end + 1])
    raise KeyError(name)


def shown(block):
    """What the block has to be, from the file that it names."""
    source = (ROOT / block["source"]).read_text()
    if not block["parts"]:
        return source
    return "\n\n".join(function_of(source, name.strip())
                       for name in block["parts"].split(",")) + "\n"


def check_sources(page, text, write):
    def replace(block):
        if not block["source"]:
            return block[0]
        try:
            right = shown(block)
        except (OSError, KeyError) as error:
            complain(page, f"{block['source']} has no {error}")
            return block[0]
        if block["body"] != right and not write:
            complain(page, f"a block is not what {block['source']} has; --write mends it")
        head = block[0][:block.start("body") - block.start()]
        return head + right + "```"

    written = BLOCK.sub(replace, text)
    if write and written != text:
        page.write_text(written)
    return written


def compile_snippets(pages):
    """All at once, since each compilation reads the same headers."""
    program, owners = [], []
    for page, text in pages.items():
        for block in BLOCK.finditer(text):
            if block["language"] != "c" or block["source"]:
                continue
            number = len(owners)
            owners.append(page)
            program.append(WRAPPING % (number, number, block["body"]))
    # A snippet may leave unused what the next would use.
    result = subprocess.run(
        ["cc", "-std=c99", "-Wall", "-Wextra", "-Wno-unused", "-Werror", "-fsyntax-only", "-xc",
         "-D_GNU_SOURCE", f"-I{ROOT / 'include'}", "-"],
        input="\n".join(program), text=True, capture_output=True, check=False)
    if result.returncode:
        complaints.append("the snippets do not compile:\n" + result.stderr)
    return len(owners)


def run_shell(page, text, path, build):
    library = build / "lib/spmsg"
    for needed in re.findall(r"^<!-- needs (\S+) -->$", text, re.M):
        if not (build / needed).exists():
            print(f"{page.relative_to(ROOT)}: its commands are left out, for want of {needed}")
            return 0
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}",
                   "LD_LIBRARY_PATH": str(library)}
    blocks = list(BLOCK.finditer(text))
    count = 0
    with tempfile.TemporaryDirectory(prefix="spmsg-guide-") as directory:
        for block, following in zip(blocks, blocks[1:] + [None]):
            if block["language"] != "sh":
                continue
            count += 1
            if not following or following["language"] != "text":
                complain(page, f"nothing is said of what this prints:\n{block['body']}")
                continue
            try:
                result = subprocess.run(["bash", "-c", block["body"]], cwd=directory, text=True,
                                        env=environment, capture_output=True, check=False,
                                        stdin=subprocess.DEVNULL, timeout=SECONDS_MAX)
            except subprocess.TimeoutExpired:
                complain(page, f"this takes too long:\n{block['body']}")
                continue
            if result.stdout != following["body"]:
                complain(page, f"this prints\n{result.stdout}{result.stderr}\nwhich is not\n"
                               f"{following['body']}\n{block['body']}")
    return count


def anchors(text):
    """The headings of a page, as links name them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S),
                              re.M):
        found.add(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"))
    return found


def check_links(page, text):
    plain = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", plain):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists():
            complain(page, f"{target} leads nowhere")
        elif anchor and anchor not in anchors(file.read_text()):
            complain(page, f"{target}: there is no such heading")


def check_summary(pages):
    summary = (GUIDE / "SUMMARY.md").read_text()
    for page in pages:
        if page.name != "SUMMARY.md" and f"({page.name})" not in summary:
            complain(page, "SUMMARY.md does not have it")


def make_book():
    if not shutil.which("mdbook"):
        print("mdbook is not on this machine: no book is made")
        return
    result = subprocess.run(["mdbook", "build", str(GUIDE)], check=False)
    if result.returncode:
        complaints.append("mdbook cannot make a book of it")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "target/c-tests")
    options = parser.parse_args()
    build = options.build.resolve()
    pages = {}
    for page in sorted(GUIDE.glob("*.md")):
        pages[page] = check_sources(page, page.read_text(), options.write)
        check_links(page, pages[page])
    check_summary(pages)
    compiled = compile_snippets(pages)
    run = 0
    with tempfile.TemporaryDirectory(prefix="spmsg-guide-bin-") as path:
        for program in build.glob("examples-*"):
            os.symlink(program, f"{path}/{program.name.removeprefix('examples-')}")
        for page, text in pages.items():
            run += run_shell(page, text, path, build)
    make_book()
    for complaint in complaints:
        print(complaint)
    print(f"{len(pages)} pages, {compiled} snippets compiled, {run} blocks of commands run, "
          f"{len(complaints)} complaints")
    return len(complaints) > 0


if __name__ == "__main__":
    sys.exit(main())
