"""A run of an older format is read as it was meant, and one of a newer format is refused by name."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from lab.errors import BadInputError
from lab.evidence import EarlierSample, SocketSample
from lab.proof.stack.history import History, history_of
from lab.run_format import FORMAT, refuse_newer, upgraded
from tests.proof.frozen_pair import SECOND, server

SAMPLE = server(time_ns=100 * SECOND, earlier=None, wmem_queued=7872)


def of_format_1(**looks: Any) -> dict[str, Any]:  # noqa: ANN401
    known = {"may_retry": False, "written": 13_000, "window": 4096, "mss": 1200, "unchanged_ms": 0, "closed": False}
    return asdict(SAMPLE) | {"looks": known | looks}


def read(record: dict[str, Any]) -> SocketSample:
    samples = [EarlierSample(**{key: each[key] for key in EarlierSample.__slots__}) for each in record["earlier"]]
    return replace(SAMPLE, earlier=tuple(samples))


@pytest.mark.parametrize("may_retry", [False, True])
@pytest.mark.parametrize("unchanged_ms", [0, 300])
@pytest.mark.parametrize("closed", [False, True])
def test_what_format_1_had_concluded_is_shown_by_samples_now(may_retry: bool, unchanged_ms: int, closed: bool) -> None:
    record = upgraded(of_format_1(may_retry=may_retry, unchanged_ms=unchanged_ms, closed=closed), 1)
    assert history_of(read(record)) == History(may_retry, 13_000, 4096, 1200, 0, seen_to_close=False)


def test_a_socket_that_format_1_knew_nothing_of_has_no_earlier_samples() -> None:
    assert upgraded(asdict(SAMPLE) | {"looks": None}, 1)["earlier"] is None
    assert upgraded(asdict(SAMPLE), 1)["earlier"] is None


def test_a_record_of_this_format_is_left_as_it_is() -> None:
    record = asdict(SAMPLE)
    assert upgraded(record, FORMAT) is record


def test_a_newer_format_is_refused_by_name() -> None:
    refuse_newer(FORMAT, "manifest.json")
    with pytest.raises(BadInputError, match=f"is of format {FORMAT + 1}, and this lab reads up to {FORMAT}"):
        refuse_newer(FORMAT + 1, "manifest.json")
