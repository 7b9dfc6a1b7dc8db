"""Plays many points at once on this machine."""

from collections.abc import Callable, Iterable

from lab.sweep.grid import Point
from lab.sweep.playing import play
from lab.sweep.row import Row


def play_all(points: Iterable[Point], done: Callable[[Row], None]) -> None:
    """Call `done` with each row as it comes, in this thread; in no particular order."""
    for point in points:
        done(play(point))
