"""What is played again and again is right if it is proven each time."""

import pytest

from lab.spec import Outcome
from machines.inside.repeated import PAIRS, counted, play
from machines.row import Row

PROVEN = Row("upper", "deadlock", "deadlock", "proven", 12.0)
CONSISTENT = Row("upper", "deadlock", "deadlock", "consistent")
IDLE = Row("upper", "deadlock", "idle", right=False)


def test_proven_each_time_is_right() -> None:
    row = counted("upper", [PROVEN, PROVEN, Row("upper", "deadlock", "deadlock", "qualified", 30.0)])
    assert (row.outcome, row.grade, row.right) == ("3 of 3 deadlock", "2 proven, 1 qualified", True)
    assert (row.proof_ms, row.note) == (12.0, "at most 30 ms")


@pytest.mark.parametrize("other", [CONSISTENT, IDLE])
def test_once_not_proven_is_wrong(other: Row) -> None:
    assert not counted("upper", [PROVEN, other]).right


@pytest.mark.root
def test_the_pairs_are_played_in_one_process_each_to_its_proof() -> None:
    (row,) = play("2", "echo, squeezed")
    assert row.right, row
    assert row.outcome == f"2 of 2 {Outcome.DEADLOCK}"
    assert set(PAIRS) > {"upper", "echo, squeezed"}
