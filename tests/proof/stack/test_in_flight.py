"""What is on its way between the two ends."""

from typing import Any

from lab.proof.stack import could_write
from lab.proof.stack.in_flight import in_motion, received_unacked
from lab.proof.stack.ruling import Possible
from tests.proof.frozen_pair import client, server


def test_data_in_flight_that_the_peer_has_refused_is_no_motion() -> None:
    refused = client(notsent_bytes=7264, unacked=1, backoff=1, timer="on")
    assert could_write(refused, server()).possible is Possible.NO


def test_a_received_byte_of_which_the_acknowledgment_is_on_its_way_is_motion() -> None:
    """Whose `bytes_acked` counts the SYN shows in a difference of -1; where none is -1, either may hide a byte."""
    flight = client(notsent_bytes=7264, unacked=2, backoff=1)
    assert could_write(flight, server(bytes_received=9096)).possible is Possible.YES
    assert could_write(flight, server(bytes_received=9001)).possible is Possible.YES
    assert could_write(flight, server()).possible is Possible.NO
    passive = server(notsent_bytes=7264, unacked=2, backoff=1)
    assert could_write(passive, client(bytes_received=9001)).possible is Possible.YES
    assert could_write(passive, client()).possible is Possible.NO


SENT: dict[str, Any] = {"notsent_bytes": 7264, "backoff": 1, "timer": "on"}
"""96 bytes are in flight."""


def test_a_single_byte_of_a_packet_cannot_have_arrived() -> None:
    """Either may have connected, so one byte is in doubt: not if it belongs to a packet of several."""
    peer = server(**SENT, unacked=2, bytes_received=9001)
    assert received_unacked(client(**SENT, unacked=2), peer) == (0, 1)
    assert in_motion(client(**SENT, unacked=2), peer)
    assert in_motion(client(**SENT, unacked=1), peer) is None
    assert in_motion(client(**SENT | {"notsent_bytes": 7359}, unacked=1), peer), "a packet of one byte"


def test_a_byte_that_has_surely_arrived_is_motion_whatever_it_was_sent_in() -> None:
    peer = server(bytes_received=9001)
    assert received_unacked(client(**SENT, unacked=1), peer) == (1, 1)
    assert in_motion(client(**SENT, unacked=1), peer)
