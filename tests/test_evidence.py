"""Evidence: when a snapshot was, what moves between two samples of a socket, and resources with their texts."""

from dataclasses import fields, replace
from typing import Any

import pytest

from lab.evidence import Evidence, Resource, ResourceKind, Snapshot, SocketSample
from lab.spec import Pair, Role
from tests.played import frozen
from tests.proof.frozen_pair import client


def last() -> Snapshot:
    return frozen().snapshots[-1]


def test_a_snapshot_is_consistent_in_time() -> None:
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


CLOCKS = {"time_ns", "expires_ms", "probes", "segs_in", "last_data_sent_ms", "last_data_recv_ms", "last_ack_recv_ms"}
"""And what counts segments that change nothing."""
WHOSE = {"role", "local", "remote"}
NOT_OF_INET_DIAG = {
    "send_timeout_ns", "receive_timeout_ns", "user_timeout_ms", "sndbuf_locked", "rcvbuf_locked", "window_clamp",
    "earlier", "ulp", "error_queue", "notsent_lowat",
}  # fmt: skip


@pytest.mark.parametrize("fact", [field.name for field in fields(SocketSample)])
def test_a_state_is_all_that_inet_diag_tells_but_clocks(fact: str) -> None:
    facts: dict[str, Any] = {fact: object()}
    changed = replace(client(), **facts)
    same = fact in CLOCKS | WHOSE | NOT_OF_INET_DIAG
    assert (changed.state_key == client().state_key) is same


def test_a_program_moves_bytes_by_writing_and_reading_and_tcp_by_acknowledging_and_receiving() -> None:
    sample = client(bytes_acked=1000, wqueue=200, bytes_received=500, rqueue=30)
    assert (sample.app_progress, sample.tcp_progress) == ((1200, 470), (1000, 500))
    acknowledged = replace(sample, bytes_acked=1100, wqueue=100)
    assert (acknowledged.app_progress, acknowledged.tcp_progress) == (sample.app_progress, (1100, 500))
    read = replace(sample, rqueue=0)
    assert (read.app_progress, read.tcp_progress) == ((1200, 500), sample.tcp_progress)


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
