"""Prints every report: its width, its characters and its numbers are the same everywhere, and texts are escaped."""

import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

from lab.report.escape import escaped, plain

__all__ = ["clock", "columns", "count", "cut", "duration", "figure", "plain", "several", "show", "uncut"]

MOST_COLUMNS = 99

_ASCII = str.maketrans("─│┌┐└┘╭╮╰╯━▶◀╳█░", "-|++++++++=><X#.")  # noqa: RUF001


def show(pieces: Iterable[RenderableType], stream: TextIO | None = None, width: int | None = None) -> None:
    """Print on `stream` (standard output): no colour unless it is a terminal, no line ends in blanks.

    A stream that cannot encode box characters gets the drawings in ASCII.
    """
    stream = sys.stdout if stream is None else stream
    console = Console(file=stream, width=width or columns(), highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        for piece in pieces:
            # console.print ignores the `no_wrap` of a Text that it prints.
            uncut = isinstance(piece, Text) and piece.no_wrap
            console.print(_Guarded(piece), crop=False, no_wrap=uncut, overflow="ignore" if uncut else None)
    lines = [line.rstrip(" ") for line in captured.get().split("\n")]
    stream.write(_encodable("\n".join(lines), stream.encoding or "utf-8"))


@dataclass(frozen=True, slots=True)
class _Guarded:
    """A piece whose texts are escaped once more after layout: the last guard, if a `plain` was forgotten."""

    piece: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.piece, options):
            yield Segment(escaped(segment.text, keep="\n"), segment.style)


def columns() -> int:
    """The width of the terminal, or of COLUMNS, but always under 100."""
    return min(MOST_COLUMNS, shutil.get_terminal_size((MOST_COLUMNS, 24)).columns)


def cut(text: str) -> str:
    """One line under 100 columns. What is cut off must stand elsewhere."""
    return text if len(text) <= MOST_COLUMNS else f"{text[: MOST_COLUMNS - 4]} ..."


def uncut(text: str, style: str = "") -> Text:
    """A line to copy, such as a path: never wrapped, however narrow the terminal."""
    return Text(escaped(text), style, no_wrap=True, overflow="ignore")


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
