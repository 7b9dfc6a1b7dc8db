"""The text of `lab list`: what can be played, where, and what cures it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lab.report import page

Entries = Sequence[Mapping[str, str]]
"""Each has `name` and `summary`, a scenario also `expected`: as in the JSON of `lab list`."""


def show(
    scenarios: Entries, remedies: Entries, testbeds: Entries, *, stream: TextIO | None = None, width: int | None = None
) -> None:
    page.show(_pieces({"scenarios": scenarios, "remedies": remedies, "testbeds": testbeds}), stream, width)


def _pieces(kinds: Mapping[str, Entries]) -> Iterator[RenderableType]:
    """One table for all, so that the summaries are aligned."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(ratio=1)
    for kind, entries in kinds.items():
        table.add_row(Text(kind, "bold"), "" if entries else "none in this version")
        for each in entries:
            table.add_row(Text(f"  {each['name']}", "cyan"), _summary(each))
        table.add_row("", "")
    yield table
    yield Text("lab run SCENARIO --testbed TESTBED plays one; lab run alone plays upper where it can.", "dim")


def _summary(entry: Mapping[str, str]) -> Text:
    text = Text(entry["summary"])
    if expected := entry.get("expected"):
        text.append(f" -> {expected}", "bold")
    return text
