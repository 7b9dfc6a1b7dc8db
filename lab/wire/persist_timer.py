"""Why a side sends into a closed window. Its persist timer probes only if it has unsent data; keep-alives need none.

A probe of Linux and a keep-alive are equal byte for byte. What differs is their timing: persist gaps double, keep-alive
gaps are equal. And only a side with unsent data retransmits into the closed window.
"""

import itertools
from enum import Enum, auto

from lab.spec import Role
from lab.wire.packets import MAX_PROBES, StallFacts

SECOND = 1_000_000_000
MIN_KEEP_ALIVE_NS = 950_000_000
"""TCP_KEEPINTVL counts whole seconds (tcp(7)), so the gap between keep-alives is 1 s or more; 50 ms for timers and the
capture."""
GROWTH = 1.4
"""Persist gaps double, less what the peer's own probes cut off; keep-alive gaps are equal within a tick."""
MAX_GAP_NS = 115 * SECOND
"""Persist gaps stop growing at TCP_RTO_MAX, 120 s. The default keep-alive interval is 75 s."""


class Probing(Enum):
    """What the segments of a side into a closed window show."""

    UNSENT_DATA = auto()
    """Its persist timer probes: it has unsent data."""
    KEEP_ALIVE = auto()
    """Equal gaps, and nothing shows unsent data."""
    UNKNOWN = auto()
    """Too few to tell a persist timer from keep-alives."""
    NONE = auto()
    """It sends none."""


def probing(stall: StallFacts, role: Role) -> Probing:
    probes = stall.probes[role]
    if not probes:
        return Probing.NONE
    between = [later - sooner for sooner, later in itertools.pairwise(probes)]
    gaps = list(between)
    if stall.since is not None and len(probes) < MAX_PROBES:  # Else the first probe that is kept is not the first.
        gaps.insert(0, probes[0] - stall.since.time_ns)
    grows = any(later >= GROWTH * sooner for sooner, later in itertools.pairwise(between))
    if stall.sent_data[role] or grows or any(gap < MIN_KEEP_ALIVE_NS or gap >= MAX_GAP_NS for gap in gaps):
        return Probing.UNSENT_DATA
    return Probing.KEEP_ALIVE if len(gaps) >= 3 else Probing.UNKNOWN
