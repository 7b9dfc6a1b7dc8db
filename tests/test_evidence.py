"""A snapshot is dated by its sockets, which were read between the two readings of the threads."""

from dataclasses import fields, replace

import pytest

from lab.evidence import Evidence, Resource, ResourceKind, Snapshot
from lab.spec import Pair, Role
from tests.played import frozen


def last() -> Snapshot:
    return frozen().snapshots[-1]


def test_a_cut_is_consistent_in_time() -> None:
    """Threads, then sockets, then threads, then counters."""
    for shot in frozen().snapshots:
        assert max(t.time_ns for t in shot.threads_before) <= min(s.time_ns for s in shot.sockets if s)
        assert max(s.time_ns for s in shot.sockets if s) <= min(t.time_ns for t in shot.threads_after)
        assert max(t.time_ns for t in shot.threads_after) <= min(p.time_ns for p in shot.progress if p)
        assert shot.time_ns == min(s.time_ns for s in shot.sockets if s)


def test_without_sockets_the_threads_date_it_and_without_these_the_counters() -> None:
    shot = replace(last(), sockets=Pair(None, None))
    assert shot.time_ns == shot.threads_after[0].time_ns
    shot = replace(shot, threads_after=())
    assert shot.progress.client is not None
    assert shot.time_ns == shot.progress.client.time_ns
    assert replace(shot, progress=Pair(None, None)).time_ns == 0


def test_the_samples_say_whose_they_are() -> None:
    shot = last()
    for role in Role:
        sample, progress = shot.sockets[role], shot.progress[role]
        assert sample is not None
        assert progress is not None
        assert sample.role is progress.role is role
        assert {t.pid for t in shot.threads_after if t.role is role}.isdisjoint(
            {t.pid for t in shot.threads_after if t.role is role.peer}
        )
    assert shot.sockets.client is not None
    assert shot.sockets.server is not None
    assert shot.sockets.client.local == shot.sockets.server.remote


@pytest.mark.parametrize("text", ["socket:12", "process:7", "eventfd:3", "timerfd:7/4", "other:/dev/tty:1", "other:"])
def test_a_resource_is_the_same_again_from_its_text(text: str) -> None:
    read = Resource.parse(text)
    assert str(read) == text
    assert {read: text}[Resource.parse(text)] == text
    assert read != text


def test_resources_of_two_kinds_or_numbers_differ() -> None:
    assert len({Resource.socket(1), Resource.socket(2), Resource.process(1), Resource(ResourceKind.OTHER, "1")}) == 4


@pytest.mark.parametrize("text", ["", "socket", "socket:", "socket:x", "sock:1"])
def test_a_text_that_is_no_resource_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a valid|invalid literal"):
        Resource.parse(text)


def test_evidence_knows_no_verdict() -> None:
    assert not {field.name for field in fields(Evidence)} & {"verdict", "outcome", "grade", "expected"}
