"""The display of a run that plays: on a terminal only, and cheap."""

import os
import pty
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import TextIO

import pytest

from lab.report.live import ProgressDisplay
from lab.spec import Pair
from tests.report.report_samples import evidence, snapshot
from tests.waiting import LIMIT_S


@contextmanager
def terminal() -> Iterator[tuple[bytearray, TextIO]]:
    """What a terminal was told so far, and the stream to it."""
    master, slave = pty.openpty()
    told = bytearray()
    reader = threading.Thread(target=_drain, args=(master, told))
    reader.start()
    try:
        with os.fdopen(slave, "w", encoding="utf-8") as stream:
            yield told, stream
            stream.flush()
    finally:
        reader.join(LIMIT_S)
        os.close(master)


def _drain(master: int, told: bytearray) -> None:
    while True:
        try:
            told += os.read(master, 65536)
        except OSError:  # EIO: the last holder of the other end is gone.
            return


@pytest.fixture(autouse=True)
def _terminal_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


def test_nothing_is_shown_where_nobody_watches(stream: StringIO) -> None:
    with ProgressDisplay(stream) as live:
        live.show(evidence())
    assert not stream.getvalue()


def test_a_dumb_terminal_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with terminal() as (told, stream), ProgressDisplay(stream) as live:
        live.show(evidence())
    assert not told


def test_counters_climb_and_then_are_still_for_a_time_that_grows() -> None:
    with terminal() as (told, stream), ProgressDisplay(stream) as live:
        live.show(evidence(snapshots=(snapshot(wrote_read=Pair((1000, 0), (0, 500)), milliseconds=10),)))
        for milliseconds in (100, 400, 700):
            live.show(evidence(snapshots=(snapshot(milliseconds=milliseconds),)))
    shown = told.decode()
    places = [shown.index(text) for text in ("moving", "1,000", "25,040", "still for 0.3 s", "still for 0.6 s")]
    assert places == sorted(places)


def test_a_byte_that_moves_ends_the_stillness() -> None:
    with terminal() as (told, stream), ProgressDisplay(stream) as live:
        for wrote, milliseconds in ((1, 100), (1, 400), (2, 500)):
            live.show(evidence(snapshots=(snapshot(wrote_read=Pair((wrote, 0), (0, 0)), milliseconds=milliseconds),)))
    shown = told.decode()
    assert shown.rindex("moving") > shown.rindex("still for")


def test_the_display_wipes_itself_and_gives_the_cursor_back() -> None:
    with terminal() as (told, stream), ProgressDisplay(stream) as live:
        live.show(evidence())
        live.close()
    drawn, wiped, cursor = (told.rindex(part) for part in (b"wrote", b"\x1b[2K", b"\x1b[?25h"))
    assert drawn < wiped
    assert drawn < cursor


def test_no_thread_is_started() -> None:
    with terminal() as (_, stream):
        before = threading.active_count()
        with ProgressDisplay(stream) as live:
            live.show(evidence())
            assert threading.active_count() == before
