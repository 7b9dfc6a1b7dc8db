"""The text of `lab remedies`: every remedy side by side; also as a table in Markdown."""

from collections.abc import Iterator, Sequence
from typing import TextIO

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lab.forecast import Forecast
from lab.remedy import Effect
from lab.remedy.trial import RemedyResult, Trial, relative_speed
from lab.report import page
from lab.report.conclusion import colour
from lab.report.escape import plain
from lab.spec import Outcome
from lab.verdict import Account

COLOURS = {
    Effect.CURES: "bold green",
    Effect.MOVES: "bold yellow",
    Effect.ABORTS: "bold yellow",
    Effect.HIDES: "bold red",
}
HEADINGS = ("remedy", "class", "outcome", "bytes", "time", "speed", "zero windows")
MEMORY = ("client's memory", "server's memory")
PLACES = ("client Send-Q", "server Recv-Q", "server's program", "server Send-Q", "client Recv-Q")
NOTES = (
    "class: cures = completes at any payload, moves = freezes later, aborts = an error instead, hides = frozen all the "
    "same. speed: of the fastest that completes. zero windows: the client's, the server's. memory: the most that a "
    "program grew by. The five queues: bytes under way at the instant when there were most of them."
)


def show(
    name: str, trial: Trial, forecast: Forecast, tried: Sequence[RemedyResult], stream: TextIO | None = None
) -> None:
    """Prints the tables; `trial` is the run without a remedy."""
    page.show(_pieces(name, trial, forecast, tried), stream)


def markdown(name: str, trial: Trial, forecast: Forecast, tried: Sequence[RemedyResult]) -> str:
    """One table in Markdown, below a line about the run without a remedy."""
    headings = (*HEADINGS, *MEMORY, *PLACES, "what had to change")
    rows = [(*_row(each, tried), *_held(each), each.remedy.changes) for each in tried]
    lines = [_without(name, trial, forecast), ""]
    lines += [_line(headings), _line(["---"] * len(headings)), *(_line(row) for row in rows)]
    return "\n".join([*lines, "", NOTES, *(["", *differences] if (differences := _differences(tried)) else [])])


def _pieces(name: str, trial: Trial, forecast: Forecast, tried: Sequence[RemedyResult]) -> Iterator[RenderableType]:
    yield Text(_without(name, trial, forecast), colour(trial.outcome))
    for difference in _differences(tried):
        yield Text(plain(difference), "bold red")
    yield Text("")
    yield from _table(tried)
    yield Text("")
    yield from _where(tried)
    yield _changes(tried)
    yield Text("")
    yield Padding(Text(NOTES, "dim"), (0, 0, 0, 1))


def _without(name: str, trial: Trial, forecast: Forecast) -> str:
    number = trial.fullest.client_accepted if trial.outcome is Outcome.DEADLOCK else trial.payload
    preposition = "after" if trial.outcome is Outcome.DEADLOCK else "with"
    high = page.count(forecast.client_accepted.high)
    return f"{name} without a remedy: {trial.outcome} {preposition} {page.count(number)} bytes (at most {high} fit)"


def _differences(tried: Sequence[RemedyResult]) -> list[str]:
    return [
        f"NOT AS EXPECTED: {each.remedy.name} {each.effect or 'is undecided'}, and was expected to: "
        f"{each.remedy.expected}" + (f" ({'; '.join(each.last.errors)})" if each.last.errors else "")
        for each in tried
        if each.effect is not each.remedy.expected
    ]


def _table(tried: Sequence[RemedyResult]) -> list[Text]:
    rows: list[Sequence[str | Text]] = [HEADINGS]
    for each in tried:
        name, effect, *rest = _row(each, tried)
        style = COLOURS[each.effect] if each.effect else "bold red"
        rows.append((name, Text(effect, style), *rest))
    return page.aligned(rows, right=range(3, len(HEADINGS)))


def _row(each: RemedyResult, tried: Sequence[RemedyResult]) -> tuple[str, ...]:
    """The cells of `HEADINGS`."""
    last, speed = each.last, relative_speed(each, tried)
    return (
        each.remedy.name,
        each.effect or "?",
        last.outcome,
        size(last.payload),
        page.duration(last.seconds),
        "-" if speed is None else f"{speed:.0%}" if speed >= 0.1 else f"{speed:.1%}",
        ", ".join(page.figure(number) for number in last.zero_windows),
    )


def _where(tried: Sequence[RemedyResult]) -> Iterator[Text]:
    """Two tables: one would be wider than a terminal, and no figure is cut."""
    for heading, parts, names in (("bytes kept where", PLACES_HELD, PLACES), ("memory", MEMORY_HELD, MEMORY)):
        above, below = zip(*(name.split() for name in names), strict=True)
        rows = [("", *above), (heading, *below), *((each.remedy.name, *_held(each)[parts]) for each in tried)]
        yield from page.aligned(rows, right=range(1, len(names) + 1), headings=2)
        yield Text("")


MEMORY_HELD, PLACES_HELD = slice(len(MEMORY)), slice(len(MEMORY), None)
"""Of what `_held` returns."""


def _held(each: RemedyResult) -> tuple[str, ...]:
    """The cells of MEMORY and PLACES."""
    places = _places(each.last.fullest)
    return (*(size(grown) for grown in each.last.memory), *(page.figure(part) for part in places))


def _changes(tried: Sequence[RemedyResult]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("what had to change", no_wrap=True)
    table.add_column("", ratio=1)
    for each in tried:
        text = Text(each.remedy.changes)
        if each.last.errors and each.last.frozen:
            text.append(f"; the {each.last.frozen[0]} is still frozen", "yellow")
        elif moved := _moved(each):
            text.append(f"; {moved}", "yellow")
        table.add_row(each.remedy.name, text)
    return table


def _moved(each: RemedyResult) -> str | None:
    if each.effect is not Effect.MOVES:
        return None
    through, after = each.trials[0].payload, each.last.fullest.client_accepted
    return f"{size(through)} go through, and now it freezes after {size(after)}"


def _places(account: Account) -> tuple[int | None, ...]:
    return (
        account.client_send_queue,
        account.server_receive_queue,
        account.in_hand,
        account.server_send_queue,
        account.client_receive_queue,
    )


def size(number: int | None) -> str:
    """Three digits and a binary unit: 40.0 KiB."""
    if number is None:
        return "?"
    value, unit = float(number), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{number:,} B" if unit == "B" else f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
