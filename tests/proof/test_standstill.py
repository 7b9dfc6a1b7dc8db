"""Nothing is proven and nothing moves: each kind of standstill by hand, and the one fact that makes it another."""

from dataclasses import replace
from typing import Any

import pytest

from lab.evidence import CaptureCount, Progress, Snapshot, SocketSample, WireFacts
from lab.proof.connection_view import ConnectionView
from lab.proof.standstill import EXCEPTIONS, STANDSTILLS, Claim, Finding, balanced, kind_of_standstill
from lab.reason import Why, because
from lab.report.reasons import all_words
from lab.spec import Outcome, Pair, Role
from lab.verdict import Witness
from tests.proof.frozen_pair import (
    EMPTY,
    NOW,
    SECOND,
    client,
    counted,
    evidence,
    reads,
    sends,
    server,
    snapshot,
    thread,
)

UNKNOWN: dict[str, Any] = {"syscall": None, "wait": None}
WRITING = (
    thread(1, sends(11), role=Role.CLIENT, socket_inode=11),
    thread(2, sends(22), role=Role.SERVER, socket_inode=22),
)
READING = (
    thread(1, reads(11), role=Role.CLIENT, socket_inode=11),
    thread(2, reads(22), role=Role.SERVER, socket_inode=22),
)
SLEEPING = tuple(replace(each, syscall="pause", wait=None) for each in WRITING)


def standing(here: SocketSample, there: SocketSample, threads: Any = SLEEPING, **facts: Any) -> Snapshot:  # noqa: ANN401
    return snapshot(list(threads), sockets=Pair(here, there), **facts)


def found(*shots: Snapshot, **facts: Any) -> Finding:  # noqa: ANN401
    return kind_of_standstill(ConnectionView(evidence(snapshots=shots, **facts)))


FULL = standing(client(), server())
IDLE = standing(client(**EMPTY), server(**EMPTY))
BOTH_READ = standing(client(**EMPTY), server(**EMPTY), READING)
UNREAD = standing(client(rqueue=0, rmem_alloc=0, rcv_wnd=4096), server(wqueue=0, notsent_bytes=0, wmem_queued=0))
"""The server reads nothing, and has nothing to write."""


@pytest.mark.parametrize(
    ("shot", "outcome"),
    [
        (FULL, Outcome.DEADLOCK),
        (BOTH_READ, Outcome.READ_READ),
        (UNREAD, Outcome.ONE_SIDED_STALL),
        (IDLE, Outcome.IDLE),
        (replace(FULL, threads_after=(replace(SLEEPING[0], suspended="frozen"), SLEEPING[1])), Outcome.SUSPENDED),
        (standing(client(probes=2, rcv_wnd=4096), server()), Outcome.BLACKHOLE),
        (standing(client(probes=2), server()), Outcome.INCONCLUSIVE),
        (replace(IDLE, sockets=Pair(None, server(**EMPTY))), Outcome.IDLE),
        (replace(FULL, sockets=Pair(None, server())), Outcome.INCONCLUSIVE),
    ],
)
def test_each_kind_has_its_own_outcome(shot: Snapshot, outcome: Outcome) -> None:
    assert found(shot).outcome is outcome


@pytest.mark.parametrize(
    ("shot", "outcome"),
    [
        (standing(client(), server(rcv_wnd=9), SLEEPING), Outcome.DEADLOCK),
        (standing(client(snd_wnd=9), server()), Outcome.INCONCLUSIVE),
        (standing(client(**EMPTY), server(**EMPTY), (READING[0], SLEEPING[1])), Outcome.IDLE),
        (standing(client(**EMPTY), server(**EMPTY), (READING[0], WRITING[1])), Outcome.INCONCLUSIVE),
        (replace(UNREAD, threads_before=WRITING, threads_after=WRITING), Outcome.INCONCLUSIVE),
    ],
    ids=["the sender has not heard of the window", "a window open", "one reads", "one sends", "the server sends, too"],
)
def test_one_fact_makes_it_another(shot: Snapshot, outcome: Outcome) -> None:
    assert found(shot).outcome is outcome


def test_what_the_nearest_outcome_lacks_is_named_and_so_is_what_speaks_against_it() -> None:
    unknown = found(standing(client(snd_wnd=None), server()))
    assert unknown.outcome is Outcome.INCONCLUSIVE
    assert all_words(unknown.missing) == ("the client's socket holds data behind a zero window",)
    refuted = found(standing(client(snd_wnd=9), server()))
    assert refuted.missing == ()
    assert all_words(refuted.contradictions) == (
        "for deadlock, not so: the client's socket holds data behind a zero window",
    )


def test_an_unknown_claim_that_is_not_needed_leaves_the_outcome() -> None:
    says = because(Why.SENDS_NOTHING, Role.CLIENT)
    assert not Claim(Witness.KERNEL, says, None).stands
    assert Claim(Witness.KERNEL, says, None, needed=False).stands
    assert not Claim(Witness.KERNEL, says, False, needed=False).stands
    unseen = tuple(replace(each, **UNKNOWN) for each in WRITING)
    assert found(replace(UNREAD, threads_before=unseen, threads_after=unseen)).outcome is Outcome.ONE_SIDED_STALL


def test_what_comes_before_the_table_decides_first() -> None:
    """A pair of which one end is stopped looks like any kind of the table."""
    stopped = (replace(SLEEPING[0], state="T"), SLEEPING[1])
    for shot in (FULL, BOTH_READ, UNREAD, IDLE):
        assert found(replace(shot, threads_after=stopped)).outcome is Outcome.SUSPENDED
    silent = replace(UNREAD, sockets=Pair(client(probes=2, rcv_wnd=4096), UNREAD.sockets.server))
    assert found(silent).outcome is Outcome.BLACKHOLE
    assert len(EXCEPTIONS) + len(STANDSTILLS) == 11


def refusing(ago_s: int, count: int) -> Snapshot:
    """The client's sends have been refused so often by then; the server is blocked in a send."""
    progress = Progress(NOW - ago_s * SECOND, Role.CLIENT, 0, 0, NOW, count)
    timed: list[SocketSample | None] = [replace(each, time_ns=NOW - ago_s * SECOND) for each in (client(), server())]
    return snapshot([SLEEPING[0], WRITING[1]], sockets=Pair(*timed), progress=Pair(progress, None))


def test_sends_that_are_refused_while_nothing_moves_are_a_livelock() -> None:
    assert found(refusing(2, 5), refusing(0, 9)).outcome is Outcome.LIVELOCK
    assert found(refusing(2, 9), refusing(0, 9)).outcome is Outcome.DEADLOCK, "none was refused since"


def test_a_writer_that_is_scheduled_again_and_again_behind_closed_windows_is_a_livelock() -> None:
    spinning = [
        replace(snapshot([replace(each, switches=count) for each in SLEEPING]), sockets=refusing(ago_s, 0).sockets)
        for ago_s, count in ((9, 0), (4, 5), (0, 50))
    ]
    assert found(*spinning).outcome is Outcome.LIVELOCK
    opened = [replace(each, sockets=Pair(client(snd_wnd=9), server())) for each in spinning]
    assert found(*opened).outcome is not Outcome.LIVELOCK


def test_a_wire_without_a_zero_window_speaks_against_a_deadlock() -> None:
    shut = replace(WireFacts(), zero_windows=Pair(1, 1), closed=Pair(True, True))
    capture = CaptureCount("eth0", 9, 0)
    assert found(FULL, wire=shut, capture=capture).outcome is Outcome.DEADLOCK
    opened = found(FULL, wire=replace(shut, closed=Pair(True, False)), capture=capture)
    assert opened.outcome is Outcome.INCONCLUSIVE
    assert "the server advertises a zero window on the wire" in " ".join(all_words(opened.contradictions))


def test_a_sum_that_does_not_hold_makes_any_finding_inconclusive() -> None:
    deadlock = Finding(Outcome.DEADLOCK)
    assert balanced(ConnectionView(evidence(counted())), deadlock) is deadlock
    pair = counted()
    assert pair.progress.server is not None
    off = replace(pair.progress.server, received=pair.progress.server.received + 1)
    wrong = replace(pair, progress=Pair(pair.progress.client, off))
    verdict = balanced(ConnectionView(evidence(wrong)), deadlock)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "client_accepted 37360" in " ".join(all_words(verdict.contradictions))


@pytest.mark.parametrize("outcome", [Outcome.DEADLOCK, Outcome.LIVELOCK])
def test_bytes_that_both_ends_count_are_right_only_where_acknowledgments_may_be_refused(
    outcome: Outcome,
) -> None:
    """The server has 96 bytes that the client still keeps as unacknowledged."""
    pair = counted()
    sockets: list[SocketSample | None] = [
        client(bytes_acked=29_905, wqueue=7456, unacked=1),
        server(bytes_received=30_000),
    ]
    twice = ConnectionView(evidence(replace(pair, sockets=Pair(*sockets))))
    kept = balanced(twice, Finding(outcome))
    assert kept.outcome is (outcome if outcome is Outcome.LIVELOCK else Outcome.INCONCLUSIVE)
