"""Where the records of a chunk start, found many at a time.

A record's place is known only from the length of the one before, so a plain walk is a step of Python a packet. Here the
chunk is cut into lanes; each lane starts at a guess of where a record begins, and one step of numpy moves all of them.
A guess is never trusted: a lane counts only if the lane before it ended exactly at its start, and the first starts at a
true record. Where a guess was wrong, the records up to the next right one are walked one by one.
"""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Offsets = npt.NDArray[np.int64]

LANE = 16384
"""Bytes a lane, about a hundred records of a capture cut at 128: below that, guessing costs more than it saves."""

MOST_LANES = 512

STUCK = 1 << 62
"""Where the next record starts if nobody knows: beyond any limit."""


class Layout(Protocol):
    """How records follow each other in one file format."""

    header: int
    """Bytes that tell the length of a record. This many may be read beyond the limit."""

    def following(self, at: Offsets) -> Offsets:
        """Where the next record starts; STUCK where the length is nonsense."""

    def follows(self, at: int) -> int:
        """The same for one."""

    def guess(self, at: int, limit: int) -> int:
        """The first place from `at` on that looks like the start of a record; STUCK if none is near."""


class Walked(NamedTuple):
    """The starts of the whole records, and where the next one starts that is not whole or, if `stuck`, is nonsense."""

    starts: Offsets
    end: int
    stuck: bool


def walk(layout: Layout, start: int, limit: int) -> Walked:
    """All records between `start`, a true start, and `limit`."""
    lanes = [start]
    wanted = min((limit - start) // LANE, MOST_LANES)
    for number in range(1, wanted):
        guess = layout.guess(max(start + (limit - start) * number // wanted, lanes[-1] + 1), limit)
        if lanes[-1] < guess < STUCK:
            lanes.append(guess)
    starts = np.array(lanes, np.int64)
    steps, finals = run(layout, starts, np.append(starts[1:], limit), limit)
    if (finals[:-1] == starts[1:]).all():
        chained = steps.T[steps.T >= 0]
        return _finished(layout, [chained], int(finals[-1]), limit)
    return _joined(layout, lanes, steps, finals, limit)


def _joined(layout: Layout, lanes: list[int], steps: Offsets, finals: Offsets, limit: int) -> Walked:
    """Lane by lane, for some guess was wrong: that lane is dropped, and the gap walked one by one."""
    pieces: list[Offsets] = []
    at, lane = lanes[0], 0
    while lane < len(lanes):
        column = steps[:, lane]
        pieces.append(column[column >= 0])
        at, following = int(finals[lane]), lane + 1
        while following < len(lanes) and lanes[following] < at:
            following += 1
        if following < len(lanes) and lanes[following] != at:
            alone, at, following = _plod(layout, at, limit, lanes, following)
            pieces.append(alone)
        if following == len(lanes):
            break
        if lanes[following] != at:
            break
        lane = following
    return _finished(layout, pieces, at, limit)


def _finished(layout: Layout, pieces: list[Offsets], at: int, limit: int) -> Walked:
    """What is left behind the last lane, and whether it ends in nonsense."""
    alone, at, _ = _plod(layout, at, limit, [], 0)
    stuck = at + layout.header <= limit and layout.follows(at) == STUCK
    return Walked(np.concatenate([*pieces, alone]), at, stuck)


def run(layout: Layout, starts: Offsets, ends: Offsets, limit: int) -> tuple[Offsets, Offsets]:
    """Every lane to its end: the records passed, a column a lane (-1: none), and where each lane came to a stand."""
    finals = starts.copy()
    steps: list[Offsets] = []
    lanes = np.arange(len(starts))
    at, until = starts, ends
    while len(lanes):
        following = layout.following(at)
        going = following < until
        if len(lanes) == len(starts) and going.all():
            steps.append(at)
            at = following
            continue
        good = following <= limit  # STUCK is beyond.
        row = np.full(len(starts), -1, np.int64)
        row[lanes[good]] = at[good]
        steps.append(row)
        finals[lanes] = np.where(good, following, at)
        lanes, at, until = lanes[going], following[going], until[going]
    return (np.array(steps) if steps else np.empty((0, len(starts)), np.int64)), finals


def _plod(layout: Layout, at: int, limit: int, lanes: list[int], lane: int) -> tuple[Offsets, int, int]:
    """One record after the other, until a lane starts where the last one ended: these, that place, and that lane."""
    found = []
    while at + layout.header <= limit:
        while lane < len(lanes) and lanes[lane] < at:
            lane += 1
        if lane < len(lanes) and lanes[lane] == at:
            break
        following = layout.follows(at)
        if following == STUCK or following > limit:
            lane = len(lanes)
            break
        found.append(at)
        at = following
    return np.array(found, np.int64), at, lane
