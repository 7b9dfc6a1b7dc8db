"""How every test waits: until something holds, never for a time, and with a limit that no busy machine reaches."""

import time
from collections.abc import Callable
from typing import TypeVar

LIMIT_S = 60.0
"""The limit of any one wait. It is reached only by what never comes."""
PAUSE_S = 0.002

T = TypeVar("T")


def until(holds: Callable[[], T], limit_s: float = LIMIT_S, *, what: object = None, pause_s: float = PAUSE_S) -> T:
    """Ask again and again until it holds, and give its answer. `what` was waited for, if `holds` has no good name."""
    return seen(holds, bool, limit_s, what=what or holds, pause_s=pause_s)


def seen(
    look: Callable[[], T],
    holds: Callable[[T], object],
    limit_s: float = LIMIT_S,
    *,
    what: object = None,
    pause_s: float = PAUSE_S,
) -> T:
    """Look again and again, and give the first sight for which it holds. Else the last one is told."""
    end = time.monotonic() + limit_s
    while not holds(sight := look()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit_s:g} s: {what or holds}; seen last: {sight}")
        time.sleep(pause_s)
    return sight


def at_rest(
    look: Callable[[], T],
    still_s: float,
    *,
    key: Callable[[T], object] = lambda sight: sight,
    ready: Callable[[T], object] = lambda _: True,
    limit_s: float = LIMIT_S,
) -> T:
    """The sight whose key has been the same for so long, at every look, and that was ready each time."""
    known: object = None
    since = time.monotonic()

    def stands(sight: T) -> bool:
        nonlocal known, since
        now = key(sight)
        if now != known or not ready(sight):
            known, since = now, time.monotonic()
        return time.monotonic() - since >= still_s

    return seen(look, stands, limit_s, what=f"the same for {still_s:g} s", pause_s=min(still_s / 10, 0.01))
