"""How far something has come that takes more than a second: a bar on standard error, if that is a terminal."""

import os
import sys
import time
from typing import TYPE_CHECKING, TextIO

from lab.report.escape import plain

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE_S = 1.0
"""What is done by then shows no bar."""


class ProgressBar:
    """Wiped at the end. `show` draws it: a thread that did would not survive a fork."""

    def __init__(self, stream: TextIO | None = None, patience_s: float = PATIENCE_S) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._shows = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._from_s = time.monotonic() + patience_s
        self._progress: Progress | None = None

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, done: float, total: float, text: str) -> None:
        if not self._shows or time.monotonic() < self._from_s:
            return
        if self._progress is None:
            self._progress = self._started()
        self._progress.update(self._progress.task_ids[0], completed=done, total=total, description=plain(text))
        self._progress.refresh()

    def _started(self) -> "Progress":
        from rich.console import Console  # noqa: PLC0415 - 50 ms, which only a person at a terminal pays
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeRemainingColumn(),
        )
        console = Console(file=self._stream, highlight=False, markup=False, emoji=False)
        # What is printed on standard output meanwhile may go to a file, and is none of the bar's business.
        progress = Progress(*columns, console=console, auto_refresh=False, transient=True, redirect_stdout=False)
        progress.add_task("")
        progress.start()
        return progress
