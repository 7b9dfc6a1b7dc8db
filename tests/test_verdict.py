"""A verdict as JSON has every key of the contract, always, and what is not known is null."""

from dataclasses import FrozenInstanceError

import msgspec
import pytest

from lab import verdict
from lab.forecast import Range
from lab.spec import Grade, Outcome, Pair, Role

NOTHING: Pair[int | None] = Pair(None, None)

UNKNOWN = verdict.Verdict(
    outcome=Outcome.INCONCLUSIVE,
    grade=None,
    client=None,
    server=None,
    roles=None,
    seal_ns=None,
    proved_ns=None,
    holds_until_ns=None,
    age_s=None,
    witnesses=verdict.Testimonies(verdict.Testimony.MISSING, verdict.Testimony.MISSING, verdict.Testimony.MISSING),
    cycle=(),
    tail=(),
    live=(),
    qualifiers=(),
    missing=(),
    contradictions=(),
    account=verdict.Account(),
    wire=verdict.WireSummary(None, None, NOTHING, NOTHING, NOTHING),
    forecast=verdict.ForecastSummary(Range(None, None, None), Range(None, None, None)),
)
"""Of a connection of which nothing was observed."""

SIDES = {"client": None, "server": None}
BOUNDS = {"low": None, "point": None, "high": None}


def as_json(said: verdict.Verdict) -> dict[str, object]:
    value: dict[str, object] = msgspec.json.decode(msgspec.json.encode(said))
    return value


def test_every_key_is_there_and_what_is_not_known_is_null() -> None:
    found = as_json(UNKNOWN)
    contract: dict[str, object] = {
        "outcome": "inconclusive",
        "grade": None,
        "client": None,
        "server": None,
        "roles": None,
        "seal_ns": None,
        "proved_ns": None,
        "holds_until_ns": None,
        "age_s": None,
        "witnesses": {"program": "missing", "kernel": "missing", "wire": "missing"},
        "cycle": [],
        "tail": [],
        "live": [],
        "qualifiers": [],
        "missing": [],
        "contradictions": [],
        "account": {
            "client_accepted": None,
            "client_send_queue": None,
            "server_receive_queue": None,
            "server_processed": None,
            "in_hand": None,
            "server_send_queue": None,
            "client_receive_queue": None,
            "client_processed": None,
        },
        "wire": {
            "frames": None,
            "dropped": None,
            "zero_windows": SIDES,
            "probes": SIDES,
            "first_zero_window_ns": SIDES,
        },
        "forecast": {"client_accepted": BOUNDS, "server_processed": BOUNDS},
    }
    assert {key: found[key] for key in contract} == contract


def test_a_wait_names_its_waiter_its_holder_and_its_witnesses() -> None:
    edge = verdict.Edge(Role.SERVER, "room to write", Role.CLIENT, tuple(verdict.Witness))
    assert msgspec.to_builtins(edge) == {
        "waiter": "server",
        "waits_for": "room to write",
        "holder": "client",
        "witnesses": ("program", "kernel", "wire"),
    }
    assert msgspec.to_builtins(verdict.LiveThread("7/8 java", "futex")) == {"thread": "7/8 java", "waits_for": "futex"}


def test_the_words_are_those_of_the_contract() -> None:
    assert [str(each) for each in verdict.Testimony] == ["agrees", "silent", "disagrees", "missing"]
    assert [str(each) for each in Grade] == [
        "proven", "proven-closed-world", "qualified", "proven-until", "consistent",
    ]  # fmt: skip
    assert {str(each) for each in Outcome} == {
        "deadlock", "read-read", "one-sided-stall", "slow-reader", "moving", "completed", "aborted", "idle",
        "blackhole", "livelock", "suspended", "inconclusive",
    }  # fmt: skip


def test_a_verdict_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        UNKNOWN.outcome = Outcome.DEADLOCK  # type: ignore[misc]
