"""What the lab's rules claim of one direction of a connection; and what they would if they were blind to one fact."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from lab.evidence import EarlierSample, SocketSample
from lab.proof.stack import Direction, closed_window, unseen_window
from lab.proof.stack.traits import KernelTraits

AN_HOUR_NS = 3600 * 10**9
Ends: TypeAlias = tuple[SocketSample, SocketSample]
"""Of the sender and its peer."""


def closed_by(sender: SocketSample, peer: SocketSample, kernel: KernelTraits) -> tuple[str, ...]:
    """The rules, by their premises, that claim the peer's window closed until its program reads."""
    if Direction(sender, peer, kernel).opening is not None:
        return ()
    if peer.rcv_wnd is None:
        return tuple(premises[0] for premises in unseen_window.rules(sender, peer, kernel))
    return closed_window.premises_of(sender, peer)[:1]


def _free(sender: SocketSample, peer: SocketSample) -> Ends:
    return sender, replace(peer, rmem_alloc=peer.rcvbuf)


def _in_flight(sender: SocketSample, peer: SocketSample) -> Ends:
    return replace(sender, unacked=0, notsent_bytes=sender.wqueue), peer


def _acknowledged(sender: SocketSample, peer: SocketSample) -> Ends:
    return sender, replace(peer, bytes_received=sender.bytes_acked - 1)  # the SYN may be one of them


def _window(sender: SocketSample, peer: SocketSample) -> Ends:
    return replace(sender, snd_wnd=0), peer if peer.rcv_wnd is None else replace(peer, rcv_wnd=0)


def _unchanged(sender: SocketSample, peer: SocketSample) -> Ends:
    """As if the peer's buffer had been seen unchanged for long: then any answered probe is enough."""
    names = EarlierSample.__dataclass_fields__
    now = EarlierSample(**{name: getattr(peer, name) for name in names})
    return sender, replace(peer, earlier=(replace(now, time_ns=now.time_ns - AN_HOUR_NS),))


def _sent_again(sender: SocketSample, peer: SocketSample) -> Ends:
    return sender, replace(peer, last_data_sent_ms=AN_HOUR_NS // 1_000_000)


BLIND: dict[str, Callable[[SocketSample, SocketSample], Ends]] = {
    "what is free": _free,
    "what is in flight": _in_flight,
    "what is acknowledged": _acknowledged,
    "the window heard of": _window,
    "a change of the buffer": _unchanged,
    "what is sent again": _sent_again,
}
"""By the condition that is dropped. Claims made so must be refuted: else the tool could not refute the true ones."""


def closed_if_blind(condition: str, sender: SocketSample, peer: SocketSample, kernel: KernelTraits) -> bool:
    return Direction(*BLIND[condition](sender, peer), kernel).opening is None
