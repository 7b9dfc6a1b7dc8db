"""How much slower this place is than the machine that it runs on: by a loop of Python that both run.

speed[:MS]     MS is what the loop takes outside; `scripts/dev/places` adds it
"""

import time
from collections.abc import Callable, Iterator

from machines.row import Row

TIMES, LOOPS = 5, 200_000
slower = 1.0
"""Of this place, once it has been measured."""


def loop_ms(clock: Callable[[], float] = time.perf_counter) -> float:
    """The fastest of some."""
    return min(_once(clock) for _ in range(TIMES))


def _once(clock: Callable[[], float]) -> float:
    began, total = clock(), 0
    for each in range(LOOPS):
        total += each & 7
    return (clock() - began) * 1000


def play(outside_ms: str) -> Iterator[Row]:
    global slower  # noqa: PLW0603 - a property of the machine
    here_ms = loop_ms()
    slower = max(1.0, here_ms / float(outside_ms))
    yield Row(
        "speed", "measured", f"{slower:.1f} times slower", note=f"a loop takes {here_ms:.0f} ms, {outside_ms} outside"
    )
