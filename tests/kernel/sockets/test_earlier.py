"""The few samples that are kept show the same as all of them would."""

import time
from dataclasses import fields, replace
from itertools import count
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lab.evidence import EarlierSample, SocketSample
from lab.kernel.sockets import earlier
from lab.kernel.sockets.earlier import CLOCK_STEP_NS, EarlierSamples
from lab.proof.stack.history import history_of
from tests.proof.frozen_pair import MS, client

FACTS = {
    "wqueue": (7040, 7140), "unacked": (0, 1), "snd_wnd": (0, 4096), "snd_mss": (1448, 1200), "rcv_wnd": (0, 384),
    "wmem_queued": (7872, 8192), "bytes_received": (9000, 9384), "rqueue": (0, 384, 768), "rmem_alloc": (8000, 5776),
    "rcvbuf": (8192, 9216), "drops": (0, 1),
}  # fmt: skip


def as_earlier(sample: SocketSample) -> EarlierSample:
    return EarlierSample(*(getattr(sample, field.name) for field in fields(EarlierSample)))


def seen(changes: list[dict[str, int]]) -> list[SocketSample]:
    """Samples 40 ms apart, each with some facts changed. What is received, read and dropped only grows."""
    found, sample = [], client(earlier=None)
    for number, change in zip(count(1), changes, strict=False):
        facts: dict[str, Any] = change | {"time_ns": number * 40 * MS}
        changed = replace(sample, **facts)
        received = max(sample.bytes_received, changed.bytes_received)
        read = sample.bytes_received - sample.rqueue
        grown: dict[str, Any] = {
            "rqueue": min(changed.rqueue, received - read),
            "drops": max(sample.drops, changed.drops),
        }
        sample = replace(changed, bytes_received=received, **grown)
        found.append(sample)
    return found


one_change = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in FACTS.items()})


OPEN, FILLED = {"rcv_wnd": 384, "rqueue": 384}, {"rcv_wnd": 0, "bytes_received": 9384, "rqueue": 768}
LOWERED_AND_RAISED = [OPEN, OPEN, OPEN | {"rcvbuf": 9216}, OPEN | {"rcvbuf": 8192}, FILLED, FILLED, FILLED]
LOWERED_AS_IT_CLOSES = [OPEN, OPEN, FILLED | {"rcvbuf": 9216}, FILLED | {"rcvbuf": 8192}, FILLED, FILLED]


@example(LOWERED_AND_RAISED)
@example(LOWERED_AS_IT_CLOSES)
@given(st.lists(one_change, min_size=1, max_size=30))
def test_what_is_kept_shows_no_more_than_all_samples_do(changes: list[dict[str, int]]) -> None:
    known, before = EarlierSamples(), list[EarlierSample]()
    for sample in seen(changes):
        kept = history_of(known.added_to(sample))
        whole = history_of(replace(sample, earlier=tuple(before)))
        before.append(as_earlier(sample))
        assert kept is not None
        assert whole is not None
        assert (kept.written, kept.first_window, kept.least_mss) == (whole.written, whole.first_window, whole.least_mss)
        assert kept.unchanged_ms == whole.unchanged_ms
        assert whole.seen_to_close or not kept.seen_to_close


def test_few_samples_are_kept_of_many() -> None:
    known = EarlierSamples()
    for number in range(1000):
        known.keep(client(earlier=None, time_ns=number, wqueue=number, rmem_alloc=number))
    found = known.added_to(client(earlier=None, time_ns=1000)).earlier
    assert found is not None
    assert len(found) <= 9
    assert [each.time_ns for each in found] == sorted(each.time_ns for each in found)


def test_each_socket_is_known_by_its_cookie_and_inode() -> None:
    known = EarlierSamples()
    known.keep(client(earlier=None))
    assert known.added_to(client(earlier=None, cookie=77)).earlier == ()
    assert len(known.added_to(client(earlier=None, time_ns=1)).earlier or ()) == 1


def test_a_clock_that_was_set_makes_all_earlier_samples_worthless(monkeypatch: pytest.MonkeyPatch) -> None:
    known = EarlierSamples()
    known.keep(client(earlier=None))
    real = earlier._clock_ns
    monkeypatch.setattr(earlier, "_clock_ns", lambda: real() + 2 * CLOCK_STEP_NS)
    known.keep(client(earlier=None, time_ns=time.time_ns()))
    found = known.added_to(client(earlier=None, time_ns=time.time_ns() + 1)).earlier
    assert found is not None
    assert len(found) == 1
