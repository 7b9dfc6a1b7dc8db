"""Data on its way between the two ends: what was sent and not acknowledged, and what of it may have arrived.

The two sockets are read one after the other, but while no program runs their counters only grow, so the differences
bound what is under way. `bytes_acked` of the end that connected counts its SYN.
"""

from lab.evidence import SocketSample
from lab.proof.stack.ruling import Ruling, end_of, yes
from lab.reason import Why


def flight_of(sender: SocketSample) -> int:
    """Bytes that were sent and not acknowledged."""
    return sender.wqueue - sender.notsent_bytes


def received_unacked(sender: SocketSample, peer: SocketSample) -> tuple[int, int]:
    """Minimum and maximum of the bytes that the peer has received and the sender does not yet know of.

    The SYN makes the difference of the end that connected one too small. Which end that is shows where one of the two
    cannot be it; else it may be either.
    """
    there = peer.bytes_received - sender.bytes_acked
    back = sender.bytes_received - peer.bytes_acked
    if there < 0:
        return 0, 0
    if not _may_have_arrived(peer, back):  # the peer has connected
        return there, there
    if not _may_have_arrived(peer, back + 1):  # the sender has
        return there + 1, there + 1
    return there, there + 1


def _may_have_arrived(sender: SocketSample, count: int) -> bool:
    """Whether so many bytes of the flight may have arrived: a packet arrives as a whole, or not at all."""
    flight = flight_of(sender)
    if sender.unacked == 1:
        return count in (0, flight)
    return 0 <= count <= flight


def in_motion(sender: SocketSample, peer: SocketSample) -> Ruling | None:
    """Data on its way, or received with its acknowledgment on its way. None: there is none, or it was refused."""
    flight = flight_of(sender)
    if flight == 0 and sender.unacked == 0:
        return None
    if flight <= 0:
        return yes(Why.COUNTERS_DO_NOT_FIT, end_of(sender))
    if sender.backoff == 0:
        return yes(Why.NOT_YET_REFUSED, flight, end_of(sender))
    low, high = received_unacked(sender, peer)
    # A packet of several bytes is received whole or not at all: tcp_data_queue() trims no tail.
    if high > 0 and not (low == 0 and sender.unacked == 1 and flight > 1):
        return yes(Why.ACKNOWLEDGMENT_UNDER_WAY, end_of(peer), high)
    return None


def are_one_connection(one: SocketSample, other: SocketSample) -> bool:
    """Whether each has received what the other knows of, and of the rest no more than is in flight.

    Else they are ends of two connections with the same addresses: networks that overlap, or a proxy that connects by
    its client's address (TPROXY). A SYN is counted as acknowledged.
    """
    return all(
        -1 <= there.bytes_received - here.bytes_acked <= flight_of(here) for here, there in ((one, other), (other, one))
    )
