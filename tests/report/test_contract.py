"""A verdict's JSON form: the keys of the contract in their order, and sentences where the verdict has reasons."""

from dataclasses import fields

import msgspec
import pytest

from lab.evidence import Evidence
from lab.reason import Qualifier, quoted
from lab.report.contract import as_contract
from lab.spec import Outcome
from lab.verdict import LiveWait, Verdict
from tests.report import report_samples as samples


@pytest.mark.parametrize("case", [samples.FROZEN, samples.COMPLETED, samples.INCONCLUSIVE, samples.UNCAPTURED])
def test_the_keys_are_the_verdicts_in_their_order(case: tuple[Verdict, Evidence]) -> None:
    assert list(as_contract(case[0])) == [field.name for field in fields(Verdict)]


def test_the_forecast_has_its_two_ranges_and_no_reason() -> None:
    document = msgspec.json.decode(msgspec.json.encode(as_contract(samples.FROZEN[0])))
    assert document["forecast"] == {
        "client_accepted": {"low": 8776, "point": 27010, "high": 164864},
        "server_processed": {"low": 4892, "point": 13505, "high": 82944},
    }


def test_every_reason_is_a_sentence() -> None:
    verdict = samples.verdict(
        live=(LiveWait("7/8 java", quoted("it runs")),),
        qualifiers=(Qualifier(quoted("a timer"), "timers"),),
        missing=(quoted("a socket"),),
        contradictions=(quoted("a sum"),),
    )
    document = msgspec.json.decode(msgspec.json.encode(as_contract(verdict)))
    assert document["live"] == [{"thread": "7/8 java", "waits_for": "it runs"}]
    assert (document["qualifiers"], document["missing"], document["contradictions"]) == (
        ["a timer"], ["a socket"], ["a sum"],
    )  # fmt: skip
    assert [edge["waits_for"] for edge in document["cycle"]] == ["room to write", "room to write"]
    assert document["outcome"] == Outcome.DEADLOCK
