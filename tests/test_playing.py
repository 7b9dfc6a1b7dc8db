"""A spec is played and judged in one way: with or without a run directory, on a site of its own or on the caller's."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from lab import errors
from lab.evidence import Evidence
from lab.kernel.capture.ring import LARGE_RING_SIZE
from lab.kernel.procfs import children_of
from lab.playing import PACKAGES, play_and_judge
from lab.proof.judge import judge
from lab.spec import Outcome, Role
from lab.store import load
from lab.testbed import find
from tests.commanded import small_disk
from tests.played import SQUEEZED, specified
from tests.waiting import seen


def directories(runs: Path) -> list[Path]:
    return [each for each in runs.iterdir() if not each.is_symlink()]


def test_what_was_played_is_judged_by_its_evidence() -> None:
    played = play_and_judge(specified("upper", until="proof", **SQUEEZED))
    assert played.verdict.outcome is Outcome.DEADLOCK
    assert played.verdict == judge(played.evidence)
    assert (played.run, played.unkept) == (None, None)


def test_progress_is_reported_and_ends_with_the_whole_evidence() -> None:
    """A busy machine may give so short a run two turns only: then another one is played."""

    def reported() -> list[Evidence]:
        reports: list[Evidence] = []
        played = play_and_judge(specified("idle", until="0.5"), on_progress=reports.append)
        assert reports[-1] is played.evidence
        return reports

    seen(reported, lambda reports: len(reports) > 2)


def test_a_run_directory_holds_what_was_judged(tmp_path: Path) -> None:
    played = play_and_judge(specified("upper", until="proof", **SQUEEZED), runs=tmp_path)
    assert played.run == (tmp_path / "latest").resolve()
    assert judge(load(played.run)) == played.verdict
    assert json.loads((played.run / "verdict.json").read_text())["outcome"] == "deadlock"


def test_the_manifest_names_the_versions_that_played(tmp_path: Path) -> None:
    play_and_judge(specified("upper", payload="32"), runs=tmp_path)
    host = json.loads((tmp_path / "latest/manifest.json").read_text())["host"]
    assert {name: host[name] for name in PACKAGES} == {name: version(name) for name in PACKAGES}


def test_a_site_of_the_callers_stands_until_the_caller_takes_it_down() -> None:
    spec = specified("upper", until="proof", **SQUEEZED)
    with find("netns").site(spec) as site:
        played = play_and_judge(spec, site=site)
        assert [len(children_of(site.programs[role].host_pid)) for role in Role] == [1, 1], "the pair stands"
    assert played.verdict.outcome is Outcome.DEADLOCK


def interrupt(evidence: Evidence) -> None:
    if len(evidence.snapshots) > 1:
        raise KeyboardInterrupt


def test_what_was_seen_before_an_interruption_can_be_judged(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        play_and_judge(specified("healthy", payload="1t"), runs=tmp_path, on_progress=interrupt)
    (run,) = directories(tmp_path)
    assert not (run / "verdict.json").exists()
    assert judge(load(run)).outcome in (Outcome.MOVING, Outcome.SLOW_READER)


def test_where_nothing_was_seen_no_run_directory_is_left(tmp_path: Path) -> None:
    with pytest.raises(errors.TestbedError, match="cannot set congestion control"):
        play_and_judge(specified("upper", congestion=("client=nosuch",)), runs=tmp_path)
    assert directories(tmp_path) == []


@pytest.mark.root
def test_on_a_full_disk_the_verdict_is_made_from_memory(tmp_path: Path) -> None:
    """All packets go into the ring at once, however seldom it is read; the disk has room for a sixth of them."""
    payload = 4 << 20
    assert 4 * payload < LARGE_RING_SIZE
    spec = specified("healthy", payload=str(payload), capture="full", snaplen=65535)
    with small_disk(tmp_path, 5 << 18) as runs:
        played = play_and_judge(spec, runs=runs)
    assert "No space left on device; not kept: " in str(played.unkept)
    assert played.verdict.outcome is Outcome.COMPLETED
    assert played.verdict.wire.dropped == 0, "the packets that are not on disk were seen"
