"""A run while it plays: the counters of both programs, and the windows. Silent if stderr is no terminal.

No thread draws it: a process with threads may not enter a user namespace. Each `show` draws once, in 1 ms.
"""

import os
import sys
from typing import TYPE_CHECKING, TextIO

from lab.evidence import Evidence, Snapshot
from lab.spec import Role

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

FRAMES = "|/-\\"
"""Of the spinner, in ASCII for every terminal."""
STILL_S = 0.1
"""A pair is shown as still after this time: of a pair that moves, two snapshots in a row may show the same bytes."""


class ProgressDisplay:
    """On `stream` (standard error), if that is a terminal; wiped at the end."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._display: Live | None = None
        self._shown = 0
        self._moved: object = None
        self._moved_ns = 0

    def __enter__(self) -> "ProgressDisplay":
        if self._stream.isatty() and os.environ.get("TERM") != "dumb":
            from rich.console import Console  # noqa: PLC0415 - 20 ms, which a run without a terminal does not pay
            from rich.live import Live  # noqa: PLC0415

            console = Console(file=self._stream, highlight=False, markup=False, emoji=False)
            self._display = Live(console=console, auto_refresh=False, transient=True)
            self._display.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self, evidence: Evidence) -> None:
        """Draws the last snapshot. To be called about ten times a second."""
        if self._display is None or not evidence.snapshots:
            return
        self._shown += 1
        self._display.update(self._drawn(evidence.snapshots[-1]), refresh=True)

    def close(self) -> None:
        """Wipes the display; the report takes its place."""
        if self._display is not None:
            self._display.stop()
            self._display = None

    def _drawn(self, snapshot: Snapshot) -> "Text":
        from rich.text import Text  # noqa: PLC0415

        still_s = self._still_s(snapshot)
        state, style = (f"still for {still_s:.1f} s", "red") if still_s >= STILL_S else ("moving", "green")
        text = Text.assemble((f" {FRAMES[self._shown % len(FRAMES)]} {state}", style), no_wrap=True, overflow="crop")
        for role in Role:
            text.append(f"\n   {role}  ", "bold").append(_counters(snapshot, role))
        return text

    def _still_s(self, snapshot: Snapshot) -> float:
        moved = [progress and (progress.sent, progress.received) for progress in snapshot.progress]
        if moved != self._moved:
            self._moved, self._moved_ns = moved, snapshot.time_ns
        return (snapshot.time_ns - self._moved_ns) / 1e9


def _counters(snapshot: Snapshot, role: Role) -> str:
    """What the program has written and read, and the window that its peer offers."""
    progress, socket = snapshot.progress[role], snapshot.sockets[role]
    wrote, read = (f"{progress.sent:,}", f"{progress.received:,}") if progress else ("?", "?")
    window = "?" if socket is None or socket.snd_wnd is None else f"{socket.snd_wnd:,}"
    return f"wrote {wrote:>13}   read {read:>13}   may send {window:>11}"
