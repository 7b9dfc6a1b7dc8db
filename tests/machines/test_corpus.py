"""A run of the corpus is a row, and each case that is not as it should be is another."""

from typing import Any

from machines.inside.corpus import rows
from machines.place import CORPUS
from tests.corpus.catalogue import all_cases


def case(name: str, truth: str, **differing: Any) -> dict[str, Any]:  # noqa: ANN401
    answers = [{"outcome": "deadlock", "grade": "proven"}]
    usual = {"confirmed": True, "error": None, "broken_claims": [], "proof_ms": 1.0, "answers": answers}
    return {"case": name, "truth": truth} | usual | differing


def test_cases_that_are_as_they_should_be_are_one_row() -> None:
    (row,) = rows([case("upper", "deadlock"), case("echo", "deadlock", proof_ms=None)])
    assert row.right
    assert (row.outcome, row.grade, row.note) == ("0 false proofs", "1 of 2 proven", "not proven: echo")


def test_a_false_proof_is_named() -> None:
    whole, broken = rows([case("upper", "deadlock"), case("ring", "later", broken_claims=["moved 2 s after"])])
    assert not whole.right
    assert (broken.what, broken.verdict, broken.note) == ("corpus ring", "FALSE PROOF", "moved 2 s after")


def test_a_case_that_could_not_be_played_is_wrong_and_no_false_proof() -> None:
    _, failed = rows([case("ring", "later", confirmed=False, error="no io_uring")])
    assert (failed.verdict, failed.note) == ("WRONG", "no io_uring")


def test_the_cases_that_are_played_exist_and_need_no_program() -> None:
    bare = {each.name for each in all_cases() if each.bare}
    assert set(CORPUS) <= bare
    assert {"socat-cat", "docker-paused", "proxy-by-threads"} & bare == {"proxy-by-threads"}
