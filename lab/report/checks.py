"""The text of `lab doctor`: what works here, what does not, and what to do about it."""

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Protocol, TextIO

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
    page.show(_pieces(checks, may_run, width or page.columns()), stream, width)


def _pieces(checks: Sequence[ShownCheck], may_run: bool, width: int) -> Iterator[Text]:
    bad, many = sum(not check.ok for check in checks), page.several(len(checks), "check")
    works, colour = ("lab run works here", "yellow") if may_run else ("lab run cannot work here", "bold red")
    if bad:
        yield Text(f"{works}; {bad} of {many} found something: see what to do below each", colour)
    else:
        yield Text(f"{works}: all {many} are well", "bold green")
    names = max((len(check.name) for check in checks), default=0)
    for check in checks:
        mark = Text(" ok  ", "green") if check.ok else Text(" no  ", colour)
        beside = Text.assemble(mark, (check.name.ljust(names + 2), "" if check.ok else "bold"))
        blank = Text(" " * beside.cell_len)
        for number, line in enumerate(_found(check, width - beside.cell_len)):
            whole = (blank if number else beside) + line
            whole.no_wrap, whole.overflow = True, "ignore"
            yield whole


def _found(check: ShownCheck, width: int) -> Iterator[Text]:
    """What was found, and below it what to do about it. A path is not broken, however long."""
    yield from (Text(line) for line in _wrapped(check.found, width))
    if check.remedy and not check.ok:
        yield from (Text(line, "yellow") for line in _wrapped(check.remedy, width))


def _wrapped(text: str, width: int) -> list[str]:
    return wrap(plain(text), max(width, 20), break_long_words=False, break_on_hyphens=False) or [""]
