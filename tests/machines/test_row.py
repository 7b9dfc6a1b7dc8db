"""A row tells right from wrong, and a false proof from a wrong word."""

from typing import Any

import pytest

from machines.row import Row, from_line, judged, to_line, wrong


def document(outcome: str, grade: str | None = None, proved_ns: int | None = None) -> dict[str, Any]:
    return {"outcome": outcome, "grade": grade, "seal_ns": 1_000_000_000, "proved_ns": proved_ns}


@pytest.mark.parametrize("grade", ["proven", "proven-closed-world", "qualified", "proven-until"])
def test_a_proof_where_none_is_due_is_a_false_proof(grade: str) -> None:
    row = judged("watch", ("suspended",), document("deadlock", grade))
    assert (row.right, row.false_proof, row.verdict) == (False, True, "FALSE PROOF")


def test_a_deadlock_that_is_not_proven_is_wrong_and_no_false_proof() -> None:
    row = judged("watch", ("suspended",), document("deadlock", "consistent"))
    assert (row.right, row.false_proof, row.verdict) == (False, False, "WRONG")


def test_a_proof_that_is_due_is_right_and_has_its_time() -> None:
    row = judged("run", ("deadlock",), document("deadlock", "proven", 1_250_000_000))
    assert (row.verdict, row.proof_ms) == ("right", 250.0)


def test_each_of_several_expected_outcomes_is_right() -> None:
    assert all(judged("watch", ("idle", "read-read"), document(each)).right for each in ("idle", "read-read"))
    assert not judged("watch", ("idle", "read-read"), document("moving")).right


@pytest.mark.parametrize(
    "row", [judged("run", ("deadlock",), document("deadlock", "proven", 5)), wrong("run", "x", "y")]
)
def test_a_row_comes_out_of_a_place_as_it_went_in(row: Row) -> None:
    assert from_line(to_line(row)) == row


def test_what_a_program_prints_is_no_row() -> None:
    assert from_line("rows of figures") is None
