"""The text of `lab limits`: the published table of buffers beside what was measured; also in Markdown."""

from collections.abc import Iterator, Sequence
from typing import Protocol, TextIO

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from lab.report import page
from lab.report.escape import plain


class ShownLimit(Protocol):
    """One published claim, and what was measured; None: not measured."""

    @property
    def claim(self) -> str: ...
    @property
    def published(self) -> str | None: ...
    @property
    def measured(self) -> str | None: ...
    @property
    def holds(self) -> bool | None: ...
    @property
    def why(self) -> str: ...
    @property
    def scope(self) -> str: ...


WORDS = {True: ("yes", "green"), False: ("no", "bold red"), None: ("?", "yellow")}


def show(limits: Sequence[ShownLimit], stream: TextIO | None = None, width: int | None = None) -> None:
    page.show(_pieces(limits), stream, width)


def markdown(limits: Sequence[ShownLimit]) -> str:
    lines = ["| claim | published | measured here | true here | scope | why |", "|---|---|---|---|---|---|"]
    for limit in limits:
        cells = (
            limit.claim,
            limit.published or "",
            limit.measured or "",
            WORDS[limit.holds][0],
            limit.scope,
            limit.why,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _pieces(limits: Sequence[ShownLimit]) -> Iterator[RenderableType]:
    counted = {holds: sum(limit.holds is holds for limit in limits) for holds in WORDS}
    unseen = f", {counted[None]} could not be measured" if counted[None] else ""
    yield Text(f"{counted[True]} of {len(limits)} claims hold on this kernel, {counted[False]} do not{unseen}", "bold")
    for limit in limits:
        word, style = WORDS[limit.holds]
        yield Text("")
        yield Text.assemble((f"{word:5}", style), (limit.claim, "bold"), (f"  ({limit.scope})", "dim"))
        published = "" if limit.published is None else f"published {limit.published}, "
        yield Padding(Text(f"{published}measured {limit.measured or 'nothing'}"), (0, 0, 0, 5))
        yield Padding(Text(plain(limit.why), "dim"), (0, 0, 0, 5))
