"""The peer's window is closed, and stays closed until its program reads.

It is closed where the peer offers none, the sender knows it, and nothing is on its way that the peer may yet take. It
stays closed if __tcp_select_window() cannot come to anything else with what is free; or if one exchange has shown it:
a probe that was answered, or the closing of the window itself. What an exchange has shown ends with a receive buffer
that the program has set since.
"""

from lab.evidence import SocketSample
from lab.proof.stack.history import history_of
from lab.proof.stack.in_flight import flight_of, in_motion
from lab.proof.stack.ruling import Ruling, end_of, yes
from lab.proof.stack.traits import JIFFIES_MS, RTO_MIN_MS, KernelTraits
from lab.reason import Qualifier, Reason, Why

MAX_WSCALE = 14
"""RFC 7323, 2.3: the coarsest unit of a window is 16 KiB."""

EXCHANGE_MS = 100
"""An acknowledgment this long after the last data, and a whole RTO after it, answers a probe."""


def opening(sender: SocketSample, peer: SocketSample) -> Ruling | None:
    """Why data may still leave the sender's queue without a read at the peer. None: it cannot."""
    assert peer.rcv_wnd is not None
    if peer.rcv_wnd > 0:
        return yes(Why.WINDOW_OPEN, end_of(peer), peer.rcv_wnd)
    if sender.snd_wnd:
        return yes(Why.CLOSING_NOT_HEARD, end_of(sender))
    if sender.backlog or peer.backlog:
        return yes(Why.BACKLOG, end_of(sender), end_of(peer))
    return in_motion(sender, peer) or _reopening(sender, peer)


def premises_of(sender: SocketSample, peer: SocketSample) -> tuple[str, ...]:
    """What a window that stays closed rests on."""
    shown = "seen-to-close" if _was_seen_to_close(peer) else "answered-probe"
    refused = ("refused-flight",) if flight_of(sender) else ()
    return ("window-selection" if stays_closed(peer) else shown, "window-clamp", *refused)


def _reopening(sender: SocketSample, peer: SocketSample) -> Ruling | None:
    """Why the peer's next acknowledgment might offer a window although nobody read. None: it cannot.

    What has been shown holds no longer once the program has raised its receive buffer (SO_RCVBUF, SO_RCVLOWAT), or has
    read on after shutdown(SHUT_RD), which tells nobody (tcp_cleanup_rbuf()). If the share of the buffer that makes a
    window is known, it shows: more is free than a window of 0 allows.
    """
    if stays_closed(peer):
        return None
    shown = _was_seen_to_close(peer) or (was_answered(sender) and (_has_a_ratio(peer) or is_as_it_was(sender, peer)))
    if shown and is_below_the_clamp(peer) and _is_too_little(peer):
        return None
    return yes(Why.MAY_REOPEN, end_of(peer), free_of(peer))


def unless_raised(sender: SocketSample, peer: SocketSample, kernel: KernelTraits) -> tuple[Qualifier, ...]:
    """A size that a program has set before it connected leaves the same traces as one that it has set since.

    Between two samples it may have been lowered while the window closed, and raised again.
    """
    if is_settled(peer, kernel) or stays_closed(peer) or is_as_it_was(sender, peer):
        return ()
    shown = "seen-to-close" if _was_seen_to_close(peer) else "answered-probe"
    return (Qualifier(Reason(Why.RCVBUF_MAY_BE_RAISED, (end_of(peer),)), shown),)


def is_settled(receiver: SocketSample, kernel: KernelTraits) -> bool:
    """Whether SO_RCVBUF was never set, or by a program that does it before it connects."""
    return receiver.rcvbuf_locked is False or receiver.inode in kernel.rcvbuf_settled


def was_answered(sender: SocketSample) -> bool:
    """Whether an acknowledgment came so long after the last data that it answers a probe."""
    answered_ms = sender.last_data_sent_ms - sender.last_ack_recv_ms
    return sender.backoff >= 1 and answered_ms >= max(EXCHANGE_MS, sender.rto_us // 1000 - JIFFIES_MS)


def is_as_it_was(sender: SocketSample, peer: SocketSample) -> bool:
    """Whether samples have seen the peer's buffer unchanged since before it sent what the sender heard last."""
    history = history_of(peer)
    return history is not None and history.unchanged_ms >= sender.last_ack_recv_ms + way_ms(sender)


def way_ms(sender: SocketSample) -> int:
    """What was heard may have been under way for a whole round trip, which the RTO exceeds."""
    return max(RTO_MIN_MS, sender.rto_us // 1000)


def _was_seen_to_close(receiver: SocketSample) -> bool:
    history = history_of(receiver)
    return history is not None and history.seen_to_close


def _has_a_ratio(receiver: SocketSample) -> bool:
    """Whether its largest window is its buffer by one of the 255 ratios that the kernel knows (tcp_win_from_space()).

    SO_RCVBUF on a connection changes the buffer alone: then it hardly ever is one, and may be by accident.
    """
    clamp, rcvbuf = receiver.window_clamp, receiver.rcvbuf
    if clamp is None or receiver.rcvbuf_locked is None:
        return False
    ratio = -(-(clamp << 8) // rcvbuf)
    return ratio * rcvbuf >> 8 == clamp


def stays_closed(receiver: SocketSample) -> bool:
    """The two tests of __tcp_select_window() against silly windows, strict enough to hold whatever scaling_ratio is.

    The kernel multiplies both sides by the same ratio (scaling_ratio) and rounds; hence 17 for its 16. Its mss is at
    most the full window, which window_clamp keeps above a third of the buffer; hence the quarter.
    """
    free = free_of(receiver)
    short = free < min(receiver.rcv_mss, receiver.rcvbuf // 4) or 17 * free < receiver.rcvbuf
    return short and is_below_the_clamp(receiver)


def unit_of(receiver: SocketSample) -> int:
    """Bytes: what the window in a segment is counted in, or the coarsest that it may be."""
    return 1 << (MAX_WSCALE if receiver.rcv_wscale is None else receiver.rcv_wscale)


def is_below_the_clamp(receiver: SocketSample) -> bool:
    """Whether __tcp_select_window() makes its tests at all: it does below half of TCP_WINDOW_CLAMP.

    What keeps a window closed is less than a sixteenth of the buffer, or than a segment, rounded up to its unit.
    """
    clamp = receiver.window_clamp
    if clamp is None:
        return False
    most = min(free_of(receiver), max(receiver.rcvbuf // 16, receiver.rcv_mss) + unit_of(receiver))
    return 2 * most < clamp and receiver.rcv_mss <= clamp


def stays_shut_after(receiver: SocketSample) -> bool:
    """Whether what is free is under a sixteenth of the buffer, so that any less of it makes no window either."""
    return 17 * free_of(receiver) < receiver.rcvbuf and is_below_the_clamp(receiver)


def _is_too_little(receiver: SocketSample) -> bool:
    """Whether what is free comes to no window, by the share of the buffer that the largest window is.

    That is scaling_ratio while the kernel sets both, and less of it once the program has raised the buffer.
    """
    clamp, unit = receiver.window_clamp, 1 << (receiver.rcv_wscale or 0)
    if clamp is None:
        return False
    window = (free_of(receiver) * clamp // receiver.rcvbuf - 1) // unit * unit
    return window < max(clamp // 16, receiver.rcv_mss)


def free_of(receiver: SocketSample) -> int:
    return receiver.rcvbuf - receiver.rmem_alloc
