"""What is served is Prometheus' text, with a line for every verdict that there can be."""

import socket
import time
import urllib.request
from contextlib import closing

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lab.errors import EnvironmentLacksError
from lab.spec import STALLS, Grade, Outcome
from lab.watching.metrics import Metrics
from tests.report.report_samples import verdict
from tests.waiting import LIMIT_S

Labels = tuple[tuple[str, str], ...]


def scraped(port: int) -> dict[tuple[str, Labels], float]:
    """Every sample, by its name and its labels in the alphabet's order."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=LIMIT_S) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        samples = [sample for family in families for sample in family.samples]
    return {(each.name, tuple(sorted(each.labels.items()))): each.value for each in samples}


def count(outcome: str, grade: str = "") -> tuple[str, Labels]:
    return "lab_watch_connections", (("grade", grade), ("outcome", outcome))


def oldest(outcome: str) -> tuple[str, Labels]:
    return "lab_watch_oldest_stall_seconds", (("outcome", outcome),)


JUDGED = ("lab_watch_judged_timestamp_seconds", ())


def test_every_verdict_has_a_line_before_the_first_round() -> None:
    with closing(Metrics("127.0.0.1", 0)) as metrics:
        found = scraped(metrics.port)
    assert set(found.values()) == {0.0}
    grades = {count("deadlock", grade) for grade in Grade}
    others = {count(outcome) for outcome in Outcome if outcome is not Outcome.DEADLOCK}
    assert set(found) == grades | others | {oldest(each) for each in STALLS} | {JUDGED}


def test_connections_are_counted_by_their_verdicts_and_the_oldest_is_told() -> None:
    proven, stall = Grade.PROVEN, Outcome.ONE_SIDED_STALL
    verdicts = [
        verdict(outcome=Outcome.DEADLOCK, grade=proven, age_s=2.0),
        verdict(outcome=Outcome.DEADLOCK, grade=proven, age_s=70.0),
        verdict(outcome=Outcome.DEADLOCK, grade=Grade.CONSISTENT, age_s=None),
        verdict(outcome=stall, grade=None, age_s=None),
        verdict(outcome=Outcome.MOVING, grade=None, age_s=900.0),
    ]
    with closing(Metrics("127.0.0.1", 0)) as metrics:
        metrics.show(verdicts)
        found = scraped(metrics.port)
        metrics.show(verdicts[:1])
        later = scraped(metrics.port)
    assert found[count("deadlock", "proven")] == 2
    assert found[count("deadlock", "consistent")] == found[count("one-sided-stall")] == found[count("moving")] == 1
    assert found[count("idle")] == found[oldest("one-sided-stall")] == 0
    assert found[oldest("deadlock")] >= 70.0, "it grows from round to round"
    assert 0 < found[JUDGED] <= time.time()
    assert (later[count("deadlock", "proven")], later[count("moving")]) == (1, 0)
    assert 2.0 <= later[oldest("deadlock")] < found[oldest("deadlock")]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_that_cannot_be_had_is_one_line(host: str) -> None:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentLacksError, match=rf"^--metrics \S*:{port}: Address already in use$"):
            Metrics(host, port)


def test_a_host_that_is_none_is_one_line() -> None:
    with pytest.raises(EnvironmentLacksError, match=r"^--metrics no\.such\.invalid:1: .+$"):
        Metrics("no.such.invalid", 1)
