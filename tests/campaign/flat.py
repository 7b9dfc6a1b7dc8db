"""Many runs in a row, in one process or one process each: a run gives back whatever it takes, so nothing grows.

`scripts/dev/campaign flat N [--as-processes] [--csv FILE] [--html FILE]`; exit 0 all flat, 1 something grew or was
wrong.
"""

import argparse
import contextlib
import csv
import ctypes
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.campaign.mark import mark, marked
from tests.commanded import ROOT, environment

RUN = (
    *("run", "upper", "--testbed", "netns", "--until", "proof", "--format", "json"),
    *("--tcp-rmem", "4096 8192 8192", "--tcp-wmem", "4096 8192 8192", "--send-size", "1024"),
)
"""Buffers that fill at once, and messages that cause no other stall."""

PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000

WARM = 10
"""Not counted: the first runs import, and fill the caches of the allocator."""
RSS_KIB_A_RUN = 4.0
"""How much memory may grow in each run of the second half: a page. The first half fills caches, which are limited."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What there was after a run: in this process if all runs are in it, else in all marked processes together."""

    run: int
    outcome: str
    seconds: float
    fds: int
    namespaces: int
    rss_kib: int
    """Of this process; the peak of the run's own process, if each has one."""
    threads: int
    children: int
    mounts: int


COUNTED = ("fds", "namespaces", "threads", "children", "mounts")


def in_one_process(runs: int) -> Iterator[Reading]:
    """The command line, called as a library."""
    from lab.cli import app

    said = io.StringIO()  # one for all runs: click keeps every stream that it has written to

    def play(folder: Path) -> tuple[str, int]:
        said.seek(0)
        said.truncate()
        with contextlib.redirect_stdout(said):
            app.main([*RUN, "--runs", str(folder)], prog_name="lab", standalone_mode=False)
        return str(json.loads(said.getvalue())["outcome"]), resident_kib(os.getpid())

    return _in_a_row(runs, play)


def as_processes(runs: int) -> Iterator[Reading]:
    def play(folder: Path) -> tuple[str, int]:
        started = subprocess.Popen(
            [sys.executable, "-m", "lab", *RUN, "--runs", str(folder)],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert started.stdout is not None
        assert started.stderr is not None
        with started.stdout as out, started.stderr as err:
            said, complaint = out.read(), err.read()
        _, _, usage = os.wait4(started.pid, 0)
        started.returncode = 0
        return str(json.loads(said)["outcome"]) if said else complaint.decode().strip(), usage.ru_maxrss

    return _in_a_row(runs, play)


def _in_a_row(runs: int, play: Callable[[Path], tuple[str, int]]) -> Iterator[Reading]:
    mark()
    # We adopt a process that outlives its run, and it stays as a zombie: an init may reap it before it is seen.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for run in range(1, runs + 1):
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="zero-window-campaign-") as folder:
            outcome, rss_kib = play(Path(folder))
        yield _reading(run, outcome, time.monotonic() - began, rss_kib)


def _reading(run: int, outcome: str, seconds: float, rss_kib: int) -> Reading:
    children = list(marked())
    return Reading(
        run=run,
        outcome=outcome,
        seconds=round(seconds, 3),
        fds=len(os.listdir("/proc/self/fd")),
        namespaces=len(set().union(*(namespaces_of(pid) for pid in (os.getpid(), *children)))),
        rss_kib=rss_kib,
        threads=len(os.listdir("/proc/self/task")),
        children=len(children),
        mounts=sum(1 for line in Path("/proc/self/mountinfo").read_text().splitlines() if "docker" not in line),
    )


def namespaces_of(pid: int) -> set[str]:
    """The network namespaces that a process is in or holds, such as net:[4026531840]."""
    found = set()
    with contextlib.suppress(OSError):
        found.add(os.readlink(f"/proc/{pid}/ns/net"))
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    return {name for name in found if name.startswith("net:[")}


def resident_kib(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def slope(values: Sequence[float]) -> float:
    """The slope of the least-squares line, in units per run."""
    middle = (len(values) - 1) / 2
    mean = sum(values) / len(values)
    return sum((x - middle) * (y - mean) for x, y in enumerate(values)) / sum(
        (x - middle) ** 2 for x in range(len(values))
    )


def complaints(readings: Sequence[Reading]) -> Iterator[str]:
    """What was wrong, or grew."""
    for reading in readings:
        if reading.outcome != "deadlock":
            yield f"run {reading.run}: {reading.outcome}, expected deadlock"
    warm = readings[min(WARM, len(readings) // 2) :]
    for name in COUNTED:
        values = {getattr(reading, name) for reading in warm}
        if len(values) > 1:
            yield f"{name}: between {min(values)} and {max(values)}, not the same after every run"
    grown = slope([reading.rss_kib for reading in readings[len(readings) // 2 :]]) if len(readings) >= 200 else 0
    if grown > RSS_KIB_A_RUN:
        yield f"memory: grows by {grown:.1f} KiB a run"


def at_least_one(text: str) -> int:
    """A number of runs: a campaign of none would find no difference."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is no number of runs: 1 or more")
    return number


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="campaign flat", description="Plays many runs in a row; does anything grow?")
    parser.add_argument("runs", type=at_least_one, metavar="N")
    parser.add_argument("--as-processes", action="store_true", help="a process each, instead of all in one")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="a line a run")
    parser.add_argument("--html", type=Path, metavar="FILE", help="the curves")
    options = parser.parse_args(argv)
    readings: list[Reading] = []
    _take_mounts_of_our_own()
    with contextlib.suppress(KeyboardInterrupt):  # what there is by then is reported
        for reading in (as_processes if options.as_processes else in_one_process)(options.runs):
            readings.append(reading)
            if reading.run % 50 == 0:
                print(f"{reading.run} runs: {reading}", file=sys.stderr, flush=True)
    if options.csv:
        with options.csv.open("w", newline="") as stream:
            rows = csv.DictWriter(stream, list(asdict(readings[0])))
            rows.writeheader()
            rows.writerows(map(asdict, readings))
    if options.html:
        options.html.write_text(page(readings))
    found = list(complaints(readings))
    for name in (*COUNTED, "rss_kib"):
        values = [getattr(reading, name) for reading in readings]
        print(f"{name:<10} first {values[0]}, last {values[-1]}, minimum {min(values)}, maximum {max(values)}")
    print("\n".join(found) or f"{len(readings)} runs, every one a deadlock: nothing grew")
    return 1 if found else 0


def _take_mounts_of_our_own() -> None:
    """Enter a mount namespace, so that only what our runs mount is counted (mount_namespaces(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "cannot take mounts of our own: needs root")


CURVES = (("fds", "descriptors"), ("namespaces", "network namespaces"), ("rss_kib", "memory, KiB"),
          ("threads", "threads"), ("children", "children"), ("mounts", "mounts"))  # fmt: skip
WIDTH, HEIGHT, MARGIN = 900, 130, 40


def page(readings: Sequence[Reading]) -> str:
    """The curves in one HTML file that needs nothing else."""
    drawn = "".join(_curve([getattr(reading, name) for reading in readings], title) for name, title in CURVES)
    style = "body{font:14px sans-serif} polyline{fill:none;stroke:#06c} text{font-size:12px}"
    title = f"{len(readings)} runs in a row"
    return f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{style}</style><h1>{title}</h1>{drawn}\n"


def _curve(values: Sequence[int], title: str) -> str:
    """From zero, so that flat looks flat."""
    top = max(*values, 1)
    across = (WIDTH - MARGIN) / max(len(values) - 1, 1)
    points = " ".join(f"{MARGIN + x * across:.1f},{HEIGHT - y * (HEIGHT - 20) / top:.1f}" for x, y in enumerate(values))
    return (
        f'<p>{title}: {values[0]:,} after the first run, {values[-1]:,} after the last</p><svg width="{WIDTH}" '
        f'height="{HEIGHT + 4}"><text x="0" y="24">{top:,}</text><text x="0" y="{HEIGHT}">0</text>'
        f'<polyline points="{points}"/></svg>'
    )
