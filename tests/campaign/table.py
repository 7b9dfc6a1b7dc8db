"""The results of a campaign: one line for each fault and testbed, and every difference in full."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from tests.campaign.trial import NO_RUN, Trial

HEAD = ("fault", "testbed", "runs", "injected", "exit codes", "judged", "removed", "differences")


def lines(trials: Sequence[Trial]) -> Iterator[str]:
    rows = [HEAD, *_rows(trials)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for number, row in enumerate(rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        if number == 0:
            yield "─" * (sum(widths) + 2 * len(widths) - 2)
    for trial in trials:
        for difference in trial.differences:
            which = f"seed {trial.seed}, {trial.fault} on {trial.ground} at {trial.instant_s} s of {trial.play}"
            yield f"DIFFERENCE {which}: exit {trial.code}, {trial.said!r}: {difference}"
    wrong = sum(1 for trial in trials if trial.differences)
    injected = sum(1 for trial in trials if trial.injected)
    yield f"{len(trials)} runs, {injected} of them fault-injected: {wrong} with a difference"


def _rows(trials: Sequence[Trial]) -> Iterator[tuple[str, ...]]:
    for fault, ground in sorted({(trial.fault, trial.ground) for trial in trials}):
        mine = [trial for trial in trials if (trial.fault, trial.ground) == (fault, ground)]
        yield (
            fault,
            ground,
            str(len(mine)),
            str(sum(1 for trial in mine if trial.injected)),
            _counted(trial.code for trial in mine),
            f"{sum(1 for trial in mine if _is_verdict(trial))} of {sum(1 for trial in mine if trial.judged != NO_RUN)}",
            str(sum(trial.removed for trial in mine)),
            str(sum(len(trial.differences) for trial in mine)),
        )


def _is_verdict(trial: Trial) -> bool:
    return " " not in trial.judged and bool(trial.judged)


def _counted(codes: Iterable[int]) -> str:
    return ", ".join(f"{code} x{count}" for code, count in sorted(Counter(codes).items()))


def document(trials: Sequence[Trial]) -> dict[str, Any]:
    return {"trials": [asdict(trial) for trial in trials]}
