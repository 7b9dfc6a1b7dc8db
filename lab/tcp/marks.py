"""The marks that Wireshark puts on a segment, so that a reader of the capture there sees what the lab saw.

A mark is exactly a `tcp.analysis.*` field of tshark 4.0, frame for frame, peculiar rules included: the last segment of
a side counts for its acknowledgment and window, even an old one; a sequence number of 0 counts as not seen; three
thresholds decide between a retransmission and a segment out of order. No verdict rests on a mark:
`lab.tcp.connection` follows RFC 9293 instead.
"""

from dataclasses import dataclass
from enum import IntFlag
from functools import cache

from lab.tcp.segment import ACK, FIN, RST, SYN, Segment
from lab.tcp.seq import before, forward

FAST_NS = 20_000_000
"""A fast retransmission follows the last duplicate acknowledgment within this."""

REORDERED_NS = 3_000_000
"""A segment this soon after the highest one is out of order; used where no handshake has shown the round trip time."""

MAX_SHIFT = 14
"""Of a window scale option: RFC 7323 section 2.3."""


class Mark(IntFlag):
    """Each is the field `tcp.analysis.` and its name in lower case. Fast and spurious ones are RETRANSMISSION too."""

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
    """To make a combination of flags takes as long as to find it, and only some thirty occur."""
    return Mark(bits)


_UNKNOWN, _OFF = -1, -2
"""In place of a shift count: no SYN was seen, and not both sides sent the option."""


@dataclass(slots=True)
class _Flow:
    """What tshark remembers of one direction; `last_*` are fields of the last segment, whatever it was."""

    iss: int | None = None
    """The initial sequence number. Without a SYN: one less than the first number seen."""
    snd_nxt: int = 0
    snd_nxt_ns: int = 0
    """When it last rose."""
    contiguous_end: int = 0
    """The end of what was seen without a hole: a higher acknowledgment is for data that the capture lacks."""
    last_ack: int = 0
    last_ns: int = 0
    last_wnd: int = -1
    last_marks: int = 0
    unscaled: bool = False
    """Whether `last_wnd` is that of a SYN-ACK, which is never scaled."""
    rcv_wscale: int = _UNKNOWN
    duplicates: int = 0
    """Duplicate acknowledgments in a row. -1: an acknowledgment of unseen data was already marked."""


class WiresharkAnalysis:
    """Marks the segments of one connection, in captured order."""

    def __init__(self, one: str, other: str) -> None:
        self._flows = {one: _Flow(), other: _Flow()}
        self._syn_ns = 0
        self._round_trip_ns = 0
        self._closing = False

    def restarts(self, segment: Segment) -> bool:
        """Whether this SYN begins another connection between the same ports."""
        if int(segment.bits) & (SYN | ACK) != SYN:
            return False
        iss = self._flows[segment.source].iss
        return iss is not None and (iss != segment.seq or self._closing)

    def mark(self, segment: Segment) -> Mark:
        """The marks of the next segment."""
        ours, theirs, bits = self._flows[segment.source], self._flows[segment.destination], int(segment.bits)
        if bits & SYN:
            self._note_syn(segment, ours, theirs, bits)
        elif ours.iss is None:
            ours.iss = forward(segment.seq, -1)
        if bits & ACK and theirs.iss is None:
            theirs.iss = forward(segment.ack, -1)
        marks = _window_marks(segment, ours, theirs, bits)
        if segment.ack != ours.last_ack:
            ours.duplicates = 0
        marks |= _hole_marks(segment, theirs, bits)
        if (segment.length or bits & (SYN | FIN)) and not marks & _KEEP_ALIVE:
            marks |= _retransmission_marks(segment, ours, theirs, bits, self._round_trip_ns or REORDERED_NS)
        _remember(segment, ours, bits, marks)
        if bits & (SYN | ACK) == ACK and self._syn_ns and not self._round_trip_ns:
            self._round_trip_ns = segment.time_ns - self._syn_ns
        self._closing = self._closing or bool(bits & RST) or bits & (FIN | ACK) == (FIN | ACK)
        return _named(marks)

    def _note_syn(self, segment: Segment, ours: _Flow, theirs: _Flow, bits: int) -> None:
        """Windows are scaled only if both SYNs carry the option."""
        if not bits & ACK:
            self._syn_ns = segment.time_ns
            if ours.iss is not None:
                ours.snd_nxt = ours.contiguous_end  # The same SYN again; a RST in between may have had any number.
        ours.iss = segment.seq
        if segment.scale is not None:
            ours.rcv_wscale = min(segment.scale, MAX_SHIFT)
        if ours.rcv_wscale == _UNKNOWN:
            ours.rcv_wscale = theirs.rcv_wscale = _OFF
        elif bits & ACK and theirs.rcv_wscale == _OFF:
            ours.rcv_wscale = _OFF


def _window_marks(segment: Segment, ours: _Flow, theirs: _Flow, bits: int) -> int:
    """The marks of windows, keep-alives and acknowledgments."""
    length, wnd = segment.length, segment.wnd
    if length == 1 and segment.seq == ours.snd_nxt and theirs.last_wnd == 0:
        return _PROBE
    marks = 0
    if ours.snd_nxt and before(ours.snd_nxt, segment.seq) and not bits & RST:
        marks |= _LOST
    if bits & (SYN | FIN | RST):
        return marks
    if not wnd:
        marks |= _ZERO_WINDOW
    if length <= 1 and segment.seq == forward(ours.snd_nxt, -1):
        marks |= _KEEP_ALIVE
    if length:
        return marks | (_FULL if _fills_window(segment, theirs) else 0)
    if segment.seq != ours.snd_nxt or segment.ack != ours.last_ack:
        return marks
    if wnd != ours.last_wnd:
        return marks | (_UPDATE if wnd else 0)
    if not wnd:
        return marks | (_PROBE_ACK if theirs.last_marks & _PROBE else 0)
    if theirs.last_marks & _KEEP_ALIVE:
        return marks | _KEEP_ALIVE_ACK
    ours.duplicates = 1 if ours.duplicates < 0 else ours.duplicates + 1
    return marks | _DUPLICATE


def _fills_window(segment: Segment, theirs: _Flow) -> bool:
    if theirs.rcv_wscale == _UNKNOWN:
        return False
    window = theirs.last_wnd << (0 if theirs.unscaled else max(theirs.rcv_wscale, 0))
    return forward(segment.seq, segment.length) == forward(theirs.last_ack, window)


def _hole_marks(segment: Segment, theirs: _Flow, bits: int) -> int:
    """The mark of a segment that acknowledges data missing from the capture, once for each hole."""
    if not bits & ACK or not theirs.contiguous_end or not before(theirs.contiguous_end, segment.ack):
        return 0
    if before(theirs.contiguous_end, theirs.snd_nxt):
        theirs.contiguous_end = theirs.snd_nxt
        return _ACK_LOST
    first = theirs.duplicates == 0
    theirs.duplicates = -1
    return _ACK_LOST if first else 0


def _retransmission_marks(segment: Segment, ours: _Flow, theirs: _Flow, bits: int, round_trip_ns: int) -> int:
    """The marks of a segment with data, SYN or FIN: new, sent again, or late."""
    seq, end = segment.seq, forward(segment.seq, segment.length)
    overlaps_by_one = segment.length > 1 and forward(ours.snd_nxt, -1) == seq
    old = bool(ours.snd_nxt) and before(seq, ours.snd_nxt) and not overlaps_by_one
    if segment.length and theirs.last_ack and not before(theirs.last_ack, end):
        return _SPURIOUS | _RETRANSMISSION
    if not old:
        return 0
    if theirs.duplicates >= 2 and theirs.last_ack == seq and 0 <= segment.time_ns - theirs.last_ns < FAST_NS:
        return _FAST | _RETRANSMISSION
    reaches = ours.snd_nxt == forward(end, 1 if bits & (SYN | FIN) else 0)
    if 0 <= segment.time_ns - ours.snd_nxt_ns < round_trip_ns and not reaches:
        return _OUT_OF_ORDER
    return _RETRANSMISSION


def _remember(segment: Segment, ours: _Flow, bits: int, marks: int) -> None:
    """The segment is now the last of its side."""
    taken = 1 if bits & (SYN | FIN) else 0
    end = forward(segment.seq, segment.length + taken)
    if not marks & _PROBE:
        if not ours.snd_nxt or before(ours.snd_nxt, end):
            ours.snd_nxt, ours.snd_nxt_ns = end, segment.time_ns
        if not ours.contiguous_end or segment.seq == ours.contiguous_end:
            ours.contiguous_end = ours.snd_nxt
    ours.last_wnd, ours.last_ack, ours.last_ns, ours.last_marks = segment.wnd, segment.ack, segment.time_ns, marks
    if bits & ACK:
        ours.unscaled = bool(bits & SYN)
