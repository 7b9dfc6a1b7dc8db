"""Many verdicts in one table, frozen pairs first: the text of `lab judge`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lab.report import page
from lab.report.conclusion import colour
from lab.report.reasons import all_words
from lab.spec import Grade, Outcome, Pair
from lab.verdict import Verdict
from lab.wire.stalls import Judged as Story

FoundVerdict = tuple[str | None, Verdict]
"""Where a connection was found (None: open on this machine), and its verdict."""

URGENCY = (
    Outcome.DEADLOCK,
    Outcome.READ_READ,
    Outcome.LIVELOCK,
    Outcome.ONE_SIDED_STALL,
    Outcome.BLACKHOLE,
    Outcome.SUSPENDED,
    Outcome.INCONCLUSIVE,
    Outcome.ABORTED,
)
"""The outcomes that a reader looks for first; the others follow in order of arrival."""

MOST_STALLED, MOST_HEALTHY, MOST_STORIES = 100, 20, 10
"""How many connections are shown: of each urgent outcome, of all others together, and in detail."""

WIRESHARK = "; Wireshark calls"
"""The part of a note from here on is for readers of Wireshark."""

LEGEND = Text("zero windows and probes: the client's, the server's", "dim")


class VerdictPage:
    """Collects connections as they come, keeps as many as a reader can take in, and prints them at the end."""

    def __init__(self, stream: TextIO | None = None, width: int | None = None) -> None:
        self._stream, self._width = stream, width
        self._counts: Counter[Outcome] = Counter()
        self._kept: list[FoundVerdict] = []
        self._stories: list[tuple[str, Story]] = []

    def add(self, path: str | None, verdict: Verdict, story: Story | None) -> None:
        self._counts[verdict.outcome] += 1
        if verdict.outcome in URGENCY:
            keeps = self._counts[verdict.outcome] <= MOST_STALLED
        else:
            keeps = sum(count for outcome, count in self._counts.items() if outcome not in URGENCY) <= MOST_HEALTHY
        if keeps:
            self._kept.append((path, verdict))
            if story is not None and story.ended is not None and len(self._stories) < MOST_STORIES:
                self._stories.append((path or "", story))

    def close(self, errors: Sequence[tuple[str, str]]) -> None:
        page.show(self._pieces(errors), self._stream, self._width)

    def _pieces(self, errors: Sequence[tuple[str, str]]) -> Iterator[RenderableType]:
        unproven = sum(verdict.grade is Grade.CONSISTENT for _, verdict in self._kept)
        yield conclusion(self._counts, unproven, len(errors))
        if self._kept:
            yield _table(sorted(self._kept, key=_urgency))
            yield LEGEND
        left_out = self._counts.total() - len(self._kept)
        if left_out:
            yield Text(f"and {page.several(left_out, 'connection')} more: --format json lists all", "dim")
        for path, story in sorted(self._stories, key=lambda each: _urgency((each[0], each[1].verdict))):
            yield from _story(path, story)
        yield from _errors(errors)


def _errors(errors: Sequence[tuple[str, str]]) -> Iterator[Text]:
    for path, message in errors:
        # Most messages begin with their path.
        line = message if message.startswith(path) else f"{path}: {message}"
        yield Text.assemble(("not judged: ", "bold red"), page.plain(line))


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


def _story(path: str, story: Story) -> Iterator[Text]:
    """When the stall began and how it ended, its frames, and what is not known."""
    verdict = story.verdict
    since = "" if story.since_ns is None else f" since {page.clock(story.since_ns)}"
    until = "" if story.until_ns is None else f" until {page.clock(story.until_ns)}"
    yield Text.assemble(
        "\n",
        (f"{verdict.client} and {verdict.server}: {verdict.outcome}", colour(verdict.outcome)),
        f" ({page.plain(_near(path))}){since}{until}, {story.ended}",
    )
    for note in story.evidence:
        yield Text(f"  frame {note.frame:<8,} {note.says.partition(WIRESHARK)[0]}")
    for leg in story.chain:
        yield Text(f"  chain          {leg}")
    for missing in all_words(verdict.missing):
        yield Text(f"  not known      {missing}", "yellow")


def _urgency(judged: FoundVerdict) -> int:
    return rank(judged[1].outcome)


def rank(outcome: Outcome) -> int:
    return URGENCY.index(outcome) if outcome in URGENCY else len(URGENCY)


def _table(verdicts: Sequence[FoundVerdict]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
    table.add_column("path", overflow="fold")
    table.add_column("client\nserver", no_wrap=True)
    table.add_column("outcome\ngrade", no_wrap=True)
    table.add_column("age", justify="right")
    table.add_column("zero\nwindows", justify="right")
    table.add_column("probes", justify="right")
    for path, verdict in verdicts:
        table.add_row(
            "" if path is None else page.plain(_near(path)),
            f"{verdict.client or '?'}\n{verdict.server or '?'}",
            Text(f"{verdict.outcome}\n{verdict.grade or ''}", colour(verdict.outcome)),
            page.duration(verdict.age_s) if verdict.age_s is not None and verdict.outcome in URGENCY else "",
            _both(verdict.wire.zero_windows),
            _both(verdict.wire.probes),
        )
    return table


def _near(path: str) -> str:
    """The path relative to the working directory, if it lies below."""
    place, here = Path(path), Path.cwd()
    return str(place.relative_to(here)) if place.is_absolute() and place.is_relative_to(here) else path


def _both(numbers: Pair[int | None]) -> str:
    return ", ".join(page.figure(number) for number in numbers)
