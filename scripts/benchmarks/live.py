"""What one look at a run costs the display of `lab run`, of a core, beside the anchor: rich, drawing two plain lines.

`lab run` shows ten looks a second, and must not take a tenth of the time from what it shows.
"""

import os
import pty
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from lab.cli.options import RunOptions
from lab.evidence import Evidence
from lab.playing import play_and_judge
from lab.report.live import ProgressDisplay

EVERY_S, SHARE = 0.1, 0.1


def main(arguments: list[str]) -> int:
    """`scripts/bench live [LOOKS]`: 200 of one run of a second; 1 if a look costs more than a tenth of the time."""
    looks = int(arguments[0]) if arguments else 200
    seen: list[Evidence] = []
    play_and_judge(RunOptions(until=1.0).spec("netns"), on_progress=seen.append)
    os.environ["TERM"] = "xterm"
    with _terminal() as stream:
        anchor_s = _anchor(stream, looks)
        with ProgressDisplay(stream) as display:
            ours_s = _cost(looks, lambda look: display.show(seen[look % len(seen)]))
    print(f"{'':24}{'ms a look':>10}{'% of a core':>13}")
    for name, cost_s in (("lab run", ours_s), ("anchor: rich", anchor_s)):
        print(f"{name:24}{cost_s * 1000:10.2f}{cost_s / EVERY_S * 100:13.1f}")
    return int(ours_s > SHARE * EVERY_S)


def _anchor(stream: TextIO, looks: int) -> float:
    from rich.console import Console  # noqa: PLC0415 - as the display does
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Live(console=Console(file=stream), auto_refresh=False, transient=True) as live:
        return _cost(looks, lambda look: live.update(Text(f"look\n{look}"), refresh=True))


def _cost(looks: int, show: Callable[[int], object]) -> float:
    """Seconds of the processor, the first look left out."""
    show(0)
    began = time.process_time()
    for look in range(looks):
        show(look)
    return (time.process_time() - began) / looks


@contextmanager
def _terminal() -> Iterator[TextIO]:
    """One whose other end is read by a thread; so its share is in all figures."""
    master, slave = pty.openpty()
    threading.Thread(target=_drain, args=(master,), daemon=True).start()
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        yield stream


def _drain(master: int) -> None:
    while True:
        try:
            os.read(master, 65536)
        except OSError:  # EIO: the last holder of the other end is gone
            return
