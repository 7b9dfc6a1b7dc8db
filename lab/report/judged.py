"""The text of `lab judge`: many verdicts in one table, those that froze first."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from rich.console import RenderableType
from rich.text import Text

from lab.report import page
from lab.report.conclusion import colour
from lab.report.escape import plain
from lab.report.reasons import all_words
from lab.spec import STALLS, Grade, Outcome, Pair
from lab.verdict import Verdict
from lab.wire.judge import PacketJudgement

FoundVerdict = tuple[str | None, Verdict]
"""The file or run in which a connection was found (None: alive on this machine), and its verdict."""

URGENCY = (*STALLS, Outcome.ABORTED)
"""What a reader looks for first; all other outcomes follow in the order of their connections."""

MAX_STALLED, MAX_HEALTHY, MAX_DETAILED = 100, 20, 10
"""Connections shown: of each outcome in URGENCY, of all other outcomes together, and in detail."""

WIRESHARK = "; Wireshark calls"
"""The rest of a note is for a reader of Wireshark, and is not shown."""

LEGEND = Text("zero windows and probes: the client's, the server's", "dim")


class VerdictPage:
    """Takes connections as they come, and keeps as many as a reader can use."""

    def __init__(self, stream: TextIO | None = None, width: int | None = None) -> None:
        self._stream, self._width = stream, width
        self._counts: Counter[Outcome] = Counter()
        self._kept: list[FoundVerdict] = []
        self._detailed: list[tuple[str, PacketJudgement]] = []

    def add(self, path: str | None, verdict: Verdict, found: PacketJudgement | None) -> None:
        self._counts[verdict.outcome] += 1
        if verdict.outcome in URGENCY:
            keeps = self._counts[verdict.outcome] <= MAX_STALLED
        else:
            keeps = sum(count for outcome, count in self._counts.items() if outcome not in URGENCY) <= MAX_HEALTHY
        if keeps:
            self._kept.append((path, verdict))
            if found is not None and found.ended is not None and len(self._detailed) < MAX_DETAILED:
                self._detailed.append((path or "", found))

    def close(self, errors: Sequence[tuple[str, str]]) -> None:
        page.show(self._pieces(errors), self._stream, self._width)

    def _pieces(self, errors: Sequence[tuple[str, str]]) -> Iterator[RenderableType]:
        unproven = sum(verdict.grade is Grade.CONSISTENT for _, verdict in self._kept)
        yield conclusion(self._counts, unproven, len(errors))
        if self._kept:
            yield from _table(sorted(self._kept, key=_urgency))
            yield LEGEND
        left_out = self._counts.total() - len(self._kept)
        if left_out:
            yield Text(f"and {page.several(left_out, 'connection')} more: --format json lists all", "dim")
        for path, found in sorted(self._detailed, key=lambda each: _urgency((each[0], each[1].verdict))):
            yield from _detail(path, found)
        yield from _errors(errors)


def _errors(errors: Sequence[tuple[str, str]]) -> Iterator[Text]:
    for path, message in errors:
        # Most messages begin with their path already.
        named = message if message.startswith(path) else f"{path}: {message}"
        yield Text.assemble(("not judged: ", "bold red"), plain(named))


def conclusion(counts: Counter[Outcome], unproven: int, errors: int) -> Text:
    counted = sorted(counts.items(), key=lambda each: rank(each[0]))
    parts = [f"{number:,} {outcome}" for outcome, number in counted]
    worst = counted[0][0] if counted else Outcome.COMPLETED
    text = Text(f"{page.several(counts.total(), 'connection')}{': ' if parts else ''}{', '.join(parts)}", colour(worst))
    if unproven:
        text.append(f" ({unproven:,} NOT PROVEN)")
    if errors:
        text.append(f"; {errors:,} not judged", "bold red")
    return text


def _detail(path: str, found: PacketJudgement) -> Iterator[Text]:
    """One connection in detail: since when it stalled, how that ended, on which frames, and what would settle it."""
    verdict = found.verdict
    since = "" if found.since_ns is None else f" since {page.clock(found.since_ns)}"
    until = "" if found.until_ns is None else f" until {page.clock(found.until_ns)}"
    yield Text.assemble(
        "\n",
        (f"{verdict.client} and {verdict.server}: {verdict.outcome}", colour(verdict.outcome)),
        f"{since}{until}, {found.ended}",
    )
    yield page.uncut(f"  file           {page.near(Path(path))}")
    for note in found.evidence:
        yield Text(f"  frame {note.frame:<8,} {note.says.partition(WIRESHARK)[0]}")
    for leg in found.chain:
        yield Text(f"  chain          {leg}")
    for missing in all_words(verdict.missing):
        yield Text(f"  not known      {missing}", "yellow")


def _urgency(judged: FoundVerdict) -> int:
    return rank(judged[1].outcome)


def rank(outcome: Outcome) -> int:
    return URGENCY.index(outcome) if outcome in URGENCY else len(URGENCY)


def _table(verdicts: Sequence[FoundVerdict]) -> Iterator[Text]:
    """Two lines a connection, below the path of its file; a path is said once for all that follow."""
    rows: list[tuple[str | Text, ...]] = [("client", "outcome", "age", "zero windows", "probes")]
    for _, verdict in verdicts:
        age = page.duration(verdict.age_s) if verdict.age_s is not None and verdict.outcome in URGENCY else ""
        windows, probes = _both(verdict.wire.zero_windows), _both(verdict.wire.probes)
        style = colour(verdict.outcome)
        rows.append((verdict.client or "?", Text(verdict.outcome, style), age, windows, probes))
        rows.append((verdict.server or "?", Text(verdict.grade or "", style), "", "", ""))
    heading, rule, *lines = page.aligned(rows, right={2, 3, 4})
    yield heading
    yield rule
    told = None
    for number, (path, _) in enumerate(verdicts):
        if path is not None and path != told:
            yield page.uncut(str(page.near(Path(path))), "bold")
        told = path
        yield from lines[2 * number : 2 * number + 2]


def _both(numbers: Pair[int | None]) -> str:
    return ", ".join(page.figure(number) for number in numbers)
