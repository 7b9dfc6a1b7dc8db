"""What the two published texts say, and what is true on this kernel: a table in Markdown, every row from a run.

`scripts/bench texts` plays the rows and measures the table of buffers; it takes about a minute. Exit 1 if a claim about
a freeze or a cure did not hold: the numbers may differ from kernel to kernel, these may not.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from lab import comparison, limits, remedy
from lab.cli.options import RunOptions
from lab.playing import play_and_judge
from lab.spec import Outcome
from lab.verdict import Verdict

PUBLISHED_CURES = ("alternate", "send-less", "threads", "bigger-buffers")


@dataclass(frozen=True, slots=True)
class Row:
    """One claim: what a text says, what was seen, whether it is true; None is a number that need not be the same."""

    says: str
    seen: str
    true: bool | None


def main(_arguments: list[str]) -> int:
    print("| what the texts say | what is true today, on this kernel | true |\n|---|---|---|")
    must = [_print(row) for rows in (_freezes(), _cures()) for row in rows]
    for row in _buffers():
        _print(row)
    return 1 if any(row.true is False for row in must) else 0


def _print(row: Row) -> Row:
    word = "other numbers" if row.true is None else "yes" if row.true else "**no**"
    print(f"| {row.says} | {row.seen} | {word} |", flush=True)
    return row


def _freezes() -> Iterator[Row]:
    few = _verdict(RunOptions(payload=32))
    says = "upper: with a small payload it works, and nobody notices"
    yield Row(says, f"32 bytes: {few.outcome}", few.outcome is Outcome.COMPLETED)
    other = _verdict(RunOptions(scenario="read-read"))
    says = "the other deadlock: both wait for the other's first byte"
    yield Row(says, f"{other.outcome}, all queues empty", other.outcome is Outcome.READ_READ)
    for name, says, accepted, processed in (
        ("upper", "upper: with 1 GiB client and server wait for each other forever", 1399600, 688032),
        ("echo", "echo: with 10 MiB both are stuck in send()", 164864, None),
    ):
        verdict = _verdict(RunOptions(scenario=name))
        seen = verdict.forecast.client_accepted
        grade = f"{verdict.outcome}, {verdict.grade}; TCP keeps it up, for every probe is answered"
        yield Row(says, grade, verdict.outcome is Outcome.DEADLOCK)
        client, server = verdict.account.client_accepted, verdict.account.server_processed
        told = f"{client:,} written, {server:,} read in this run; {seen.low:,} to {seen.high:,} are possible"
        numbers = f"{accepted:,} bytes written" + (f", {processed:,} read by the server" if processed else "")
        yield Row(f"{name}: {numbers} at the freeze", told, None)
        zero = verdict.wire.zero_windows
        yield Row(
            f"{name}: both sides advertise a window of zero",
            f"{zero.client} zero windows of the client, {zero.server} of the server",
            bool(zero.client and zero.server),
        )


def _cures() -> Iterator[Row]:
    for scenario in ("upper", "echo"):
        without = comparison.plain(comparison.bounded(RunOptions(scenario=scenario).spec("netns")))
        for tried in comparison.compared(without, PUBLISHED_CURES):
            first, last = tried.trials[0], tried.last
            told = f"{tried.effect}: {first.payload:,} bytes {first.outcome}, {last.payload:,} {last.outcome}"
            says = f"{scenario}: {remedy.find(tried.remedy.name).summary}"
            yield Row(says, told, tried.effect is tried.remedy.expected)


def _buffers() -> Iterator[Row]:
    for limit in limits.measured():
        if limit.published is not None:
            yield Row(limit.claim, f"{limit.measured}: {limit.why}", limit.holds)


def _verdict(options: RunOptions) -> Verdict:
    return play_and_judge(options.spec("netns")).verdict
