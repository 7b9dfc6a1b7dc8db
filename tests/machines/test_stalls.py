"""What the places play about rings and unseen peers is true here, too."""

import pytest

from machines.inside.stalls import FAR_PEERS, one_end, ring

pytestmark = pytest.mark.root


@pytest.mark.parametrize(("mode", "writes", "outcome"), FAR_PEERS[:2])
def test_of_an_unseen_peer_nothing_is_proven(mode: str, writes: bool, outcome: str) -> None:
    row = one_end("x", mode, outcome, writes=writes)
    assert (row.outcome, row.right, row.false_proof) == (outcome, True, False), row
    assert row.grade in ("", "consistent")


def test_a_ring_is_proven_as_one_knot() -> None:
    assert ring(3).right
