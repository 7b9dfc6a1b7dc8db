"""A connection's books by RFC 9293: what each side has sent, acknowledged and allowed, and what probes a closed window.

The words: SND.UNA of a side is the highest acknowledgment that its peer has sent; the edge is that plus the peer's last
window. A window is closed when the last one advertised is 0, which is 0 under any scale. Constant memory.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from lab.tcp.marks import LARGEST_SHIFT, Analysis, Mark
from lab.tcp.segment import ControlBits, Segment
from lab.tcp.seq import HALF, MODULUS, before, distance, forward

SILENCE_NS = 190_000_000
"""The persist timer waits 200 ms or more (TCP_RTO_MIN of Linux); a jiffy at HZ=250 and the capture take up to 8 ms."""

_SYN, _FIN, _RST, _ACK = (int(bit) for bit in (ControlBits.SYN, ControlBits.FIN, ControlBits.RST, ControlBits.ACK))


class Kind(StrEnum):
    """What makes a segment matter. Each value is its comment in Wireshark, before the number of bytes is put in."""

    PROBE = "0 bytes at SND.UNA-1 into a zero window; Wireshark calls this Keep-Alive"
    RETRANSMISSION = "{bytes} bytes sent again at SND.UNA into a zero window; Wireshark calls this Retransmission"
    BYTE = "1 new byte at the edge of a zero window; Wireshark calls this ZeroWindowProbe"
    FRAGMENT = "{bytes} new bytes that fill a silly window to its edge, sent by the persist timer; no probe"


PROBES = frozenset((Kind.PROBE, Kind.RETRANSMISSION, Kind.BYTE))


class Marks(NamedTuple):
    """What one segment is: to Wireshark, and to us. `moved`: a new byte, sent or acknowledged, or a window reopened."""

    analysis: Mark
    kind: Kind | None
    moved: bool
    reopened: bool


NO_MARK = Mark(0)
NOTHING = Marks(NO_MARK, None, False, False)
MOVED = Marks(NO_MARK, None, True, False)


@dataclass(slots=True)
class Side:
    """What one side has said so far. `next` is its SND.NXT; `acked` and `wnd` are what it grants to its peer."""

    address: str
    next: int | None = None
    acked: int | None = None
    wnd: int | None = None
    scale: int | None = None
    syn: bool = False
    longest: int = 0
    sent_ns: int | None = None

    @property
    def closed(self) -> bool | None:
        """Whether the last window advertised is 0. None: the side has advertised none."""
        return None if self.wnd is None else self.wnd == 0


class Connection:
    """The two sides between `one` and `other`. With `analysis=False` Wireshark's marks are left out: half the time."""

    def __init__(self, one: str, other: str, *, analysis: bool = True) -> None:
        self.sides = {one: Side(one), other: Side(other)}
        self.moved_ns: int | None = None
        self._analysis = Analysis(one, other) if analysis else None

    def restarts(self, segment: Segment) -> bool:
        """Whether this is the SYN of another connection between the same ports: not to be fed."""
        return self._analysis is not None and self._analysis.restarts(segment)

    def feed(self, segment: Segment) -> Marks:
        """Note the next segment, in captured order, of this connection."""
        sender, peer, bits = self.sides[segment.source], self.sides[segment.destination], int(segment.bits)
        if self._analysis is None and bits == _ACK and _only_acknowledges(segment, sender, peer):
            self.moved_ns = segment.time_ns
            return MOVED
        analysis = self._analysis.mark(segment) if self._analysis else NO_MARK
        if bits & _RST:
            return Marks(analysis, None, False, False)
        if bits & _SYN:
            _greet(segment, sender, bits)
            return Marks(analysis, None, False, False)
        still = self.moved_ns is not None and segment.time_ns - self.moved_ns >= SILENCE_NS
        kind = _kind(segment, sender, peer, still)
        moved = kind not in PROBES and _sends(segment, sender, bits & _FIN)
        reopened = False
        if bits & _ACK:
            reopened = _reopens(segment, sender)
            moved |= _grants(segment, sender, peer) or reopened
        if segment.length:
            sender.sent_ns = segment.time_ns
        if moved:
            self.moved_ns = segment.time_ns
        return Marks(analysis, kind, moved, reopened)


def _only_acknowledges(segment: Segment, sender: Side, peer: Side) -> bool:
    """Whether the segment is one of the thousands in a row that do no more, while its window was open; then noted.

    What follows for others comes to the same with it, at four times the cost: a blast is captured beside its programs.
    """
    _, _, _, _, seq, ack, wnd, length, _, _ = segment
    if length or seq != sender.next or not sender.wnd:
        return False
    assert sender.acked is not None, "it came with the window"
    if not 0 < (ack - sender.acked) % MODULUS < HALF:
        return False
    sender.acked, sender.wnd = ack, wnd
    if peer.next is None or 0 < (ack - peer.next) % MODULUS <= HALF:
        peer.next = ack
    return True


def _greet(segment: Segment, sender: Side, bits: int) -> None:
    """A SYN's own window is never scaled (RFC 7323), and says nothing that matters here."""
    sender.syn, sender.scale = True, segment.scale
    sender.next = forward(segment.seq, 1 + segment.length)
    if bits & _ACK:
        sender.acked = segment.ack


def _kind(segment: Segment, sender: Side, peer: Side, still: bool) -> Kind | None:
    """What the segment is to a peer whose window is closed or silly. None: nothing of note.

    A keep-alive into a closed window with nothing unsent is the same byte for byte as a probe of Linux, and counts as
    one; only its constant period would tell.
    """
    if peer.wnd is None or peer.acked is None:
        return None
    if peer.wnd:
        return Kind.FRAGMENT if segment.length and _fills_silly_window(segment, sender, peer) else None
    offset = distance(peer.acked, segment.seq)
    if offset == -1 and not segment.length and not segment.bits & _FIN:
        return Kind.PROBE
    if offset or not segment.length:
        return None
    if sender.next is not None and before(segment.seq, sender.next):
        return Kind.RETRANSMISSION
    if segment.length == 1:
        return Kind.BYTE
    # New to us only: the original went out on an open window, which mode `proof` does not keep. That the peer's window
    # opened unseen instead is out of the question, for the sender's is closed: the peer could not send, and did not.
    return Kind.RETRANSMISSION if still and sender.wnd == segment.wnd == 0 and sender.acked == segment.ack else None


def _fills_silly_window(segment: Segment, sender: Side, peer: Side) -> bool:
    """New bytes that end exactly at the edge, shorter than what the side sends otherwise, after a timer's silence."""
    if peer.acked is None or peer.wnd is None or not (peer.syn and sender.syn) or sender.sent_ns is None:
        return False
    shift = min(peer.scale, LARGEST_SHIFT) if peer.scale is not None and sender.scale is not None else 0
    return (
        forward(segment.seq, segment.length) == forward(peer.acked, peer.wnd << shift)
        and (sender.next is None or not before(segment.seq, sender.next))
        and segment.length < sender.longest
        and segment.time_ns - sender.sent_ns >= SILENCE_NS
    )


def _sends(segment: Segment, sender: Side, fin: int) -> bool:
    """Note what the segment sends; whether any of it is new, a FIN included."""
    sender.longest = max(sender.longest, segment.length)
    end = forward(segment.seq, segment.length + fin)  # The FIN bit is 1, and takes one number.
    if sender.next is not None and not before(sender.next, end):
        return False
    sender.next = end
    return end != segment.seq


def _reopens(segment: Segment, sender: Side) -> bool:
    return sender.wnd == 0 and segment.wnd != 0 and not _is_older(segment, sender)


def _grants(segment: Segment, sender: Side, peer: Side) -> bool:
    """Note what the segment acknowledges and allows; whether it acknowledges anew. An older one says nothing."""
    if _is_older(segment, sender):
        return False
    moved = sender.acked is not None and sender.acked != segment.ack
    sender.acked, sender.wnd = segment.ack, segment.wnd
    if peer.next is None or before(peer.next, segment.ack):
        peer.next = segment.ack
    return moved


def _is_older(segment: Segment, sender: Side) -> bool:
    return sender.acked is not None and before(segment.ack, sender.acked)
