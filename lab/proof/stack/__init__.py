"""Could the two TCP stacks alone, without any program, let a blocked writer go on, or bring a waiting reader something?

S is the sender, P its peer. `could_write` asks the arguments one after the other; the first that rules decides.

* `ruling`: what a ruling is. `traits`: what is known of the kernel. `in_flight`: what is on its way.
* `history`: what several samples of one socket show together.
* `closed_window`: P's window is closed for good; `unseen_window`: the same where P's kernel does not tell its window.
* `ack_starvation`: no acknowledgment of P reaches S.
* `silly_window`: P takes one small segment more. `capacity`: P could not take it all, whatever its window.
* `send_buffer`: what stays queued, against the largest buffer that S may ever get.

Outside of this model, as any outside intervention: sysctls or socket options that somebody else changes later, global
TCP memory pressure (tcp_mem), sockets fed by BPF. What kTLS or MPTCP would do is not known.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from lab.evidence import SocketSample
from lab.proof.stack import closed_window, unseen_window
from lab.proof.stack.ack_starvation import starved_reader, starved_writer
from lab.proof.stack.capacity import capacity
from lab.proof.stack.ruling import Argument, Ends, Possible, Ruling, end_of, unknown, yes
from lab.proof.stack.send_buffer import has_room, has_too_much_unsent, largest_sndbuf, least_queued, sealed, unless_cut
from lab.proof.stack.silly_window import silly_window
from lab.proof.stack.traits import UNKNOWN_KERNEL, KernelTraits
from lab.reason import Qualifier, Reason, Why

OPEN_STATES = frozenset({"ESTABLISHED", "CLOSE-WAIT"})

UNANSWERED = 2
"""Probes, or retransmissions, without an answer."""


class Direction:
    """From one sender to its peer; what several arguments ask for is worked out once."""

    def __init__(self, sender: SocketSample, peer: SocketSample, kernel: KernelTraits) -> None:
        self.sender, self.peer, self.kernel = sender, peer, kernel

    @cached_property
    def opening(self) -> Ruling | None:
        """Why the peer may take more. None: its window is closed for good."""
        if self.sender.snd_wnd is None:
            return unknown(Why.NO_SND_WND, end_of(self.sender))
        if self.peer.rcv_wnd is None:
            return unseen_window.opening(self.sender, self.peer, self.kernel)
        return closed_window.opening(self.sender, self.peer)

    @property
    def premises(self) -> tuple[str, ...]:
        """What a window that is closed for good rests on."""
        if self.peer.rcv_wnd is None:
            return (*unseen_window.premises_of(self.sender, self.peer, self.kernel), "right-edge")
        return (*closed_window.premises_of(self.sender, self.peer), "right-edge")

    @property
    def qualifiers(self) -> tuple[Qualifier, ...]:
        if self.peer.rcv_wnd is None:
            return unseen_window.unless_lowered(self.sender, self.peer, self.kernel)
        return closed_window.unless_raised(self.sender, self.peer, self.kernel)

    @cached_property
    def arrival(self) -> Ruling:
        """Whether data may come to the sender, and wake its writer."""
        return could_receive_data(self.sender, self.peer, self.kernel)


def _no_longer_open(way: Direction) -> Ruling | None:
    """The connection may end, or is none that the arguments are about."""
    for end in (way.sender, way.peer):
        if end.state not in OPEN_STATES:
            return unknown(Why.STATE_NOT_UNDERSTOOD, end_of(end), end.state)
        if end.wqueue and end.user_timeout_ms is None:
            return unknown(Why.NO_USER_TIMEOUT, end_of(end))
        if end.wqueue and end.user_timeout_ms:
            return yes(Why.USER_TIMEOUT, end_of(end), end.user_timeout_ms)
        if end.timer == "keepalive" and end.probes:
            return yes(Why.KEEPALIVE_UNANSWERED, end_of(end), end.probes)
        if end.ulp is None:
            return unknown(Why.NO_ULP, end_of(end))
        if end.ulp:
            return unknown(Why.ULP, end.ulp, end_of(end))
    return None


def _has_room(way: Direction) -> Ruling | None:
    sender = way.sender
    if sender.wqueue == 0:
        return yes(Why.NOTHING_QUEUED, end_of(sender))
    if has_room(sender.wmem_queued, sender.sndbuf) and not has_too_much_unsent(sender, way.kernel):
        return yes(Why.HAS_ROOM, end_of(sender), sender.wmem_queued, sender.sndbuf)
    return None


def _window_stays_closed(way: Direction) -> Ruling | None:
    if way.opening is not None:
        return None
    sender, peer, kernel = way.sender, way.peer, way.kernel
    if has_too_much_unsent(sender, kernel):
        reason = Reason(Why.TOO_MUCH_UNSENT, (end_of(sender), sender.notsent_bytes))
        found = Ruling(Possible.NO, reason, Argument.CLOSED_WINDOW, queue_full=True, premises=("unsent-limit",))
        return _behind_closed_window(way, found)
    most = largest_sndbuf(sender, peer, kernel)
    found = sealed(sender, least_queued(sender), way.arrival, most, Argument.CLOSED_WINDOW)
    return _behind_closed_window(way, found) if found.excluded else found


def _behind_closed_window(way: Direction, found: Ruling) -> Ruling:
    sender = way.sender
    found = _limited(way, found, "packet-merging")
    ends = Ends.BY_TCP_RETRIES2 if is_silent(sender) else found.ends
    return replace(
        found, ends=ends, qualifiers=(*way.qualifiers, *found.qualifiers), premises=(*way.premises, *found.premises)
    )


def _ack_starved(way: Direction) -> Ruling | None:
    return starved_writer(way.sender, way.peer, way.kernel)


def _silly_window(way: Direction) -> Ruling | None:
    found = silly_window(way.sender, way.peer, way.arrival, way.kernel)
    return found and _limited(way, found, "silly-window")


def _capacity(way: Direction) -> Ruling | None:
    found = capacity(way.sender, way.peer, way.arrival, way.kernel)
    return found and _limited(way, found, "capacity")


def _limited(way: Direction, found: Ruling, premise: str) -> Ruling:
    """A `NO` with what limits it: that TCP may give up, and what the size of the send buffer rests on."""
    return replace(
        found,
        ends=Ends.BY_TCP_RETRIES2 if way.kernel.gives_up else found.ends,
        qualifiers=(*unless_cut(way.sender, way.kernel), *found.qualifiers),
        premises=(premise, "send-buffer-growth", *found.premises),
    )


ARGUMENTS: tuple[Callable[[Direction], Ruling | None], ...] = (
    _no_longer_open,
    _has_room,
    _window_stays_closed,
    _ack_starved,
    _silly_window,
    _capacity,
)
"""In this order. None is no ruling: the next is asked."""


def could_write(sender: SocketSample, peer: SocketSample, kernel: KernelTraits = UNKNOWN_KERNEL) -> Ruling:
    """Whether the stacks could let a writer on `sender` go on."""
    way = Direction(sender, peer, kernel)
    for argument in ARGUMENTS:
        if found := argument(way):
            return found
    assert way.opening is not None
    return way.opening


def could_read(receiver: SocketSample, peer: SocketSample, kernel: KernelTraits = UNKNOWN_KERNEL) -> Ruling:
    """Whether the stacks could make `receiver` readable, or whether it is."""
    if receiver.rqueue > 0:
        return yes(Why.READABLE, end_of(receiver), receiver.rqueue)
    if receiver.state == "CLOSE-WAIT":
        return yes(Why.PEER_HAS_ENDED, end_of(receiver))
    return could_receive_data(receiver, peer, kernel)


def could_receive_data(receiver: SocketSample, peer: SocketSample, kernel: KernelTraits = UNKNOWN_KERNEL) -> Ruling:
    """Whether the stacks could bring new data, whatever is already there: what an edge-triggered reader waits for."""
    way = Direction(peer, receiver, kernel)
    if hindrance := _no_longer_open(way):
        return hindrance
    if peer.wqueue == 0:
        return Ruling(Possible.NO, Reason(Why.NOTHING_TO_SEND, (end_of(peer),)), Argument.NOTHING_QUEUED)
    if way.opening is None:
        reason = Reason(Why.CLOSED_FOR_GOOD, (end_of(receiver),))
        return Ruling(Possible.NO, reason, Argument.CLOSED_WINDOW, qualifiers=way.qualifiers, premises=way.premises)
    return starved_reader(receiver, peer, kernel) or way.opening


def could_signal_writable(sender: SocketSample, peer: SocketSample, kernel: KernelTraits = UNKNOWN_KERNEL) -> Ruling:
    """Whether the stacks could announce room once more: what an edge-triggered writer waits for.

    sk_stream_write_space() is called for arriving segments only. None arrives while neither end has anything to send.
    """
    if hindrance := _no_longer_open(Direction(sender, peer, kernel)):
        return hindrance
    if sender.wqueue == 0 and peer.wqueue == 0:
        return Ruling(Possible.NO, Reason(Why.NEITHER_SENDS, (end_of(sender),)), Argument.NOTHING_QUEUED)
    return could_write(sender, peer, kernel)


def is_silent(sender: SocketSample) -> bool:
    """Whether its last two probes, or its last retransmission, had no answer of the peer's host.

    One probe may be left out by a living peer (rate limits). Without data the same counter is of keep-alives.
    """
    if sender.timer == "on":
        return sender.backoff >= UNANSWERED and sender.last_ack_recv_ms * 1000 > sender.rto_us
    return sender.wqueue > 0 and sender.probes >= UNANSWERED
