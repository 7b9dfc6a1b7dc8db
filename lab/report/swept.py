"""The text of `lab sweep`: its result."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from lab.report import page
from lab.report.escape import plain


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """How many points came to the same outcome and grade."""

    outcome: str
    grade: str | None
    points: int


@dataclass(frozen=True, slots=True)
class Swept:
    """All points of a table, with those of earlier sweeps into it."""

    points: int
    counts: tuple[OutcomeCount, ...]
    failed: int
    """Points without an outcome."""
    first_failure: str | None
    wrong: int
    """Points whose outcome the forecast excludes."""
    files: tuple[str, ...]


def show(swept: Swept, played: int, seconds: float) -> None:
    """`played` points took `seconds`; the others were there already."""
    page.show(_lines(swept, played, seconds))


def _lines(swept: Swept, played: int, seconds: float) -> Sequence[Text]:
    rate = f" in {seconds:.1f} s, {played / seconds:.1f} a second" if played and seconds > 0 else ""
    there = f", {swept.points - played:,} were there already" if swept.points > played else ""
    lines = [Text(f"{played:,} points played{rate}{there}", "bold"), Text()]
    for each in swept.counts:
        grade = f" ({each.grade})" if each.grade else ""
        lines.append(Text(f" {each.points:9,}  {each.outcome}{grade}"))
    if swept.failed:
        why = plain(swept.first_failure or "")
        lines.append(Text(f" {swept.failed:9,}  failed, and are played again by --resume; the first: {why}", "red"))
    lines += [
        Text(),
        Text(f" {swept.wrong:9,}  on the wrong side of the forecast", "red" if swept.wrong else ""),
        Text(),
    ]
    return [*lines, *(page.uncut(f" {plain(path)}") for path in swept.files)]
