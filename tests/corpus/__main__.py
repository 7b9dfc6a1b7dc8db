"""Plays the corpus: `python -m tests.corpus [OPTION...] [NAME...]`; --help names the options.

Exit: 0; 1 on a false or a moved proof, a case that is not what it says, or too few proofs; 2 usage.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from fnmatch import fnmatch
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

from tests.corpus import matrix
from tests.corpus.case import SLOWER, Case
from tests.corpus.catalogue import all_cases
from tests.corpus.player import end_with_parent, played
from tests.corpus.trial import Ask, Trial, summary

JOBS_AGAIN = 4
JOBS = 5 * (os.cpu_count() or 1)
"""Cases side by side: a frozen pair costs nothing, and most of a case is waiting."""


def main(argv: Sequence[str]) -> int:
    parser = _parser()
    wishes = parser.parse_args(argv)
    cases = all_cases()
    for pattern in wishes.names:
        if not any(fnmatch(case.name, pattern) for case in cases):
            parser.error(f"there is no case '{pattern}'; --list names them")
    named = (case for case in cases if not wishes.names or any(fnmatch(case.name, p) for p in wishes.names))
    chosen = tuple(case for case in named if case.bare or not wishes.bare)
    if wishes.list:
        for case in chosen:
            print(f"{case.name:<30} {case.truth:<8} {case.summary}")
        return 0
    trials = _again(_play(chosen * wishes.times, wishes.jobs, wishes.ask), wishes.ask)
    failures = list(matrix.failures(trials))
    _tell(trials, failures)
    if wishes.json:
        counts = {rule: asdict(each) for rule, each in matrix.matrix(trials).items()}
        document = {"cases": list(map(summary, trials)), "matrix": counts, "failures": failures}
        Path(wishes.json).write_text(json.dumps(document, indent=1) + "\n")
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/dev/corpus", description="Plays cases with known truth.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases, or patterns such as 'proxy-*'; all if none")
    parser.add_argument("--times", type=int, default=1, metavar="N", help="play each so many times")
    parser.add_argument("--jobs", type=int, default=JOBS, metavar="N", help="cases side by side (default %(default)s)")
    parser.add_argument("--ask", choices=list(Ask), default=Ask.WATCH, type=Ask, help="how far to ask (default all)")
    parser.add_argument("--bare", action="store_true", help="only those that need no package's program and no Docker")
    parser.add_argument("--json", metavar="FILE", help="write all of it there too")
    parser.add_argument("--list", action="store_true", help="name the cases and play none")
    return parser


def _play(chosen: Sequence[Case], jobs: int, ask: Ask, start: Literal["fork", "spawn"] = "fork") -> list[Trial]:
    """Side by side, each in a process that plays one case at a time: what it starts is all its own."""
    longest_first = sorted(chosen, key=lambda case: -(case.ask_s + case.watch_s))
    pool = ProcessPoolExecutor(jobs, mp_context=get_context(start), initializer=end_with_parent)
    try:
        trials = list(pool.map(played, [case.name for case in longest_first], [ask] * len(chosen)))
    finally:
        pool.shutdown(cancel_futures=True)
    order = {case.name: index for index, case in enumerate(chosen)}
    return sorted(trials, key=lambda trial: order[trial.case.name])


def _again(trials: Sequence[Trial], ask: Ask) -> list[Trial]:
    """Those that came to nothing, as on a busy machine, once more: fewer at a time, and all that is late is later."""
    void = {trial.case.name for trial in trials if trial.came_to_nothing}
    os.environ[SLOWER] = "3"
    again = _play([case for case in all_cases() if case.name in void], JOBS_AGAIN, ask, start="spawn")
    seconds = {trial.case.name: trial for trial in again}
    return [replace(seconds[each.case.name], again=True) if each.came_to_nothing else each for each in trials]


def _tell(trials: Sequence[Trial], failures: Sequence[str]) -> None:
    for line in (*matrix.table(trials), "", *matrix.matrix_lines(trials)):
        print(line)
    for failure in failures:
        print(f"FAILED {failure}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
