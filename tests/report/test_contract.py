"""A verdict as JSON has every key of the contract, always. What is not known is null, and a reason is a sentence."""

import msgspec

from lab import verdict
from lab.evidence import Wants
from lab.forecast import Range
from lab.reason import Qualifier, Why, because, quoted
from lab.report.contract import as_contract
from lab.spec import Outcome, Pair, Role
from tests.report import report_samples

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
    witnesses=verdict.Testimonies(*[verdict.Testimony.MISSING] * 3),
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
    value: dict[str, object] = msgspec.json.decode(msgspec.json.encode(as_contract(said)))
    return value


def test_every_key_is_there_and_what_is_not_known_is_null() -> None:
    assert as_json(UNKNOWN) == {
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
        "premises": [],
    }


def test_waits_and_reasons_are_words() -> None:
    edge = verdict.Edge(Role.SERVER, Wants.WRITE, Role.CLIENT, tuple(verdict.Witness))
    found = as_json(
        report_samples.verdict(
            cycle=(edge,),
            tail=(),
            live=(verdict.LiveWait("7/8 java", quoted("futex")),),
            qualifiers=(Qualifier(because(Why.POSIX_TIMERS, "7 java", 2), "no-timers"),),
            missing=(because(Why.NO_SOCKET, Role.CLIENT),),
            contradictions=(),
        )
    )
    assert found["cycle"] == [
        {
            "waiter": "server",
            "waits_for": "room to write",
            "holder": "client",
            "witnesses": ["program", "kernel", "wire"],
        }
    ]
    assert found["live"] == [{"thread": "7/8 java", "waits_for": "futex"}]
    assert found["qualifiers"] == ["7 java has 2 POSIX timers"]
    assert found["missing"] == ["the client's socket (inet_diag)"]
