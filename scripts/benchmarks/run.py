"""How long a whole `lab run` takes, beside the anchor: importing the libraries that it cannot do without."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SQUEEZED = ["--tcp-rmem", "4096 8192 8192", "--tcp-wmem", "4096 8192 8192"]
ANCHOR = [sys.executable, "-I", "-c", "import click, msgspec, pyroute2, rich.console, scapy.arch.linux"]
CASES = {
    "upper": [],
    "upper, squeezed": SQUEEZED,
    "echo": ["echo"],
    "upper, to the verdict": ["--until", "proof"],
    "upper, squeezed, to the verdict": ["--until", "proof", *SQUEEZED],
}


def main(arguments: list[str]) -> int:
    """`scripts/bench run [TIMES]`: the median of TIMES (20) runs of each case; 1 if a verdict was wrong."""
    times = int(arguments[0]) if arguments else 20
    anchor = statistics.median(_seconds(ANCHOR)[0] for _ in range(times))
    print(f"{'case':34}{'median s':>10}{'least':>8}{'most':>8}{'x anchor':>10}  verdicts")
    print(f"{'anchor: importing the libraries':34}{anchor:10.2f}{'':16}{1.0:10.1f}")
    wrong = 0
    for name, flags in CASES.items():
        runs = [_seconds([str(ROOT / "scripts/lab"), "run", "--format", "json", *flags]) for _ in range(times)]
        taken = [seconds for seconds, _ in runs]
        verdicts = {_verdict(output) for _, output in runs}
        wrong += any(not verdict.startswith("deadlock") for verdict in verdicts)
        median = statistics.median(taken)
        figures = f"{median:10.2f}{min(taken):8.2f}{max(taken):8.2f}{median / anchor:10.1f}"
        print(f"{name:34}{figures}  {', '.join(sorted(verdicts))}", flush=True)
    return 1 if wrong else 0


def _seconds(command: list[str]) -> tuple[float, str]:
    began = time.perf_counter()
    output = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
    return time.perf_counter() - began, output


def _verdict(output: str) -> str:
    verdict = json.loads(output)
    return f"{verdict['outcome']} {verdict['grade']}"
