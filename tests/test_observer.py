"""The observer keeps the first snapshot of every state that lasts, and no thousand of one that does not."""

from collections.abc import Callable
from contextlib import closing

import pytest

from lab.evidence import Evidence, Snapshot, WireFacts
from lab.experiment import play
from lab.kernel.snapshots import SnapshotTaker
from lab.observer import KEEP_NS, Observer
from lab.proof.judge import judge
from lab.spec import Pair
from lab.testbed import catalogue
from lab.wire.witness import witness
from tests.played import SQUEEZED, frames, frozen, played, segments, specified


def test_the_freeze_is_kept_from_its_first_snapshot_on() -> None:
    """Within a tick of the last byte, so that the seal is dated well; then now and then, and the last."""
    evidence = frozen()
    final = evidence.snapshots[-1]
    assert final.progress.client is not None
    assert final.progress.server is not None
    stamp = max(final.progress.client.stamp_ns, final.progress.server.stamp_ns)
    after = [shot.time_ns for shot in evidence.snapshots if shot.time_ns >= stamp]
    assert after[0] - stamp < 50_000_000
    assert final.time_ns - after[0] > 450_000_000
    assert len(after) < 40


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
    last = fresh("1.2")
    shots = [shot.sockets for shot in last.snapshots[-2:]]
    assert all(shots[0]), "both sockets were there"
    moving = [(s.app_progress, s.tcp_progress) for pair in shots for s in pair if s]
    assert moving[:2] == moving[2:]
    probes = last.wire.probes
    assert probes.client + probes.server > 0


def fresh(until: str, name: str = "upper") -> Evidence:
    """A play that no other test has looked at."""
    spec = specified(name, until=until, **SQUEEZED)
    with catalogue()["netns"].site(spec) as site:
        *_, last = play(spec, site)
    return last


def test_the_snapshot_that_first_proved_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever that was between two that are kept by the clock: else the proof would be dated late."""
    first: list[Snapshot] = []
    keep = Observer.keep

    def noted(observer: Observer) -> None:
        first.append(observer.evidence().snapshots[-1])
        keep(observer)

    monkeypatch.setattr(Observer, "keep", noted)
    evidence = fresh("1.5")
    assert first[0] in evidence.snapshots[:-1]
    proved_ns = judge(evidence).proved_ns
    assert proved_ns is not None
    assert proved_ns <= first[0].time_ns


def test_the_sockets_are_sampled_far_more_often_than_a_snapshot_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"sample_sockets": 0, "take": 0}
    for name in asked:
        monkeypatch.setattr(SnapshotTaker, name, _counted(asked, name))
    fresh("1", name="idle")  # a freeze may be proven by the first snapshot
    assert asked["sample_sockets"] > 3 * asked["take"] > 0


def _counted(asked: dict[str, int], name: str) -> Callable[[SnapshotTaker], object]:
    before: Callable[[SnapshotTaker], object] = getattr(SnapshotTaker, name)

    def call(taker: SnapshotTaker) -> object:
        asked[name] += 1
        return before(taker)

    return call
