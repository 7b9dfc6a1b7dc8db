"""The first line: for every outcome a sentence of its own, short enough for one line."""

from dataclasses import replace

import pytest

from lab.evidence import Ended
from lab.reason import Qualifier, quoted
from lab.report.conclusion import conclusion, explanation
from lab.spec import Grade, Outcome, Pair, Role
from lab.verdict import LiveWait
from tests.report.report_samples import COMPLETED, FROZEN, HEALTHY, at, evidence, spec, verdict, without_freeze


def test_every_outcome_has_a_sentence_of_its_own() -> None:
    sentences = {conclusion(without_freeze(outcome), evidence()) for outcome in Outcome if outcome != "deadlock"}
    assert len(sentences) == len(Outcome) - 1
    assert all("\n" not in sentence and len(sentence) < 100 for sentence in sentences)


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome not in ("deadlock", "read-read")])
def test_only_a_deadlock_is_called_one(outcome: Outcome) -> None:
    assert "deadlock" not in conclusion(without_freeze(outcome), evidence()).replace("no deadlock", "")


@pytest.mark.parametrize("grade", Grade)
def test_only_a_consistent_deadlock_is_not_proven(grade: Grade) -> None:
    sentence = conclusion(
        verdict(grade=grade, qualifiers=(Qualifier(quoted("a signal handler"), "no-alarm"),)), evidence()
    )
    assert sentence.startswith(f"deadlock ({grade}")
    assert ("NOT PROVEN" in sentence) == (grade is Grade.CONSISTENT)
    assert len(sentence) < 100


def test_what_would_decide_is_what_was_not_observed_or_who_may_still_read() -> None:
    assert "every thread's wait would decide" in conclusion(*FROZEN)
    assert "1 live thread read?" in conclusion(verdict(live=(LiveWait("1/2 x", quoted("futex")),)), evidence())
    assert "what was not observed would decide" in conclusion(verdict(missing=(quoted("a fact"),)), evidence())


def test_a_completion_says_how_much_went_and_came_back_and_in_what_time() -> None:
    assert conclusion(*COMPLETED) == "completed: 32 bytes went and 32 came back, verified, in 2.31 ms"


def test_a_completion_without_answers_claims_none_came_back() -> None:
    ended = Pair(Ended(Role.CLIENT, at(2100), 64, 0, None), Ended(Role.SERVER, at(2000), 0, 64, None))
    done = conclusion(COMPLETED[0], evidence(spec=spec("slow-reader"), ended=ended))
    assert done == "completed: 64 bytes went, verified, in 2.10 s; this server answers nothing"


def test_a_completion_with_zero_windows_says_that_they_alone_are_no_deadlock() -> None:
    assert "8,618 zero windows" in str(explanation(HEALTHY[0]))
    assert explanation(COMPLETED[0]) is None


def test_an_abort_names_who_failed_first_and_wrong_data_is_loud() -> None:
    later = Ended(Role.CLIENT, at(300), 1, 0, "reset")
    first = Ended(Role.SERVER, at(200), 0, 1, "byte 7 is x, must be X")
    aborted = without_freeze(Outcome.ABORTED)
    assert "the server's program failed first: byte 7" in conclusion(aborted, evidence(ended=Pair(later, first)))
    wrong = replace(first, corrupt=True)
    assert "WRONG DATA" in conclusion(aborted, evidence(ended=Pair(later, wrong)))


def test_an_inconclusive_run_names_the_first_missing_fact_or_the_first_contradiction() -> None:
    missing = without_freeze(Outcome.INCONCLUSIVE, missing=(quoted("the client's socket"), quoted("the wire")))
    assert conclusion(missing, evidence()) == "inconclusive, 2 facts not observed: the client's socket"
    torn = without_freeze(Outcome.INCONCLUSIVE, contradictions=(quoted("for deadlock, not so: the window is closed"),))
    assert conclusion(torn, evidence()).endswith("the witnesses disagree: for deadlock, not so: the window is closed")


def test_a_long_error_is_cut_to_one_line() -> None:
    ended = Pair(Ended(Role.CLIENT, at(1), 0, 0, "x" * 500), None)
    assert len(conclusion(without_freeze(Outcome.ABORTED), evidence(ended=ended))) < 100
