"""Keeps, of all samples of a socket, those few that the judge may need together with a later one.

The samples are kept as they are; what they show together, `lab.proof.stack.history` says. A socket is sampled up to a
thousand times a second, so only these are kept: the first; the first with the smallest MSS; the first since the last
byte that its program wrote, and one since then that saw the send buffer full; the last before the receive buffer
changed and the first after; the last that saw it of another size; and around the closing of its window the two equal
ones that saw it open and the first that saw it closed.
"""

import time
from dataclasses import dataclass, fields, replace

from lab.evidence import EarlierSample, SocketSample
from lab.proof.stack.history import buffer_of, is_full, saw_close, saw_open, written_by

CLOCK_STEP_NS = 20_000_000
"""If CLOCK_REALTIME has been set by more than this meanwhile, time stamps are not comparable: all is forgotten."""

_NAMES = [field.name for field in fields(EarlierSample)]


@dataclass(slots=True)
class _Kept:
    """Of one socket."""

    last: SocketSample
    first: SocketSample
    least_mss: SocketSample
    written: SocketSample
    """The first with as many bytes written as now."""
    full: SocketSample | None
    """One since then with no room in the send buffer."""
    before: SocketSample | None
    """The last before `buffer`."""
    buffer: SocketSample
    """The first with the receive buffer as large and as full as now."""
    resized: SocketSample | None = None
    """The last with a receive buffer of another size: what was seen before it shows no closing."""
    opened: tuple[SocketSample, ...] = ()
    """Two in a row that are equal but for the time, with an open window and something unread."""
    closed: SocketSample | None = None
    """The first after them with a closed window."""

    def all(self) -> tuple[SocketSample, ...]:
        kept = (
            self.first,
            self.least_mss,
            self.written,
            self.full,
            self.before,
            self.buffer,
            self.resized,
            *self.opened,
            self.closed,
        )
        return tuple(sorted({id(each): each for each in kept if each}.values(), key=lambda each: each.time_ns))


class EarlierSamples:
    """Of some sockets. Told of every sample, it adds to one what was sampled before."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], _Kept] = {}
        """By cookie and inode: cookies were once counted by namespace."""
        self._clock_ns = _clock_ns()

    def keep(self, sample: SocketSample) -> None:
        """Remember the sample, which was taken just now."""
        if abs(_clock_ns() - self._clock_ns) > CLOCK_STEP_NS:
            self._kept.clear()
            self._clock_ns = _clock_ns()
        kept = self._kept.get((sample.cookie, sample.inode))
        if kept is None:
            self._kept[sample.cookie, sample.inode] = _Kept(
                sample, sample, sample, sample, sample if is_full(sample) else None, None, sample
            )
        else:
            _update(kept, sample)

    def added_to(self, sample: SocketSample) -> SocketSample:
        """The sample, which was taken just now, with those before it."""
        known = self._kept.get((sample.cookie, sample.inode))
        before = known.all() if known else ()
        self.keep(sample)
        # `keep` may have forgotten all, or have found that one of them no longer matters: both are no harm here.
        return replace(sample, earlier=tuple(map(_earlier, before)))


def _update(kept: _Kept, sample: SocketSample) -> None:
    if sample.snd_mss < kept.least_mss.snd_mss:
        kept.least_mss = sample
    if written_by(sample) != written_by(kept.written):
        kept.written, kept.full = sample, None
    if kept.full is None and is_full(sample):
        kept.full = sample
    if buffer_of(sample) != buffer_of(kept.buffer):
        kept.before, kept.buffer = kept.last, sample
    if sample.rcvbuf != kept.last.rcvbuf:
        kept.resized, kept.opened, kept.closed = kept.last, (), None
    elif saw_open(kept.last, sample):
        kept.opened, kept.closed = (kept.last, sample), None
    elif kept.closed is None and kept.opened and saw_close(kept.opened[-1], sample):
        kept.closed = sample
    kept.last = sample


def _earlier(sample: SocketSample) -> EarlierSample:
    return EarlierSample(*(getattr(sample, name) for name in _NAMES))


def _clock_ns() -> int:
    """How far CLOCK_REALTIME is ahead of CLOCK_MONOTONIC."""
    return time.time_ns() - time.monotonic_ns()
