"""The marks that Wireshark would put on a segment, so that whoever reads a capture there sees what the lab saw.

A mark is exactly a `tcp.analysis.*` field of tshark 4.0, frame for frame, with what is peculiar in its rules: the last
acknowledgment and window of a side are those of its last segment whatever that was, a sequence number of 0 counts as
not seen yet, and three thresholds decide between a retransmission and a segment out of order. None of it is taken for
the truth: `lab.tcp.connection` keeps the books of RFC 9293 beside it.
"""

from dataclasses import dataclass
from enum import IntFlag
from functools import cache

from lab.tcp.segment import ControlBits, Segment
from lab.tcp.seq import before, forward

FAST_NS = 20_000_000
"""A fast retransmission follows the last duplicate acknowledgment within this."""

REORDERED_NS = 3_000_000
"""A segment this soon after the highest one came out of order, where no handshake gave the round trip's time."""

LARGEST_SHIFT = 14
"""RFC 7323 section 2.3."""

_FIN, _SYN, _RST, _ACK = (int(bit) for bit in (ControlBits.FIN, ControlBits.SYN, ControlBits.RST, ControlBits.ACK))
_CONTROL = _SYN | _FIN | _RST


class Mark(IntFlag):
    """In lower case, a field's name after `tcp.analysis.`. Fast and spurious ones are RETRANSMISSION as well."""

    ZERO_WINDOW = 1
    ZERO_WINDOW_PROBE = 2
    ZERO_WINDOW_PROBE_ACK = 4
    WINDOW_FULL = 8
    WINDOW_UPDATE = 16
    KEEP_ALIVE = 32
    KEEP_ALIVE_ACK = 64
    DUPLICATE_ACK = 128
    RETRANSMISSION = 256
    FAST_RETRANSMISSION = 512
    SPURIOUS_RETRANSMISSION = 1024
    OUT_OF_ORDER = 2048
    LOST_SEGMENT = 4096
    ACK_LOST_SEGMENT = 8192

    @property
    def names(self) -> tuple[str, ...]:
        """The fields' names."""
        return tuple(str(mark.name).lower() for mark in self)


(
    _ZERO_WINDOW, _PROBE, _PROBE_ACK, _FULL, _UPDATE, _KEEP_ALIVE, _KEEP_ALIVE_ACK, _DUPLICATE,
    _RETRANSMISSION, _FAST, _SPURIOUS, _OUT_OF_ORDER, _LOST, _ACK_LOST,
) = (int(mark) for mark in Mark)  # fmt: skip


@cache
def _named(bits: int) -> Mark:
    """Naming a combination takes as long as finding it; some thirty occur."""
    return Mark(bits)


_UNKNOWN, _OFF = -1, -2
"""Where a shift count would stand."""


@dataclass(slots=True)
class _Flow:
    """One direction. `wnd` and `ack` are those of its last segment, `base` its first sequence number."""

    base: int | None = None
    next: int = 0
    next_ns: int = 0
    may_be_acked: int = 0
    """The end of what was seen without a hole."""
    ack: int = 0
    ack_ns: int = 0
    wnd: int = -1
    scale: int = _UNKNOWN
    unscaled: bool = False
    """Whether `wnd` is a SYN-ACK's, which is never scaled."""
    duplicates: int = 0
    marks: int = 0


class Analysis:
    """The marks of one connection's segments, in captured order."""

    def __init__(self, one: str, other: str) -> None:
        self._flows = {one: _Flow(), other: _Flow()}
        self._syn_ns = 0
        self._round_trip_ns = 0
        self._closing = False

    def restarts(self, segment: Segment) -> bool:
        """Whether this is the SYN of another connection between the same ports."""
        if int(segment.bits) & (_SYN | _ACK) != _SYN:
            return False
        base = self._flows[segment.source].base
        return base is not None and (base != segment.seq or self._closing)

    def mark(self, segment: Segment) -> Mark:
        """The marks of the next segment."""
        ours, theirs, bits = self._flows[segment.source], self._flows[segment.destination], int(segment.bits)
        if bits & _SYN:
            self._greet(segment, ours, theirs, bits)
        elif ours.base is None:
            ours.base = forward(segment.seq, -1)
        if bits & _ACK and theirs.base is None:
            theirs.base = forward(segment.ack, -1)
        marks = _windows(segment, ours, theirs, bits)
        if segment.ack != ours.ack:
            ours.duplicates = 0
        marks |= _unseen(segment, theirs, bits)
        if (segment.length or bits & (_SYN | _FIN)) and not marks & _KEEP_ALIVE:
            marks |= _again(segment, ours, theirs, bits, self._round_trip_ns or REORDERED_NS)
        _advance(segment, ours, bits, marks)
        if bits & (_SYN | _ACK) == _ACK and self._syn_ns and not self._round_trip_ns:
            self._round_trip_ns = segment.time_ns - self._syn_ns
        self._closing = self._closing or bool(bits & _RST) or bits & (_FIN | _ACK) == (_FIN | _ACK)
        return _named(marks)

    def _greet(self, segment: Segment, ours: _Flow, theirs: _Flow, bits: int) -> None:
        """A SYN: its scale counts if both sides send one."""
        if not bits & _ACK:
            self._syn_ns = segment.time_ns
            if ours.base is not None:
                ours.next = ours.may_be_acked  # The same SYN again: a RST may have led the numbers astray.
        ours.base = segment.seq
        if segment.scale is not None:
            ours.scale = min(segment.scale, LARGEST_SHIFT)
        if ours.scale == _UNKNOWN:
            ours.scale = theirs.scale = _OFF
        elif bits & _ACK and theirs.scale == _OFF:
            ours.scale = _OFF


def _windows(segment: Segment, ours: _Flow, theirs: _Flow, bits: int) -> int:
    """The marks of windows, keep-alives and acknowledgments."""
    length, wnd = segment.length, segment.wnd
    if length == 1 and segment.seq == ours.next and theirs.wnd == 0:
        return _PROBE
    marks = 0
    if ours.next and before(ours.next, segment.seq) and not bits & _RST:
        marks |= _LOST
    if bits & _CONTROL:
        return marks
    if not wnd:
        marks |= _ZERO_WINDOW
    if length <= 1 and segment.seq == forward(ours.next, -1):
        marks |= _KEEP_ALIVE
    if length:
        return marks | (_FULL if _fills(segment, theirs) else 0)
    if segment.seq != ours.next or segment.ack != ours.ack:
        return marks
    if wnd != ours.wnd:
        return marks | (_UPDATE if wnd else 0)
    if not wnd:
        return marks | (_PROBE_ACK if theirs.marks & _PROBE else 0)
    if theirs.marks & _KEEP_ALIVE:
        return marks | _KEEP_ALIVE_ACK
    ours.duplicates = 1 if ours.duplicates < 0 else ours.duplicates + 1
    return marks | _DUPLICATE


def _fills(segment: Segment, theirs: _Flow) -> bool:
    if theirs.scale == _UNKNOWN:
        return False
    window = theirs.wnd << (0 if theirs.unscaled else max(theirs.scale, 0))
    return forward(segment.seq, segment.length) == forward(theirs.ack, window)


def _unseen(segment: Segment, theirs: _Flow, bits: int) -> int:
    """Whether the segment acknowledges what was never seen; told once for each such hole."""
    if not bits & _ACK or not theirs.may_be_acked or not before(theirs.may_be_acked, segment.ack):
        return 0
    if before(theirs.may_be_acked, theirs.next):
        theirs.may_be_acked = theirs.next
        return _ACK_LOST
    first = theirs.duplicates == 0
    theirs.duplicates = -1
    return _ACK_LOST if first else 0


def _again(segment: Segment, ours: _Flow, theirs: _Flow, bits: int, round_trip_ns: int) -> int:
    """Of a segment that takes sequence numbers: is it sent again, or late?"""
    seq, end = segment.seq, forward(segment.seq, segment.length)
    old = bool(ours.next) and before(seq, ours.next) and not (segment.length > 1 and forward(ours.next, -1) == seq)
    if segment.length and theirs.ack and not before(theirs.ack, end):
        return _SPURIOUS | _RETRANSMISSION
    if not old:
        return 0
    if theirs.duplicates >= 2 and theirs.ack == seq and 0 <= segment.time_ns - theirs.ack_ns < FAST_NS:
        return _FAST | _RETRANSMISSION
    reaches = ours.next == forward(end, 1 if bits & (_SYN | _FIN) else 0)
    if 0 <= segment.time_ns - ours.next_ns < round_trip_ns and not reaches:
        return _OUT_OF_ORDER
    return _RETRANSMISSION


def _advance(segment: Segment, ours: _Flow, bits: int, marks: int) -> None:
    """Remember the segment as the last of its side."""
    taken = 1 if bits & (_SYN | _FIN) else 0
    end = forward(segment.seq, segment.length + taken)
    if not marks & _PROBE:
        if not ours.next or before(ours.next, end):
            ours.next, ours.next_ns = end, segment.time_ns
        if not ours.may_be_acked or segment.seq == ours.may_be_acked:
            ours.may_be_acked = ours.next
    ours.wnd, ours.ack, ours.ack_ns, ours.marks = segment.wnd, segment.ack, segment.time_ns, marks
    if bits & _ACK:
        ours.unscaled = bool(bits & _SYN)
