#!/usr/bin/env python3
"""Takes the picture of spmsg-top beside programs that talk.

    spmsg-top.py --top PATH --nanocat PATH --browser chromium PICTURE.png
"""

import argparse
import html
import os
import shutil
import subprocess
import tempfile

PAGE = """<!DOCTYPE html><meta charset="utf-8"><style>
body {{ margin: 0; background: #1e1e1e; color: #ddd }}
pre {{ margin: 16px 8px 16px 16px; font: 14px/18.8px "DejaVu Sans Mono", monospace }}
i {{ color: #8ae234; font-style: normal }}
b {{ background: #ddd; color: #1e1e1e; font-weight: normal }}
</style><pre><i>$ spmsg-top -p</i>
{head}
<b>{names}</b>
{rows}</pre>
"""

# What each is called, and what it does. Addresses are relative, so that no machine shows in them.
PROGRAMS = [
    ("feed", "--pub", "--bind", "tcp://127.0.0.1:45679", "--socket-name", "prices",
     "--data", "gold 1830.20", "--interval", "0.001"),
    ("monitor", "--sub", "--connect", "tcp://127.0.0.1:45679", "--socket-name", "gold",
     "--subscribe", "gold"),
    ("worker", "--pull", "--bind", "ipc://jobs", "--socket-name", "jobs"),
    ("planner", "--push", "--connect", "ipc://jobs", "--data", "job " * 500,
     "--interval", "0.002"),
]


def start(options, name, *words):
    # The kernel tells the name of the file that was run.
    shutil.copy(options.nanocat, name)
    return subprocess.Popen([f"./{name}", *words], stdout=subprocess.DEVNULL,
                            env={**os.environ, "SPMSG_STATS": "1"})


def seen(options, processes):
    words = [word for process in processes for word in ("--process", str(process.pid))]
    return subprocess.run([options.top, "-p", "-n", "1", *words], check=True, text=True,
                          capture_output=True).stdout.splitlines()


def main():
    parser = argparse.ArgumentParser()
    for name in ("top", "nanocat"):
        parser.add_argument(f"--{name}", required=True, type=os.path.abspath)
    parser.add_argument("--browser", default="chromium")
    parser.add_argument("picture", type=os.path.abspath)
    options = parser.parse_args()
    processes = []
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        try:
            processes += [start(options, *program) for program in PROGRAMS]
            head, names, *rows = seen(options, processes)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        rows = html.escape("\n".join(rows))
        with open("page.html", "w", encoding="utf-8") as page:
            page.write(PAGE.format(head=head, names=html.escape(names), rows=rows))
        subprocess.run([options.browser, "--headless", "--no-sandbox", "--disable-gpu",
                        "--hide-scrollbars", "--window-size=960,330",
                        f"--screenshot={options.picture}", "page.html"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.chdir("/")


if __name__ == "__main__":
    main()
