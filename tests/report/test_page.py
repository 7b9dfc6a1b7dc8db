"""The paper of the reports: no byte of a stranger reaches the terminal as it is, and numbers read well."""

import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, StringIO, TextIOWrapper
from typing import TextIO

import pytest
from rich.text import Text

from lab.report import page


@contextmanager
def terminal() -> Iterator[tuple[int, TextIO]]:
    """The master's descriptor, and the slave as a stream."""
    master, slave = pty.openpty()
    try:
        with os.fdopen(slave, "w", encoding="utf-8") as stream:
            yield master, stream
    finally:
        os.close(master)


def test_markup_of_a_program_stays_text(stream: StringIO) -> None:
    page.show([Text("[bold red]not me[/] :smile: [link=x]")], stream)
    assert stream.getvalue() == "[bold red]not me[/] :smile: [link=x]\n"


def test_no_escape_sequence_where_there_is_no_terminal(stream: StringIO) -> None:
    page.show([Text("red", "bold red")], stream)
    assert stream.getvalue() == "red\n"


def test_colour_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    with terminal() as (master, stream):
        page.show([Text("red", "bold red")], stream)
        stream.flush()
        assert b"\x1b[1;31mred" in os.read(master, 1000)


def test_a_stream_of_ascii_gets_drawings_of_ascii() -> None:
    raw = BytesIO()
    stream = TextIOWrapper(raw, encoding="ascii")
    page.show([Text("┌─▶ größe")], stream)
    stream.flush()
    assert raw.getvalue() == b"+-> gr\\xf6\\xdfe\n"


def test_a_line_to_copy_is_never_broken(stream: StringIO) -> None:
    path = "/long/" * 40
    page.show([page.uncut(path), Text("word " * 40)], stream, width=40)
    first, *rest = stream.getvalue().splitlines()
    assert first == path
    assert len(rest) > 3


def test_the_cells_of_a_table_are_never_cut(stream: StringIO) -> None:
    rows: list[tuple[str | Text, str]] = [
        ("name", "bytes"),
        ("a" * 30, "1"),
        (Text("b", "red"), "16,442,012"),
        ("c", ""),
    ]
    page.show(page.aligned(rows, right={1}), stream, width=20)
    assert stream.getvalue().splitlines() == [
        f"name{' ' * 33}bytes", "─" * 42, f"{'a' * 30}{' ' * 11}1", f"b{' ' * 31}16,442,012", "c",
    ]  # fmt: skip


def test_the_page_is_under_100_columns_however_wide_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert page.columns() == 99
    monkeypatch.setenv("COLUMNS", "72")
    assert page.columns() == 72


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0.00 ms"), (0.00231, "2.31 ms"), (0.0163, "16.3 ms"), (0.552, "552 ms"), (1.1, "1.10 s"), (312.4, "312 s")],
)
def test_a_duration_has_three_digits_and_a_unit(seconds: float, shown: str) -> None:
    assert page.duration(seconds) == shown


def test_unknown_is_never_zero() -> None:
    assert page.count(None) == "not known"
    assert page.figure(None) == "?"
    assert page.count(0) == page.figure(0) == "0"
