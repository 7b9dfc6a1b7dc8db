"""The text of `lab doctor`: what works here, what does not, and what to do about it."""

from collections.abc import Iterator, Sequence
from typing import Protocol, TextIO

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lab.report import page
from lab.report.escape import plain


class ShownCheck(Protocol):
    """The answer to one question about this machine; `remedy` says what to do, and may be set for a good answer too."""

    @property
    def name(self) -> str: ...
    @property
    def ok(self) -> bool: ...
    @property
    def found(self) -> str: ...
    @property
    def remedy(self) -> str | None: ...


def show(
    checks: Sequence[ShownCheck], *, may_run: bool, stream: TextIO | None = None, width: int | None = None
) -> None:
    """`may_run`: whether `lab run` works here, whatever else does not."""
    page.show(_pieces(checks, may_run), stream, width)


def _pieces(checks: Sequence[ShownCheck], may_run: bool) -> Iterator[RenderableType]:
    bad, many = sum(not check.ok for check in checks), page.several(len(checks), "check")
    works, colour = ("lab run works here", "yellow") if may_run else ("lab run cannot work here", "bold red")
    if bad:
        yield Text(f"{works}; {bad} of {many} found something: see what to do below each", colour)
    else:
        yield Text(f"{works}: all {many} are well", "bold green")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for check in checks:
        mark = Text(" ok", "green") if check.ok else Text(" no", colour)
        table.add_row(mark, Text(check.name, "" if check.ok else "bold"), _found(check))
    yield table


def _found(check: ShownCheck) -> Text:
    """What was found, and on a line of its own what to do about it."""
    text = Text(plain(check.found))
    if check.remedy and not check.ok:
        text.append(f"\n{plain(check.remedy)}", "yellow")
    return text
