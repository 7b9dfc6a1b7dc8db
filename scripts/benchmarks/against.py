"""What the lab costs here, beside another checkout of it: the same command in both, in turns, by the CPU time of both.

The first of a pair is the other checkout's and this one's by turns: what warms up, or another program on the machine,
then weighs on both alike. Less than 5 % dearer is none the worse; the quartiles of the ratio tell how sure that is.
"""

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent.parent
SQUEEZED = ["--tcp-rmem", "4096 8192 8192", "--tcp-wmem", "4096 8192 8192"]
POLLS = "polls"
"""`scripts/bench watch`, 1000 pairs: it prints what a poll costs."""
GRID = """
scenario = "upper"
payload = "1MiB"
tcp_rmem = "4096 8192 8192"
tcp_wmem = "4096 8192 8192"
repetitions = 100
"""
CASES = {
    "upper": ["run", "--format", "json"],
    "squeezed": ["run", "--format", "json", *SQUEEZED],
    "echo": ["run", "echo", "--format", "json"],
    "proof": ["run", "--format", "json", "--until", "proof"],
    "proof-squeezed": ["run", "--format", "json", "--until", "proof", *SQUEEZED],
    "forecast": ["forecast"],
    "help": ["run", "--help"],
    "judge": ["judge", str(ROOT / "tests/captures/six-freezes.pcap.gz")],
    POLLS: [],
    "sweep": ["sweep", "{folder}/grid.toml", "--out", "{folder}/out", "--format", "json"],
}
WORSE = 1.05


@dataclass(frozen=True, slots=True)
class Cost:
    cpu_s: float
    wall_s: float


def main(arguments: list[str]) -> int:
    """`scripts/bench against PATH [PAIRS [CASE...]]`: 15 pairs of all cases; 1 if a median ratio is above 1.05."""
    if not arguments or not Path(arguments[0], "scripts/lab").exists():
        print(f"against: usage: scripts/bench against PATH [PAIRS [{'|'.join(CASES)}...]]", file=sys.stderr)
        return 2
    other = Path(arguments[0]).resolve()
    pairs = int(arguments[1]) if len(arguments) > 1 else 15
    print(
        f"{'CPU s of both, in turns':24}{'before':>10}{'now':>10}{'ratio':>8}{'quartiles':>15}{'wall':>8}", flush=True
    )
    return max([_compared(name, other, pairs) for name in arguments[2:] or CASES])


def _compared(name: str, other: Path, pairs: int) -> int:
    """Prints a line; 1 if this checkout is dearer."""
    before: list[Cost] = []
    now: list[Cost] = []
    _cost(name, other), _cost(name, ROOT)
    for number in range(pairs):
        turns = [(other, before), (ROOT, now)]
        for checkout, costs in turns if number % 2 else reversed(turns):
            costs.append(_cost(name, checkout))
    ratios = [mine.cpu_s / theirs.cpu_s for theirs, mine in zip(before, now, strict=True)]
    walls = [mine.wall_s / theirs.wall_s for theirs, mine in zip(before, now, strict=True)]
    low, ratio, high = statistics.quantiles(ratios, n=4, method="inclusive")
    medians = [statistics.median(each.cpu_s for each in costs) for costs in (before, now)]
    figures = f"{medians[0]:10.4f}{medians[1]:10.4f}{ratio:8.3f}{f'{low:.3f}-{high:.3f}':>15}"
    print(f"{name:24}{figures}{statistics.median(walls):8.3f}", flush=True)
    return int(ratio > WORSE)


def _cost(name: str, checkout: Path) -> Cost:
    if name == POLLS:
        return _poll_cost(checkout)
    with TemporaryDirectory() as folder:
        Path(folder, "grid.toml").write_text(GRID)
        words = [word.format(folder=folder) if "{folder}" in word else word for word in CASES[name]]
        environment = os.environ | {"LAB_RUNS": folder}
        began = time.monotonic()
        process = subprocess.Popen(
            [str(checkout / "scripts/lab"), *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=checkout,
            env=environment,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.monotonic() - began
    assert process.returncode in (0, 1), f"{name} in {checkout}: exit {process.returncode}"
    return Cost(usage.ru_utime + usage.ru_stime, wall_s)


def _poll_cost(checkout: Path) -> Cost:
    """Seconds of a poll of 1000 pairs, as the checkout's own `scripts/bench watch` prints them."""
    command = [str(checkout / "scripts/bench"), "watch", "1000", "3", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=checkout) as process:
        assert process.stdout is not None
        line = next(each for each in process.stdout if each.startswith("lab watch"))
        process.terminate()  # the rest measures something else
    return Cost(float(line.split()[-1]) / 1000, 1.0)
