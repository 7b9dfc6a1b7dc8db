"""The observer keeps the first snapshot of every state that lasts, and no thousand of one that does not."""

import time
from collections.abc import Callable
from contextlib import closing

import pytest

from lab import observer
from lab.evidence import Evidence, Snapshot, WireFacts
from lab.experiment import play
from lab.kernel.snapshots import SnapshotTaker
from lab.observer import KEEP_NS, Observer, _state
from lab.proof.judge import judge
from lab.spec import Pair
from lab.testbed import catalogue
from lab.wire.witness import witness
from tests.played import SQUEEZED, frames, frozen, played, segments, specified


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[Snapshot]:
    """Every snapshot that an observer takes from now on, whether it keeps it or not."""
    shots: list[Snapshot] = []
    take = Observer._taken_by

    def noted(observer: Observer, taker: SnapshotTaker) -> Snapshot:
        shots.append(take(observer, taker))
        return shots[-1]

    monkeypatch.setattr(Observer, "_taken_by", noted)
    return shots


def last_byte_ns(evidence: Evidence) -> int:
    """When a program moved one last, as the last snapshot shows it."""
    return max(progress.stamp_ns for progress in evidence.snapshots[-1].progress if progress)


def stands_ns(evidence: Evidence) -> int:
    return evidence.snapshots[-1].time_ns - last_byte_ns(evidence) if evidence.snapshots else 0


def test_the_freeze_is_kept_from_its_first_snapshot_on(taken: list[Snapshot]) -> None:
    """So that the seal is dated well: the first of each state that lasts; then one now and then, and the last."""

    def lasting(now: Evidence) -> list[Snapshot]:
        """Those that begin a state of the freeze in which another one was taken."""
        after = [shot for shot in taken if shot.time_ns >= last_byte_ns(now)]
        return [
            shot
            for before, shot, later in zip([None, *after], after, after[1:], strict=False)
            if _state(shot) == _state(later) and (before is None or _state(before) != _state(shot))
        ]

    evidence = fresh(lambda now: stands_ns(now) > 500_000_000 and lasting(now))
    kept = [shot for shot in evidence.snapshots if shot.time_ns >= last_byte_ns(evidence)]
    assert {shot.number for shot in lasting(evidence)} <= {shot.number for shot in kept}
    assert kept[-1] == taken[-1]
    assert len(kept) <= len(lasting(evidence)) + (kept[-1].time_ns - kept[0].time_ns) // KEEP_NS + 2


def test_what_moves_is_kept_now_and_then() -> None:
    evidence = played("healthy")
    seconds = (evidence.seen_ns - evidence.started_ns) / 1e9
    assert 3 <= len(evidence.snapshots) < 20 + 3 * seconds * 1e9 / KEEP_NS


def test_before_the_connection_there_is_no_snapshot_and_the_evidence_is_whole_all_the_same() -> None:
    spec = specified("idle", "loopback")
    with catalogue()["loopback"].site(spec) as site, closing(Observer(spec, site, Pair(None, None), None)) as observer:
        assert observer.take() is None
        assert observer.still_s() == 0
        observer.miss("the wire: nobody looks at it")
        evidence = observer.evidence()
    assert (evidence.snapshots, evidence.wire, evidence.capture) == ((), WireFacts(), None)
    assert evidence.connected == Pair(None, None)
    assert evidence.missing == ("the wire: nobody looks at it",)


def test_every_frame_that_was_captured_is_dissected() -> None:
    evidence = frozen()
    assert evidence.capture is not None
    taken = frames(evidence)
    assert len(taken) == evidence.wire.segments == evidence.capture.frames
    assert [frame.number for frame in taken] == list(range(1, len(taken) + 1))
    assert evidence.wire == witness(segments(evidence), evidence.wire.ends)


def test_a_probe_is_not_progress() -> None:
    """While the pair is frozen its probes change the sockets' records, and it is still all the same."""
    last = fresh(lambda now: has_probes(now) and stands_ns(now) > 50_000_000)
    shots = [shot.sockets for shot in last.snapshots[-2:]]
    assert all(shots[0]), "both sockets were there"
    moving = [(s.app_progress, s.tcp_progress) for pair in shots for s in pair if s]
    assert moving[:2] == moving[2:]
    assert has_probes(last)


def has_probes(evidence: Evidence) -> bool:
    probes = evidence.wire.probes
    return probes.client + probes.server > 0


def fresh(enough: Callable[[Evidence], object], name: str = "upper") -> Evidence:
    """A play that no other test has looked at, until there is enough of it."""
    spec = specified(name, until="60", **SQUEEZED)
    with catalogue()["netns"].site(spec) as site, closing(play(spec, site)) as evidences:
        return next(evidence for evidence in evidences if enough(evidence))


def test_the_snapshot_that_first_proved_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever that was between two that are kept by the clock: else the proof would be dated late."""
    first: list[Snapshot] = []
    keep = Observer.keep

    def noted(observer: Observer) -> None:
        first.append(observer.evidence().snapshots[-1])
        keep(observer)

    monkeypatch.setattr(Observer, "keep", noted)
    evidence = fresh(lambda now: first and first[0] in now.snapshots[:-1])
    proved_ns = judge(evidence).proved_ns
    assert proved_ns is not None
    assert proved_ns <= first[0].time_ns


def test_the_sockets_are_sampled_far_more_often_than_a_snapshot_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing happens and no time passes, a snapshot is never due, and the sockets are sampled at each turn."""

    class Stopped:
        now_ns = time.time_ns()

        def time_ns(self) -> int:
            return self.now_ns

    asked = {"sample_sockets": 0, "take": 0}
    for name in asked:
        monkeypatch.setattr(SnapshotTaker, name, _counted(asked, name))
    monkeypatch.setattr(observer, "time", Stopped())
    fresh(lambda _: asked["sample_sockets"] > 100, name="idle")  # a freeze may be proven by the first snapshot
    assert 100 > 20 * asked["take"] > 0


def _counted(asked: dict[str, int], name: str) -> Callable[[SnapshotTaker], object]:
    before: Callable[[SnapshotTaker], object] = getattr(SnapshotTaker, name)

    def call(taker: SnapshotTaker) -> object:
        asked[name] += 1
        return before(taker)

    return call
