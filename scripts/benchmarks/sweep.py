"""How fast a sweep plays, beside its anchors: one `lab run` after the other, and Mininet's bare start and stop.

`scripts/bench sweep [POINTS]` sweeps 100 and then POINTS (2000) squeezed points, each with a verdict of its own; then
20 times `lab run --until proof`, and 20 times a pair of hosts and a switch of Mininet that do nothing at all. It exits
1 if a row is missing or on the wrong side of the forecast. Mininet (Debian's package, installed if it is missing)
raises net.core and tcp buffer limits for good, so it is run with /proc/sys read-only, in a mount namespace of its own.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from lab.kernel.place.machine import available_memory
from lab.kernel.procfs import descendants

ROOT = Path(__file__).resolve().parent.parent.parent
LAB = str(ROOT / "scripts/lab")
SQUEEZED = "4096 8192 8192"
GRID = """
scenario = "{}"
payload = "1MiB"
tcp_rmem = "{}"
tcp_wmem = "{}"
repetitions = {}
"""
RUN = [LAB, "run", "upper", "--until", "proof", "--tcp-rmem", SQUEEZED, "--tcp-wmem", SQUEEZED, "--format", "json"]
BARE = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec mn --topo minimal --switch lxbr --controller none --test none"  # noqa: E501
TIMES = 20
LOOK_S = 1.0


def main(arguments: list[str]) -> int:
    points = int(arguments[0]) if arguments else 2000
    broken = 0
    print(f"{'what':34}{'a second':>10}{'each s':>9}{'peak MiB':>10}{'MiB more':>10}  what came of it", flush=True)
    for scenario in ("upper", "echo"):
        for number in (100, points):
            broken += _sweep(scenario, number)
    _line("lab run, one by one", TIMES, *_loop(RUN))
    _line("mn, a bare start and stop", TIMES, *_loop(_mininet()))
    return 1 if broken else 0


def _sweep(scenario: str, number: int) -> int:
    """Prints a line; how many rows are missing or wrong."""
    with tempfile.TemporaryDirectory() as folder:
        grid, out = Path(folder, "squeezed.toml"), Path(folder, "out")
        grid.write_text(GRID.format(scenario, SQUEEZED, SQUEEZED, number))
        free = available_memory()
        process = subprocess.Popen([LAB, "sweep", str(grid), "--out", str(out), "--format", "json"], stdout=-1)
        peak = more = 0
        while process.poll() is None:
            peak, more = max(peak, _resident(process.pid)), max(more, free - available_memory())
            time.sleep(LOOK_S)
        assert process.stdout is not None
        told = json.load(process.stdout)
        keys = [line["key"] for line in csv.DictReader((out / "points.csv").read_text().splitlines())]
    missing = number - len(set(keys)) + len(keys) - len(set(keys))
    bad: int = missing + told["failed"] + told["wrong"]
    outcomes = ", ".join(f"{each['points']} {each['outcome']} {each['grade'] or ''}".strip() for each in told["counts"])
    came = f"{outcomes}; {missing} missing, {told['failed']} failed, {told['wrong']} wrong"
    _line(f"sweep of {number}, {scenario}", number, told["seconds"], f"{peak >> 20:>10}{more >> 20:>10}  {came}")
    return bad


def _line(what: str, number: int, seconds: float, rest: str) -> None:
    print(f"{what:34}{number / seconds:10.1f}{seconds / number:9.3f}{rest}", flush=True)


def _resident(root: int) -> int:
    """Bytes of a process and all below it, what they share counted once (Pss of proc_pid_smaps_rollup(5))."""
    total = 0
    for pid in descendants(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    return total


def _loop(command: list[str]) -> tuple[float, str]:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as runs:
        for _ in range(TIMES):
            subprocess.run(command, check=True, capture_output=True, env=os.environ | {"LAB_RUNS": runs}, timeout=120)
    return time.monotonic() - began, f"{'-':>10}{'-':>10}  {TIMES} times"


def _mininet() -> list[str]:
    if shutil.which("mn") is None:
        packages = ["mininet", "bridge-utils"]
        install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages]
        subprocess.run(install, check=True, stdout=sys.stderr, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
    return ["unshare", "--mount", "sh", "-c", BARE]
