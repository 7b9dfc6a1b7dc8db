"""A verdict has the words of the contract, says nothing where nothing is known, and cannot be changed."""

from dataclasses import FrozenInstanceError, astuple, replace

import pytest

from lab import verdict
from lab.spec import Grade, Outcome
from tests.report import report_samples


def test_the_words_are_those_of_the_contract() -> None:
    assert [str(each) for each in verdict.Witness] == ["program", "kernel", "wire"]
    assert [str(each) for each in verdict.Testimony] == ["agrees", "silent", "disagrees", "missing"]
    assert [str(each) for each in Grade] == [
        "proven", "proven-closed-world", "qualified", "proven-until", "consistent",
    ]  # fmt: skip
    assert {str(each) for each in Outcome} == {
        "deadlock", "read-read", "one-sided-stall", "slow-reader", "moving", "completed", "aborted", "idle",
        "blackhole", "livelock", "suspended", "inconclusive",
    }  # fmt: skip


def test_an_account_of_nothing_knows_nothing_and_no_number_is_made_up() -> None:
    assert set(astuple(verdict.Account())) == {None}


def test_a_verdict_is_a_value() -> None:
    said = report_samples.verdict()
    assert replace(said) == said
    assert replace(said, outcome=Outcome.IDLE) != said
    with pytest.raises(FrozenInstanceError):
        said.outcome = Outcome.IDLE  # type: ignore[misc]
