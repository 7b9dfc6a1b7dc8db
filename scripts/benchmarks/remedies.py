"""Whether every remedy is worth what it says, again and again, and the same on every testbed.

`scripts/bench remedies [ROUNDS] [TESTBED...]` plays all remedies on both scenarios ROUNDS times (5) on each testbed
(netns, and one round on compose, which takes about six minutes). It exits 1 if a class was not as expected.
"""

import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from lab import comparison
from lab.cli.options import RunOptions

ONCE = frozenset({"compose"})


def main(arguments: list[str]) -> int:
    rounds = int(arguments[0]) if arguments else 5
    wrong = 0
    for testbed in arguments[1:] or ("netns", "compose"):
        for scenario in ("upper", "echo"):
            wrong += _compared(scenario, testbed, 1 if testbed in ONCE else rounds)
    print(f"{wrong} classes were not as expected")
    return 1 if wrong else 0


def _compared(scenario: str, testbed: str, rounds: int) -> int:
    """Print how often each class was found; how many were not as expected."""
    began, found, speeds = time.monotonic(), Counter[tuple[str, str]](), dict[str, list[float]]()
    wrong = 0
    for _ in range(rounds):
        without = comparison.plain(comparison.bounded(RunOptions(scenario=scenario).spec(testbed)))
        for tried in comparison.compared(without):
            found[tried.remedy.name, tried.effect or f"undecided ({tried.last.outcome})"] += 1
            speeds.setdefault(tried.remedy.name, []).append(tried.last.bytes_per_s or 0.0)
            wrong += tried.effect is not tried.remedy.expected
    print(f"\n{scenario} on {testbed}, {rounds} rounds, {time.monotonic() - began:.0f} s")
    for (name, effect), count in sorted(found.items()):
        slowest, fastest = min(speeds[name]) / 1e6, max(speeds[name]) / 1e6
        print(f"  {name:20}{effect:10}{count} of {rounds}   {slowest:6.1f} to {fastest:6.1f} MB/s", flush=True)
    return wrong
