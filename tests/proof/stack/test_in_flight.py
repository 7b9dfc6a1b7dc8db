"""What is on its way between the two ends."""

from lab.proof.stack import could_write
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
