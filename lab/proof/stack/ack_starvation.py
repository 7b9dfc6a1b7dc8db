"""ACK starvation: nothing that the peer sends can reach the sender, since all of it lies beyond its closed window.

tcp_acceptable_seq() numbers the peer's pure acknowledgments with its snd_nxt, if that is less than one unit of its own
window scale beyond the sender's window. tcp_sequence() drops them there, and the peer's data as well. An acknowledgment
that the peer sent before that data is taken; none is under way once the data is older than the peer's time-out. A
backoff of the peer is no evidence of that: it stays from older data until a round trip is measured (RFC 6298, 5).
"""

from lab.evidence import SocketSample
from lab.proof.stack.closed_window import stays_closed
from lab.proof.stack.in_flight import flight_of, received_unacked
from lab.proof.stack.ruling import Argument, Ends, Possible, Ruling, end_of
from lab.proof.stack.send_buffer import least_queued
from lab.proof.stack.traits import JIFFIES_MS, RTO_MIN_MS, KernelTraits
from lab.reason import Reason, Why

PREMISES = ("ack-starvation", "window-selection", "window-clamp")


def starved_writer(sender: SocketSample, peer: SocketSample, kernel: KernelTraits) -> Ruling | None:
    """The writer's queue stays as it is: no acknowledgment empties it."""
    if not _is_starved(sender, peer, kernel):
        return None
    facts = (end_of(sender), sender.wmem_queued, sender.sndbuf)
    full = least_queued(sender) >= sender.sndbuf
    return Ruling(
        Possible.NO, Reason(Why.ACK_STARVED, facts), Argument.ACK_STARVATION,
        queue_full=full, ends=Ends.BY_TCP_RETRIES2, premises=PREMISES,
    )  # fmt: skip


def starved_reader(receiver: SocketSample, peer: SocketSample, kernel: KernelTraits) -> Ruling | None:
    """The reader gets nothing new: its peer is starved, and sends again only what the reader has."""
    if not (_is_starved(peer, receiver, kernel) and _only_repeats(peer, receiver)):
        return None
    reason = Reason(Why.ONLY_REPEATS, (end_of(peer), end_of(receiver)))
    return Ruling(Possible.NO, reason, Argument.ACK_STARVATION, ends=Ends.BY_TCP_RETRIES2, premises=PREMISES)


def _is_starved(sender: SocketSample, peer: SocketSample, kernel: KernelTraits) -> bool:
    if not kernel.drops_beyond_window or peer.rcv_wscale is None:
        return False
    if sender.rcv_wnd != 0 or sender.rqueue == 0 or sender.backoff == 0 or not _all_has_arrived(sender, peer):
        return False
    flight = flight_of(peer)
    _, high = received_unacked(peer, sender)
    # A first packet that has arrived is taken each time that it is sent again, and its acknowledgment with it.
    beyond = flight - high >= 1 and (high == 0 or peer.unacked == 1)
    return stays_closed(sender) and beyond and flight < 1 << peer.rcv_wscale


def _all_has_arrived(sender: SocketSample, peer: SocketSample) -> bool:
    """Whether the peer's last data, and so all before it, has arrived or is lost since before either sample.

    The time-out is that of RFC 6298, 2, without backoff: the peer doubles it with each segment that it sends again.
    """
    if sender.backlog or peer.backlog or peer.rtt_us is None or peer.rttvar_us is None:
        return False
    timeout_ms = peer.rtt_us / 1000 + max(RTO_MIN_MS, 4 * peer.rttvar_us / 1000)
    apart_ms = max(0, peer.time_ns - sender.time_ns) / 1_000_000
    return peer.last_data_sent_ms - JIFFIES_MS > timeout_ms + apart_ms


def _only_repeats(sender: SocketSample, peer: SocketSample) -> bool:
    """Whether a starved sender's retransmissions, or probes, are all old to its peer.

    Without an acknowledgment it repeats the head of its queue only, and its cwnd of 1 lets nothing new out.
    """
    flight = flight_of(sender)
    return 0 < flight <= received_unacked(sender, peer)[0] or (flight == 0 and sender.snd_wnd == 0)
