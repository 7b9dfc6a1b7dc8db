"""The peer's window where its kernel does not tell it: below Linux 6.2 tcp_info has no tcpi_rcv_wnd.

The sender knows what it was told last: `snd_wnd` and `snd_una` come from one segment of the peer. With nothing in
flight and all bytes acknowledged that the peer has received, the peer's right edge was its rcv_nxt when it sent that
segment. Since then no data has come to the peer, so less than then is in its buffer, or as much. If
__tcp_select_window() gives 0 with what is free now, it gave 0 for every acknowledgment since.
"""

from collections.abc import Iterator

from lab.evidence import SocketSample
from lab.proof.stack.closed_window import (
    is_as_it_was,
    is_below_the_clamp,
    is_settled,
    stays_closed,
    was_answered,
    way_ms,
)
from lab.proof.stack.in_flight import flight_of, received_unacked
from lab.proof.stack.ruling import Ruling, end_of, unknown, yes
from lab.proof.stack.traits import KernelTraits
from lab.reason import Qualifier, Reason, Why


def opening(sender: SocketSample, peer: SocketSample, kernel: KernelTraits) -> Ruling | None:
    """As `closed_window.opening`, of a peer whose window is not known."""
    if sender.snd_wnd:
        return yes(Why.CLOSING_NOT_HEARD, end_of(sender))
    if sender.backlog or peer.backlog:
        return yes(Why.BACKLOG, end_of(sender), end_of(peer))
    if sender.unacked or flight_of(sender):
        refused = sender.backoff > 0
        return unknown(Why.NO_RCV_WND, end_of(peer)) if refused else _in_flight(sender)
    received = peer.bytes_received - sender.bytes_acked
    if received not in (0, -1) or received_unacked(sender, peer) != (0, 0):
        return yes(Why.ACKNOWLEDGMENT_UNDER_WAY, end_of(peer), received)
    if any(rules(sender, peer, kernel)):
        return None
    if peer.inode in kernel.adv_win_scale_of:
        return yes(Why.MAY_REOPEN, end_of(peer), peer.rcvbuf - peer.rmem_alloc)
    return unknown(Why.NO_RCV_WND, end_of(peer))


def _in_flight(sender: SocketSample) -> Ruling:
    return yes(Why.NOT_YET_REFUSED, flight_of(sender), end_of(sender))


def premises_of(sender: SocketSample, peer: SocketSample, kernel: KernelTraits) -> tuple[str, ...]:
    return ("unseen-window", *next(rules(sender, peer, kernel), ()))


def unless_lowered(sender: SocketSample, peer: SocketSample, kernel: KernelTraits) -> tuple[Qualifier, ...]:
    """A program that lowers SO_RCVBUF while a window update is lost leaves a window that its buffer no longer explains.

    That is excluded where SO_RCVBUF was never set, or by a program that does it before it connects; where samples
    show the buffer unchanged since before the last acknowledgment was sent; or where the largest window is what the
    kernel makes of the buffer.
    """
    if is_settled(peer, kernel) or is_as_it_was(sender, peer) or _fits_the_clamp(peer, kernel):
        return ()
    return (Qualifier(Reason(Why.RCVBUF_MAY_BE_LOWERED, (end_of(peer),)), "unseen-window"),)


def rules(sender: SocketSample, peer: SocketSample, kernel: KernelTraits) -> Iterator[tuple[str, ...]]:
    """The premises of each rule by which the window is 0, the most direct first. None, if it may be another."""
    if stays_closed(peer):
        yield "window-selection", "window-clamp"
    scale = kernel.adv_win_scale_of.get(peer.inode)
    if scale is not None and selects_none(peer, scale):
        yield ("window-selection-by-scale",)
    if was_answered(sender) and _by_no_data(sender, peer) and is_as_it_was(sender, peer) and is_below_the_clamp(peer):
        yield "answered-probe", "window-clamp"


def _by_no_data(sender: SocketSample, peer: SocketSample) -> bool:
    """Whether what the sender heard last was a segment without data.

    Data that the peer sends again is an acknowledgment, too, but its window is ignored: its sequence number is older
    than that of the last window update (tcp_may_update_window(), SND.WL1 of RFC 9293, 3.10.7.4). Nor may the peer have
    anything in flight: it could send that again after it was read, and before the sender is.
    """
    return peer.unacked == 0 and peer.last_data_sent_ms > sender.last_ack_recv_ms + way_ms(sender)


def share(space: int, scale: int) -> int:
    """tcp_win_from_space(): how much of so many bytes makes a window, by tcp_adv_win_scale."""
    return space - (space >> scale) if scale > 0 else space >> -scale


def selects_none(receiver: SocketSample, scale: int) -> bool:
    """__tcp_select_window() to the bit, as it is from Linux 5.4 to 6.5: whether it gives 0."""
    if receiver.window_clamp is None:
        return False
    allowed = share(receiver.rcvbuf, scale)
    full = min(receiver.window_clamp, allowed)
    mss = min(receiver.rcv_mss, full)
    if mss <= 0:
        return True
    free = share(receiver.rcvbuf - receiver.rmem_alloc, scale)
    if free >= full >> 1:
        return False
    unit = 1 << (receiver.rcv_wscale or 0)
    free = free // unit * unit
    return free < allowed >> 4 or free < mss


def _fits_the_clamp(receiver: SocketSample, kernel: KernelTraits) -> bool:
    """Whether TCP_WINDOW_CLAMP is what tcp_init_buffer_space() and autotuning make of the buffer as it is now."""
    scale = kernel.adv_win_scale_of.get(receiver.inode)
    if scale is None or receiver.window_clamp is None:
        return False
    whole = share(receiver.rcvbuf, scale)
    two = 2 * receiver.advmss if receiver.advmss else whole
    first = max(two, whole - (receiver.advmss or 0)) if two < whole else whole
    return receiver.window_clamp in (whole, first)
