"""Thirty runs in one process leave it as it was; two thousand do, by `scripts/dev/campaign flat 2000`."""

import subprocess
import sys
from dataclasses import replace

import pytest

from tests.campaign.__main__ import main
from tests.campaign.flat import Reading, complaints, page, slope
from tests.commanded import ROOT

pytestmark = pytest.mark.root

RUNS = 30
FLAT = [Reading(run, "deadlock", 0.5, 6, 1, 64_000 + run % 7, 1, 0, 20) for run in range(1, 201)]


def test_thirty_runs_in_one_process_leave_it_as_it_was() -> None:
    """In a process of its own: pytest's has threads and descriptors that come and go."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaign", "flat", f"{RUNS}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{RUNS} runs, every one a deadlock: nothing grew" in done.stdout


@pytest.mark.parametrize("words", [["flat", "0"], ["--runs", "0"], ["--runs", "-3"]])
def test_no_run_at_all_is_a_usage_error_and_no_success(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(words)
    assert raised.value.code == 2
    assert "1 or more" in capsys.readouterr().err


def test_flat_is_flat() -> None:
    assert list(complaints(FLAT)) == []
    assert list(complaints(FLAT[:1])) == []
    assert slope([3, 5, 7, 9]) == 2


@pytest.mark.parametrize("name", ["fds", "namespaces", "threads", "children", "mounts"])
def test_one_more_of_anything_is_told(name: str) -> None:
    (told,) = complaints([*FLAT, replace(FLAT[-1], **{name: getattr(FLAT[-1], name) + 1})])
    assert told.startswith(name)


def test_memory_that_grows_is_told() -> None:
    (told,) = complaints([replace(each, rss_kib=64_000 + 10 * each.run) for each in FLAT])
    assert told == "memory: grows by 10.0 KiB a run"


def test_a_wrong_outcome_is_told() -> None:
    (told,) = complaints([*FLAT[:-1], replace(FLAT[-1], outcome="moving")])
    assert told == "run 200: moving, expected deadlock"


def test_the_page_has_a_curve_of_each() -> None:
    assert page(FLAT).count("<polyline") == 6
