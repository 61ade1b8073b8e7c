#!/usr/bin/env python3
"""Lists the licences of the crates that end up in the library, in nanocat and in what encrypts.

    packaging/licences.py           compares packaging/licences.md with what cargo tells
    packaging/licences.py --write   writes it
"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILE = ROOT / "packaging/licences.md"
# What may be linked into a program of any licence.
PERMISSIVE = {"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Unlicense", "Zlib", "0BSD",
              "Unicode-3.0", "Apache-2.0 WITH LLVM-exception", "BSL-1.0"}


def crates(*features):
    """Names and versions of what a build for Linux links."""
    said = subprocess.run(
        ["cargo", "tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}",
         "--target", "x86_64-unknown-linux-gnu", *features],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {tuple(line.split()[:2]) for line in said.splitlines() if line}


def licences():
    said = subprocess.run(["cargo", "metadata", "--locked", "--all-features", "--format-version",
                           "1"], cwd=ROOT,
                          check=True, capture_output=True, text=True).stdout
    return {(crate["name"], "v" + crate["version"]): crate["license"]
            for crate in json.loads(said)["packages"]}


def may_be_linked(licence):
    """Whether one of those that may be chosen suits everybody."""
    return any(all(part.strip(" ()") in PERMISSIVE for part in choice.split(" AND "))
               for choice in licence.replace("/", " OR ").split(" OR "))


def text():
    of = licences()
    lines = ["# Licences", "",
             "Written by `packaging/licences.py`: what a build for Linux links, and under which",
             "licence. spmsg itself is under MIT or Apache-2.0, as you like.", ""]
    library = crates()
    for title, found in [
            ("The library", library),
            ("nanocat besides", crates("--features", "nanocat") - library),
            ("libspmsg-tls, or the library with it inside",
             crates("--package", "spmsg-tls") - library)]:
        lines += [f"## {title}", "", "| crate | version | licence |", "| --- | --- | --- |"]
        for name, version in sorted(found):
            if name in ("spmsg", "spmsg-tls"):
                continue
            licence = of[name, version]
            if not may_be_linked(licence):
                sys.exit(f"{name} is under {licence}, which does not suit everybody")
            lines.append(f"| {name} | {version[1:]} | {licence} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main():
    if sys.argv[1:] == ["--write"]:
        FILE.write_text(text())
    elif FILE.read_text() != text():
        sys.exit("packaging/licences.md is not what cargo tells: packaging/licences.py --write")


if __name__ == "__main__":
    main()
