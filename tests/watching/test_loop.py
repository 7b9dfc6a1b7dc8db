"""All is judged again when something has changed, and seldom while nothing has; what is news is said once."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import pytest

from lab.kernel.place.netns import Namespace
from lab.kernel.sockets.sock_diag import Located, SocketDiag, TcpEntry
from lab.spec import Grade, Outcome, Pair
from lab.verdict import Verdict
from lab.watching import Targets, Watch, loop
from lab.watching.connections import ConnectionFinder, WatchedConnection
from lab.watching.evidence import BothSamples, EvidenceGatherer
from lab.watching.loop import (
    MAX_WAIT_S,
    POLL_S,
    REFRESH_S,
    ChangeDetector,
    JudgedConnection,
    Reports,
    is_news,
    seconds_left,
)
from lab.watching.namespaces import Namespaces, named
from tests.proof.frozen_pair import client, server
from tests.report.report_samples import verdict
from tests.waiting import LIMIT_S, until
from tests.watching.watched import connected, crowd, fill, loopback, port

SECOND = 1_000_000_000
FROZEN = verdict(outcome=Outcome.DEADLOCK, grade=Grade.PROVEN)


def holding(seconds: float) -> Verdict:
    """A proof that a time limit ends so much later, or did so before."""
    return replace(FROZEN, grade=Grade.PROVEN_UNTIL, holds_until_ns=time.time_ns() + int(seconds * SECOND))


@pytest.mark.parametrize(
    ("now", "reported", "news"),
    [
        (FROZEN, None, True),
        (FROZEN, FROZEN, False),
        (replace(FROZEN, age_s=99.0), FROZEN, False),
        (replace(FROZEN, outcome=Outcome.MOVING, grade=None), FROZEN, True),
        (replace(FROZEN, grade=Grade.CONSISTENT), FROZEN, True),
        (holding(86_400), holding(86_400), False),
        (holding(86_400), holding(-1), True),
    ],
)
def test_a_verdict_is_news_if_it_has_changed_or_the_proof_has_passed(
    now: Verdict, reported: Verdict | None, news: bool
) -> None:
    assert is_news(now, reported) is news


def test_a_proof_holds_as_long_as_its_time_limit_is_ahead() -> None:
    passed, ahead = seconds_left([FROZEN, holding(-5), holding(1000)])
    assert passed == 0
    assert 900 < ahead <= 1000


class Judged(Protocol):
    def __call__(self, verdict: Verdict | None, number: int = 1, *, stuck: bool = True) -> JudgedConnection: ...


@pytest.fixture
def judged() -> Iterator[Judged]:
    """Makes one of several connections, by its number."""
    with closing(SocketDiag(Namespace.here())) as diag:

        def made(verdict: Verdict | None, number: int = 1, *, stuck: bool = True) -> JudgedConnection:
            end = Located(diag, TcpEntry(number, number, "127.0.0.1:1", "127.0.0.1:2", listens=False))
            queued = 5000 if stuck else 0
            sockets: BothSamples = Pair(client(wqueue=queued), server(wqueue=queued))
            return JudgedConnection(WatchedConnection(Pair(end, None), "seen"), sockets, verdict)

        yield made


def test_a_verdict_is_reported_once_and_again_when_it_changes(judged: Judged) -> None:
    reports, moving = Reports(), replace(FROZEN, outcome=Outcome.MOVING, grade=None)
    assert reports.news([judged(FROZEN), judged(moving, 2)]) == [FROZEN, moving]
    assert reports.news([judged(FROZEN), judged(moving, 2)]) == []
    assert reports.news([judged(FROZEN), judged(FROZEN, 2)]) == [FROZEN]
    assert reports.news([judged(FROZEN), judged(None, 2)]) == [], "it ended"
    assert reports.news([judged(FROZEN), judged(FROZEN, 2)]) == [FROZEN], "it is there again"


@pytest.mark.parametrize(("stuck", "factor"), [(True, 2), (False, 4)])
def test_while_nothing_happens_all_is_judged_again_after_ever_longer_waits(
    judged: Judged, stuck: bool, factor: int
) -> None:
    reports, same = Reports(), [judged(FROZEN, 1, stuck=False), judged(FROZEN, 2, stuck=stuck)]

    def wait_s(*, changed: bool = False) -> float:
        reports.news(same)
        return reports.next_wait_s(same, changed=changed)

    assert wait_s() == REFRESH_S, "it was news"
    assert wait_s(changed=True) == REFRESH_S
    assert [wait_s(), wait_s()] == [factor * REFRESH_S, factor**2 * REFRESH_S]
    assert [wait_s() for _ in range(6)][-1] == MAX_WAIT_S
    assert wait_s(changed=True) == REFRESH_S


def test_nobody_waits_longer_than_a_proof_holds(judged: Judged) -> None:
    reports, proof = Reports(), [judged(holding(0.5))]
    reports.news(proof)
    assert 0 < reports.next_wait_s(proof, changed=False) <= 0.5
    assert reports.news([judged(holding(99))]) == [], "this one holds still"


@contextmanager
def detecting(namespace: Namespace) -> Iterator[ChangeDetector]:
    """Of the connections of a namespace, as they are now."""
    with closing(Namespaces()) as namespaces:
        place = namespaces.keep(named(path(namespace)))
        finder = ConnectionFinder(Targets(namespaces=(path(namespace),)), namespaces, lambda _: None)
        gathered = EvidenceGatherer(namespaces).gather(finder.find(), finder.homes)
        found = [JudgedConnection(each.connection, each.sockets, None) for each in gathered]
        yield ChangeDetector(found, {place.diag: place.counters})


def path(namespace: Namespace) -> str:
    return f"/proc/self/fd/{namespace.fd}"


def test_a_byte_that_moves_is_a_change_and_so_is_an_end_that_its_program_leaves() -> None:
    with loopback() as namespace, connected(namespace), connected(namespace) as ends:
        with detecting(namespace) as detector:
            assert not detector.any_moved()
            ends.client.sendall(b"x")
            until(detector.any_moved)
        with detecting(namespace) as detector:
            assert not detector.any_moved()
            ends.server.close()
            until(detector.any_moved)


def test_a_pair_that_comes_to_a_stand_is_a_new_stall_until_it_is_judged() -> None:
    with loopback() as namespace, connected(namespace) as ends:
        with detecting(namespace) as detector:
            assert not detector.found_new_stall(time.monotonic() + 0.1)
            for end in ends:
                fill(end)
            assert detector.found_new_stall(time.monotonic() + LIMIT_S)

        def is_known() -> bool:
            """Once TCP has made its own last moves."""
            with detecting(namespace) as detector:
                return not detector.found_new_stall(time.monotonic() + 0.1)

        until(is_known)


@dataclass
class Clock:
    """Stands for the module `time` where only a sleep and the work take any."""

    now_s: float = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass
class Calm:
    """A poller that sees nothing, and takes its time for it."""

    clock: Clock
    takes_s: float
    polls: int = 0

    def found_new_stall(self) -> bool:
        self.polls += 1
        self.clock.sleep(self.takes_s)
        return False


@pytest.mark.parametrize(
    ("takes_s", "polls"), [(0.0001, 27), (POLL_S / 4, 27), (POLL_S / 2, 27), (POLL_S, 18), (0.1, 6), (0.9, 2)]
)
def test_the_poll_ends_about_when_it_was_asked_to(takes_s: float, polls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty a second, as long as half the time is enough for them."""
    clock = Clock()
    monkeypatch.setattr(loop, "time", clock)
    detector, poller = ChangeDetector([], {}), Calm(clock, takes_s)
    monkeypatch.setattr(detector, "_poller", poller)
    assert not detector.found_new_stall(0.5)
    assert poller.polls == polls
    assert abs(clock.now_s - 0.5) <= 2 * takes_s + POLL_S


def test_what_stands_as_it_was_judged_is_judged_again_after_as_long_as_it_has_stood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refresh_s = 0.2
    monkeypatch.setattr(loop, "REFRESH_S", refresh_s)
    with crowd(10, frozen=True) as (folder, *_), closing(Watch(Targets(namespaces=(folder,)))) as watch:
        live = watch.live()
        assert Outcome.DEADLOCK in {each.outcome for each in next(live)}
        began = time.monotonic()
        assert [next(live), next(live)] == [[], []]
        assert time.monotonic() - began > 3 * refresh_s


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing had happened for hours: only what happens now ends the wait."""
    monkeypatch.setattr(Reports, "next_wait_s", lambda *_, **__: 3600.0)


@pytest.mark.usefixtures("calm")
def test_a_pair_that_comes_to_a_stand_is_told_at_once_however_calm_it_was() -> None:
    with connected(Namespace.here()) as ends, closing(Watch(Targets(ports=(port(ends.client),)))) as watch:
        live = watch.live()
        assert [each.outcome for each in next(live)] == [Outcome.IDLE]
        for end in ends:
            fill(end)
        assert next(live)


@pytest.mark.usefixtures("calm")
def test_an_end_that_its_program_leaves_behind_a_closed_window_is_news_though_no_byte_moves() -> None:
    with connected(Namespace.here()) as ends, closing(Watch(Targets(ports=(port(ends.client),)))) as watch:
        fill(ends.client)
        ends.client.shutdown(socket.SHUT_WR)  # so that close() sends nothing more
        live = watch.live()
        assert len(next(live)) == 1
        ends.client.close()
        next(live)
