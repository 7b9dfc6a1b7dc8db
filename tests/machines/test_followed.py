"""What moves after a claim refutes it, and what moved before does not."""

from typing import Any

import pytest

from machines.inside.followed import Claim, Followed
from tests.proof.frozen_pair import client, server

CLOSED, BLOCKED = Claim("closed"), Claim("blocked", of_writer=True)


def followed() -> Followed:
    """Two samples of a frozen direction, 100 ms apart, and both claims by the first."""
    direction = Followed(began_ms=0)
    direction.see(100, client(), server())
    direction.claim(100, (CLOSED, BLOCKED))
    direction.see(200, client(), server())
    return direction


def test_a_claim_stands_from_when_it_was_made_first_while_nothing_moves() -> None:
    direction = followed()
    direction.claim(200, (CLOSED,))
    assert direction.claims == {CLOSED: 100, BLOCKED: 100}
    assert not direction.refuted


@pytest.mark.parametrize(
    ("here", "there", "refuted"),
    [
        ({"bytes_acked": 9002, "wqueue": 7359}, {}, [CLOSED]),
        ({}, {"bytes_received": 9001}, [CLOSED]),
        ({"snd_wnd": 1}, {}, [CLOSED]),
        ({"wqueue": 9000}, {}, [BLOCKED]),
        ({"backoff": 3, "probes": 1, "last_ack_recv_ms": 7}, {"rmem_alloc": 8191, "drops": 2}, []),
    ],
)
def test_what_moves_refutes_the_claim_that_it_cannot(
    here: dict[str, Any], there: dict[str, Any], refuted: list[Claim]
) -> None:
    direction = followed()
    direction.see(300, client(**here), server(**there))
    assert direction.refuted == refuted
    assert set(direction.claims) == {CLOSED, BLOCKED} - set(refuted)


def test_a_writer_is_blocked_since_the_first_argument_that_says_so() -> None:
    direction = followed()
    direction.claim(200, (Claim("capacity", of_writer=True),))
    assert direction.blocked_ms == 100


def test_a_writer_that_goes_on_is_not_blocked_whatever_has_been_said() -> None:
    direction = followed()
    direction.claim(200, (Claim("capacity", of_writer=True),))
    direction.see(300, client(wqueue=9000), server())
    assert direction.blocked_ms is None
    assert direction.refuted == [BLOCKED, Claim("capacity", of_writer=True)]


def test_a_window_that_is_open_in_truth_refutes_a_claim_that_it_is_closed() -> None:
    direction = followed()
    direction.opened()
    assert direction.refuted == [CLOSED]


def test_the_last_byte_moved_after_the_sample_before_that_which_shows_it() -> None:
    direction = followed()
    assert direction.moved_ms == 0
    direction.see(300, client(wqueue=9000), server())
    assert direction.moved_ms == 200
    direction.see(400, client(wqueue=9000, backoff=2), server())
    assert direction.moved_ms == 200


def test_still_is_what_has_something_to_send_and_did_not_move_for_a_second() -> None:
    direction = followed()
    assert direction.is_still(1000)
    assert not direction.is_still(999)
    direction.see(900, client(wqueue=0), server())
    assert not direction.is_still(5000)
