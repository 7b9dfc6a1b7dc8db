"""Verdicts of one knot are told together, and numbered for JSON."""

from dataclasses import replace

from lab.evidence import Wants
from lab.report.knots import in_a_knot, numbered, together
from lab.spec import Grade, Outcome
from lab.verdict import Edge, Witness
from tests.report.report_samples import verdict, without_freeze

SEEN = (Witness.PROGRAM, Witness.KERNEL)
A, B, C = "1/1 a", "2/2 b", "3/3 c"
RING = verdict(
    grade=Grade.QUALIFIED,
    cycle=(Edge(A, Wants.WRITE, B, SEEN), Edge(B, Wants.WRITE, C, SEEN), Edge(C, Wants.WRITE, A, SEEN)),
    tail=(Edge("4/4 d", Wants.READ, A, SEEN),),
)
PAIR = verdict(grade=Grade.PROVEN, cycle=(Edge(A, Wants.WRITE, B, SEEN), Edge(B, Wants.WRITE, A, SEEN)))
SUSPECTED, IDLE = verdict(grade=Grade.CONSISTENT), without_freeze(Outcome.IDLE)
ALL = [RING, IDLE, PAIR, replace(RING, client="198.18.0.7:1"), SUSPECTED, SUSPECTED]


def test_only_a_proof_makes_a_knot() -> None:
    assert [in_a_knot(each) for each in ALL] == [True, False, True, True, False, False]


def test_those_of_one_knot_are_told_together_where_the_first_stands() -> None:
    assert together(ALL) == [[ALL[0], ALL[3]], [IDLE], [PAIR], [SUSPECTED], [SUSPECTED]]


def test_a_knot_has_its_connections_and_what_its_proof_rests_on() -> None:
    ids, (ring, pair) = numbered(ALL)
    assert ids == [0, None, 1, 0, None, None]
    assert (ring["id"], ring["connections"], ring["grade"]) == (0, [0, 3], "qualified")
    assert (pair["id"], pair["connections"], pair["grade"]) == (1, [2], "proven")
    assert [each["waiter"] for each in ring["edges"]] == [A, B, C]  # type: ignore[attr-defined]
    assert [each["waiter"] for each in ring["tail"]] == ["4/4 d"]  # type: ignore[attr-defined]
