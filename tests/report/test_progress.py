"""A bar on a terminal for what takes more than a second, and nothing anywhere else."""

import os
from io import StringIO

import pytest

from lab.report.progress import PATIENCE_S, ProgressBar
from tests.report.test_page import terminal


def test_it_draws_on_a_terminal_and_wipes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    with terminal() as (master, stream):
        with ProgressBar(stream, patience_s=0) as bar:
            bar.show(1, 4, "[bold]a\x1b[2J.pcap")
            bar.show(3, 4, "b.pcap")
        stream.flush()
        drawn = b""
        while not drawn.rstrip().endswith(b"\x1b[2K"):  # in the end the line is erased
            drawn += os.read(master, 100_000)
    said = drawn.decode()
    assert "25 %" in said
    assert "75 %" in said
    assert "[bold]a\\x1b[2J.pcap" in said


def test_what_is_quick_shows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert PATIENCE_S == 1
    with terminal() as (master, stream):
        with ProgressBar(stream, patience_s=1000) as bar:
            bar.show(1, 4, "a.pcap")
        os.write(stream.fileno(), b"end")
        assert os.read(master, 1000) == b"end"


@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_it_is_silent_where_nobody_watches(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    nobody = StringIO()
    with ProgressBar(nobody, patience_s=0) as bar:
        bar.show(1, 4, "a.pcap")
    assert nobody.getvalue() == ""


def test_a_dumb_terminal_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with terminal() as (master, stream):
        with ProgressBar(stream, patience_s=0) as bar:
            bar.show(1, 4, "a.pcap")
        os.write(stream.fileno(), b"end")
        assert os.read(master, 1000) == b"end"
