"""How every report is printed: its width, its characters, its numbers. Text of other programs is escaped."""

import shutil
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

from lab.report.escape import escaped

MAX_COLUMNS = 99

_ASCII = str.maketrans("─│┌┐└┘╭╮╰╯━▶◀╳█░", "-|++++++++=><X#.")  # noqa: RUF001


def show(pieces: Iterable[RenderableType], stream: TextIO | None = None, width: int | None = None) -> None:
    """Prints on `stream` (standard output): in colour only on a terminal, without blanks at the ends of lines.

    If the stream cannot encode box characters, drawings are in ASCII.
    """
    stream = sys.stdout if stream is None else stream
    console = Console(file=stream, width=width or columns(), highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        for piece in pieces:
            # A Text that is printed alone loses its own setting for wrapping.
            uncut = isinstance(piece, Text) and piece.no_wrap
            console.print(_Guarded(piece), crop=False, no_wrap=uncut, overflow="ignore" if uncut else None)
    lines = [line.rstrip(" ") for line in captured.get().split("\n")]
    stream.write(_encodable("\n".join(lines), stream.encoding or "utf-8"))


@dataclass(frozen=True, slots=True)
class _Guarded:
    """Escapes the text of a piece after its layout: the last guard, if a `plain` is missing."""

    piece: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.piece, options):
            yield Segment(escaped(segment.text, keep="\n"), segment.style)


def columns() -> int:
    """The width of the terminal, or COLUMNS, but always under 100."""
    return min(MAX_COLUMNS, shutil.get_terminal_size((MAX_COLUMNS, 24)).columns)


def near(path: Path) -> Path:
    """Relative to the working directory, if the path lies below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path


def cut(text: str) -> str:
    """Cut to one line. What is cut off must be shown elsewhere."""
    return text if len(text) <= MAX_COLUMNS else f"{text[: MAX_COLUMNS - 4]} ..."


def uncut(text: str, style: str = "") -> Text:
    """A line to copy, such as a path: never wrapped."""
    return Text(escaped(text), style, no_wrap=True, overflow="ignore")


def aligned(rows: Sequence[Sequence[str | Text]], right: Collection[int] = (), headings: int = 1) -> list[Text]:
    """A line a row, in columns two blanks apart; `right` are those that end together, such as figures.

    No cell is cut or broken: the lines are as wide as they must be. The first `headings` rows stand over a rule.
    """
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(*cells, strict=True)]
    lines = [_line(row, widths, right) for row in cells]
    rule = uncut("─" * (sum(widths) + 2 * len(widths) - 2))
    return [*lines[:headings], rule, *lines[headings:]]


def _line(row: Sequence[Text], widths: Sequence[int], right: Collection[int]) -> Text:
    line = Text(no_wrap=True, overflow="ignore")
    for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
        blanks = " " * (width - cell.cell_len)
        line.append("  " if number else "")
        line.append_text(Text(blanks) + cell if number in right else cell + Text(blanks))
    line.rstrip()
    return line


def count(number: int | None) -> str:
    return "not known" if number is None else f"{number:,}"


def figure(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def several(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Three digits and a unit: 0.31 ms, 12.5 ms, 1.04 s, 312 s."""
    value, unit = (seconds * 1000, "ms") if abs(seconds) < 1 else (seconds, "s")
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{digits}f} {unit}"


def clock(time_ns: int) -> str:
    """2026-11-28 10:00:00.123 UTC."""
    seconds, rest = divmod(time_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds % 2**33, UTC):%Y-%m-%d %H:%M:%S}.{rest // 10**6:03} UTC"


def _encodable(text: str, encoding: str) -> str:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
    return text
