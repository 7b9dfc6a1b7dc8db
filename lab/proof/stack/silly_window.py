"""The peer's window takes one small segment more, less than a full one, and nothing after it.

That segment waits for the persist timer: the sender avoids silly windows (RFC 9293, 3.8.6.2.1). Too much remains
queued after it for the writer to go on.
"""

from lab.evidence import SocketSample
from lab.proof.stack.closed_window import free_of, stays_shut_after
from lab.proof.stack.in_flight import received_unacked
from lab.proof.stack.ruling import Argument, Ruling
from lab.proof.stack.send_buffer import BBR_PROBE_RTT_CWND, KNOWN_CONGESTION, largest_sndbuf, pacing_is_over, sealed
from lab.proof.stack.traits import KernelTraits

ROUND_ONE_PACKET = 8192
"""Bytes that one packet may take of a receive buffer beside its payload: the pages that a driver fills it into."""

RISE = 2
"""Segments: at most so far cwnd rises for one more packet (tcp_slow_start(), tcp_cong_avoid_ai(), bbr_set_cwnd())."""


def silly_window(sender: SocketSample, peer: SocketSample, arrival: Ruling, kernel: KernelTraits) -> Ruling | None:
    if not _only_a_small_segment_fits(sender, peer):
        return None
    left = sender.wqueue - (peer.rcv_wnd or 0)
    found = sealed(sender, left, arrival, largest_sndbuf(sender, peer, kernel, RISE), Argument.SILLY_WINDOW)
    return found if found.excluded else None


def _only_a_small_segment_fits(sender: SocketSample, peer: SocketSample) -> bool:
    """Whether the window takes one segment more, and then stays closed.

    The head of the queue does not fit: tcp_write_xmit() would have sent it, were it not for pacing, which is over. So
    tcp_write_wakeup() sends exactly what fits, in one packet. The peer takes it without tcp_prune_queue(), which alone
    could make room without a read; and what was too little to offer is less then.
    """
    if sender.snd_wnd is None or sender.snd_wnd != peer.rcv_wnd or not 0 < sender.snd_wnd < sender.snd_mss:
        return False
    return (
        _waits_for_its_persist_timer(sender)
        and not sender.backlog
        and not peer.backlog
        and _grows_by_little(sender)
        and received_unacked(sender, peer)[0] == 0
        and free_of(peer) >= sender.snd_wnd + ROUND_ONE_PACKET
        and stays_shut_after(peer)
    )


def _waits_for_its_persist_timer(sender: SocketSample) -> bool:
    """Nothing is in flight, and all of the queue waits."""
    unsent = sender.unacked == 0 and sender.notsent_bytes == sender.wqueue
    return sender.timer == "persist" and unsent and pacing_is_over(sender)


def _grows_by_little(sender: SocketSample) -> bool:
    """Whether it is known how far one acknowledged packet lets cwnd rise."""
    known = sender.ca_state == 0 and sender.congestion in KNOWN_CONGESTION
    return known and sender.snd_cwnd > BBR_PROBE_RTT_CWND
