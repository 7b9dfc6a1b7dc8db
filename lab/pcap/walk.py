"""Finds where the records of a chunk start, many at a time.

The start of a record is known only from the length of the one before, so a plain walk takes a step of Python for each
packet. Here the chunk is cut into lanes. Each lane starts where a record is guessed to start, and one step of numpy
advances all lanes. No guess is trusted: a lane counts only if the lane before it ended exactly at its start, and the
first lane starts at a true record. Where a guess was wrong, records are walked one by one up to the next right one.
"""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Offsets = npt.NDArray[np.int64]

LANE = 16384
"""Bytes in a lane, about a hundred records of a capture cut at 128: with fewer, guessing costs more than it saves."""

MAX_LANES = 512

STUCK = 1 << 62
"""In place of the start of the next record, if it is not known: beyond any limit."""


class Layout(Protocol):
    """How records follow each other in one file format."""

    header: int
    """Bytes of a record up to the end of its length. This many may be read beyond the limit."""

    def following(self, at: Offsets) -> Offsets:
        """Where the record after each of these starts; STUCK if the length makes no sense."""

    def follows(self, at: int) -> int:
        """The same for one record."""

    def guess(self, at: int, limit: int) -> int:
        """The first place from `at` on that looks like the start of a record; STUCK if there is none nearby."""


class Walked(NamedTuple):
    """The starts of all whole records; `end` is the start of the next, which is cut or, if `stuck`, makes no sense."""

    starts: Offsets
    end: int
    stuck: bool


def walk(layout: Layout, start: int, limit: int) -> Walked:
    """All records between `start`, a true start, and `limit`."""
    lanes = [start]
    wanted = min((limit - start) // LANE, MAX_LANES)
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
    """Lane by lane, for some guess was wrong: such a lane is dropped, and its records are walked one by one."""
    pieces: list[Offsets] = []
    at, lane = lanes[0], 0
    while lane < len(lanes):
        column = steps[:, lane]
        pieces.append(column[column >= 0])
        at, following = int(finals[lane]), lane + 1
        while following < len(lanes) and lanes[following] < at:
            following += 1
        if following < len(lanes) and lanes[following] != at:
            alone, at, following = _walk_one_by_one(layout, at, limit, lanes, following)
            pieces.append(alone)
        if following == len(lanes):
            break
        if lanes[following] != at:
            break
        lane = following
    return _finished(layout, pieces, at, limit)


def _finished(layout: Layout, pieces: list[Offsets], at: int, limit: int) -> Walked:
    """Walks what is left after the last lane."""
    alone, at, _ = _walk_one_by_one(layout, at, limit, [], 0)
    stuck = at + layout.header <= limit and layout.follows(at) == STUCK
    return Walked(np.concatenate([*pieces, alone]), at, stuck)


def run(layout: Layout, starts: Offsets, ends: Offsets, limit: int) -> tuple[Offsets, Offsets]:
    """Advances every lane to its end.

    Returns the records passed, one column for each lane (-1: none), and where each lane stopped.
    """
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


def _walk_one_by_one(layout: Layout, at: int, limit: int, lanes: list[int], lane: int) -> tuple[Offsets, int, int]:
    """Walks one by one until a record ends where a lane starts. Returns the records, that place, and that lane."""
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
