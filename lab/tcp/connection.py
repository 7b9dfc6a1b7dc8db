"""The sequence variables of both ends of a connection (RFC 9293 section 3.3.1), as far as their segments show them.

What each segment is follows from them: new data, an acknowledgment, a window that reopens, a probe of a closed window.
Only the last segments are kept, so memory is constant.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from lab.tcp.marks import MAX_SHIFT, Mark, WiresharkAnalysis
from lab.tcp.segment import ACK, FIN, RST, SYN, Segment
from lab.tcp.seq import HALF, MODULUS, before, distance, forward

SILENCE_NS = 190_000_000
"""The persist timer waits 200 ms or more (TCP_RTO_MIN of Linux); a jiffy at HZ=250 and the capture take up to 8 ms."""


class ProbeKind(StrEnum):
    """A segment sent into a closed or silly window. The value is its comment in Wireshark, with `bytes` to fill in."""

    PROBE = "0 bytes at SND.UNA-1 into a zero window; Wireshark calls this Keep-Alive"
    RETRANSMISSION = "{bytes} bytes sent again at SND.UNA into a zero window; Wireshark calls this Retransmission"
    BYTE = "1 new byte at the edge of a zero window; Wireshark calls this ZeroWindowProbe"
    SILLY_WINDOW = "{bytes} new bytes that fill a silly window to its edge, sent by the persist timer; no probe"


PROBES = frozenset((ProbeKind.PROBE, ProbeKind.RETRANSMISSION, ProbeKind.BYTE))
"""The kinds sent into a closed window: no byte of them can be accepted."""


class SegmentFacts(NamedTuple):
    """What one segment is to its connection."""

    marks: Mark
    """Wireshark's."""
    probe: ProbeKind | None
    moved: bool
    """It sends or acknowledges a byte (or a FIN) that is new, or it reopens a window."""
    reopened: bool
    """It reopens the window of its sender."""


NO_MARK = Mark(0)
MOVED = SegmentFacts(NO_MARK, None, True, False)


@dataclass(slots=True)
class Tcb:
    """What the segments show of one end's transmission control block. None: no segment has shown it yet.

    The SND.UNA of one end is the RCV.NXT of the other.
    """

    address: str
    snd_nxt: int | None = None
    """After the highest byte that it has sent, or that its peer has acknowledged."""
    rcv_nxt: int | None = None
    """Its highest acknowledgment."""
    rcv_wnd: int | None = None
    """The window in the segment of its highest acknowledgment, the latest such; as sent, not scaled."""
    rcv_wscale: int | None = None
    """The window scale option of its SYN."""
    syn_seen: bool = False
    max_payload: int = 0
    """The largest payload of a segment so far."""
    data_sent_ns: int | None = None
    """When it last sent payload."""

    @property
    def closed(self) -> bool | None:
        """Whether the last window that it advertised is 0, which is 0 under any scale. None: it advertised none."""
        return None if self.rcv_wnd is None else self.rcv_wnd == 0


class TcpConnection:
    """Both ends, `one` and `other`. With `marks=False` Wireshark's marks are left out, which halves the time."""

    def __init__(self, one: str, other: str, *, marks: bool = True) -> None:
        self.tcbs = {one: Tcb(one), other: Tcb(other)}
        self.moved_ns: int | None = None
        """When a segment last moved something."""
        self._analysis = WiresharkAnalysis(one, other) if marks else None

    def restarts(self, segment: Segment) -> bool:
        """Whether this SYN begins another connection between the same ports: do not feed it to this one."""
        return self._analysis is not None and self._analysis.restarts(segment)

    def feed(self, segment: Segment) -> SegmentFacts:
        """Takes the next segment of this connection, in captured order."""
        sender, peer, bits = self.tcbs[segment.source], self.tcbs[segment.destination], int(segment.bits)
        if self._analysis is None and bits == ACK and _only_acknowledges(segment, sender, peer):
            self.moved_ns = segment.time_ns
            return MOVED
        marks = self._analysis.mark(segment) if self._analysis else NO_MARK
        if bits & RST:
            return SegmentFacts(marks, None, False, False)
        if bits & SYN:
            _note_syn(segment, sender, bits)
            return SegmentFacts(marks, None, False, False)
        still = self.moved_ns is not None and segment.time_ns - self.moved_ns >= SILENCE_NS
        probe = _probe_kind(segment, sender, peer, still)
        moved = probe not in PROBES and _note_data(segment, sender, bits & FIN)
        reopened = False
        if bits & ACK:
            reopened = _reopens(segment, sender)
            moved |= _note_acknowledgment(segment, sender, peer) or reopened
        if segment.length:
            sender.data_sent_ns = segment.time_ns
        if moved:
            self.moved_ns = segment.time_ns
        return SegmentFacts(marks, probe, moved, reopened)


def _only_acknowledges(segment: Segment, sender: Tcb, peer: Tcb) -> bool:
    """Notes a segment that does nothing but acknowledge new data with an open window. False: it does more or less.

    Bulk transfers have thousands of these in a row. The general way has the same result at four times the cost, and
    the live capture shares the CPU with the two programs.
    """
    _, _, _, _, seq, ack, wnd, length, _, _ = segment
    if length or seq != sender.snd_nxt or not sender.rcv_wnd:
        return False
    assert sender.rcv_nxt is not None, "it came with the window"
    if not 0 < (ack - sender.rcv_nxt) % MODULUS < HALF:
        return False
    sender.rcv_nxt, sender.rcv_wnd = ack, wnd
    if peer.snd_nxt is None or 0 < (ack - peer.snd_nxt) % MODULUS <= HALF:
        peer.snd_nxt = ack
    return True


def _note_syn(segment: Segment, sender: Tcb, bits: int) -> None:
    """The window of a SYN is never scaled (RFC 7323 section 2.2), and is not noted."""
    sender.syn_seen, sender.rcv_wscale = True, segment.scale
    sender.snd_nxt = forward(segment.seq, 1 + segment.length)
    if bits & ACK:
        sender.rcv_nxt = segment.ack


def _probe_kind(segment: Segment, sender: Tcb, peer: Tcb, still: bool) -> ProbeKind | None:
    """What the segment is to a peer whose window is closed or silly. None: nothing special.

    A keep-alive of a sender without unsent data equals a probe byte for byte, and counts as one here; only its constant
    period tells it apart (`lab.wire.persist_timer`).
    """
    if peer.rcv_wnd is None or peer.rcv_nxt is None:
        return None
    if peer.rcv_wnd:
        return ProbeKind.SILLY_WINDOW if segment.length and _fills_silly_window(segment, sender, peer) else None
    offset = distance(peer.rcv_nxt, segment.seq)
    if offset == -1 and not segment.length and not segment.bits & FIN:
        return ProbeKind.PROBE
    if offset or not segment.length:
        return None
    if sender.snd_nxt is not None and before(segment.seq, sender.snd_nxt):
        return ProbeKind.RETRANSMISSION
    if segment.length == 1:
        return ProbeKind.BYTE
    # These bytes are new to the capture, and yet may be a retransmission: capture mode `proof` does not keep data sent
    # into an open window. The other explanation is that the peer has reopened its window on a data segment, which that
    # mode does not keep either. It is excluded if the sender's own window is closed and its acknowledgment unchanged:
    # then the peer has sent no data.
    again = still and sender.rcv_wnd == segment.wnd == 0 and sender.rcv_nxt == segment.ack
    return ProbeKind.RETRANSMISSION if again else None


def _fills_silly_window(segment: Segment, sender: Tcb, peer: Tcb) -> bool:
    """New bytes that end exactly at the edge, shorter than what the side sends otherwise, after a timer's silence."""
    if peer.rcv_nxt is None or peer.rcv_wnd is None or sender.data_sent_ns is None:
        return False
    if not (peer.syn_seen and sender.syn_seen):
        return False
    scaled = peer.rcv_wscale is not None and sender.rcv_wscale is not None
    shift = min(peer.rcv_wscale or 0, MAX_SHIFT) if scaled else 0
    return (
        forward(segment.seq, segment.length) == forward(peer.rcv_nxt, peer.rcv_wnd << shift)
        and (sender.snd_nxt is None or not before(segment.seq, sender.snd_nxt))
        and segment.length < sender.max_payload
        and segment.time_ns - sender.data_sent_ns >= SILENCE_NS
    )


def _note_data(segment: Segment, sender: Tcb, fin: int) -> bool:
    """Notes what the segment sends. True: some of it is new, a FIN included."""
    sender.max_payload = max(sender.max_payload, segment.length)
    end = forward(segment.seq, segment.length + fin)  # A FIN takes one number, and `fin` is its bit, 1.
    if sender.snd_nxt is not None and not before(sender.snd_nxt, end):
        return False
    sender.snd_nxt = end
    return end != segment.seq


def _reopens(segment: Segment, sender: Tcb) -> bool:
    return sender.rcv_wnd == 0 and segment.wnd != 0 and not _is_older(segment, sender)


def _note_acknowledgment(segment: Segment, sender: Tcb, peer: Tcb) -> bool:
    """Notes what the segment acknowledges, and its window. True: it acknowledges something new.

    A segment with an older acknowledgment was overtaken, and its window is out of date: nothing is noted.
    """
    if _is_older(segment, sender):
        return False
    moved = sender.rcv_nxt is not None and sender.rcv_nxt != segment.ack
    sender.rcv_nxt, sender.rcv_wnd = segment.ack, segment.wnd
    if peer.snd_nxt is None or before(peer.snd_nxt, segment.ack):
        peer.snd_nxt = segment.ack
    return moved


def _is_older(segment: Segment, sender: Tcb) -> bool:
    return sender.rcv_nxt is not None and before(segment.ack, sender.rcv_nxt)
