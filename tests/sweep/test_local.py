"""Many points at once: every one of them becomes a row, whatever happens to it or to its worker."""

import os
import signal
import threading

import pytest

from lab.kernel.place import machine, sysctl
from lab.kernel.procfs import children_of, descendants
from lab.sweep.local import AT_MOST, Spare, play_all
from lab.sweep.row import Row
from tests.sweep.swept import SQUEEZED, points
from tests.waiting import until

pytestmark = pytest.mark.root


def test_every_point_is_a_row_with_its_verdict_and_its_forecast() -> None:
    wanted = points(SQUEEZED + 'payload = ["4KiB", "1MiB"]\nrepetitions = 3\n')
    rows: list[Row] = []
    play_all(wanted, rows.append)
    assert sorted(row.key for row in rows) == sorted(point.key for point in wanted)
    for row in rows:
        frozen = row.payload == 1 << 20
        assert row.outcome == ("deadlock" if frozen else "completed"), row
        # Qualified, while descriptors are on their way to any other process of this machine.
        assert row.grade in (("proven", "qualified") if frozen else (None,)), row
        assert row.as_expected
        assert row.error is None
        assert (
            row.buffers_most
            == 4 * 8192
            == sum(each or 0 for each in (row.client_rcvbuf, row.client_sndbuf, row.server_rcvbuf, row.server_sndbuf))
        )
        assert row.client_tcp_rmem == "4096 8192 8192"
        if frozen:
            assert row.client_accepted_low is not None
            assert row.client_accepted_high is not None
            assert row.client_accepted is not None
            assert row.client_accepted_low < row.client_accepted < row.client_accepted_high


def test_a_point_that_cannot_be_played_is_a_row_with_its_reason_and_the_next_is_played() -> None:
    rows: list[Row] = []
    play_all(points(SQUEEZED + 'payload = "4KiB"\ncongestion = ["nosuch", "cubic"]\n'), rows.append)
    by_congestion = {row.client_congestion: row for row in rows}
    assert "ENOENT: cannot set congestion control" in (by_congestion["nosuch"].error or "")
    assert by_congestion["nosuch"].outcome is None
    assert by_congestion["nosuch"].payload == 4096
    assert by_congestion["cubic"].outcome == "completed"


def test_a_worker_that_is_killed_leaves_a_row_that_says_so_and_another_takes_its_place() -> None:
    rows: list[Row] = []
    killer = threading.Thread(target=_kill_a_child, daemon=True)
    killer.start()
    play_all(points('scenario = "idle"\nuntil = "60"\n'), rows.append)
    play_all(points(SQUEEZED + 'payload = "4KiB"\n'), rows.append)
    killer.join()
    assert [row.outcome for row in rows] == [None, "completed"]
    assert rows[0].error == "its worker ended in mid-run (SIGKILL); --resume plays it again"


def _kill_a_child() -> None:
    """The worker, once it plays: it has started both hosts, and they the two programs."""
    playing = until(lambda: [child for child in children_of(os.getpid()) if len(descendants(child)) == 5])
    os.kill(playing[0], signal.SIGKILL)


def test_nobody_is_left_when_the_sweep_is_broken_off() -> None:
    def full(_: Row) -> None:
        raise OSError("disk full")

    before = children_of(os.getpid())
    with pytest.raises(OSError, match="disk full"):
        play_all(points(SQUEEZED + 'payload = "4KiB"\nrepetitions = 20\n'), full)
    assert children_of(os.getpid()) == before


def test_workers_are_added_while_a_core_is_idle_and_memory_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = machine.cores()
    seen = {"ticks": (0, 0), "memory": 1000}
    monkeypatch.setattr(machine, "ticks", lambda: seen["ticks"])
    monkeypatch.setattr(machine, "available_memory", lambda: seen["memory"])
    monkeypatch.setattr("lab.sweep.local.GROWTH_S", 0.0)

    def bears(idle: int, memory: int, workers: int) -> bool:
        spare = Spare()
        seen.update(ticks=(idle, 100 * cores), memory=memory)
        answer = spare.bears_more(workers)
        seen.update(ticks=(0, 0), memory=1000)
        return answer

    assert bears(idle=50, memory=800, workers=2)
    assert not bears(idle=5, memory=800, workers=2), "all cores are busy"
    assert not bears(idle=50, memory=300, workers=2), "a worker takes 350, and 250 are never touched"
    assert not bears(idle=50, memory=1000, workers=AT_MOST * cores)


@pytest.mark.xdist_group("host settings")
def test_points_that_change_the_whole_host_are_played_one_at_a_time_and_all_is_put_back() -> None:
    before = sysctl.read_core()
    other = int(before["rmem_max"]) + 4096
    small = SQUEEZED + 'payload = "4KiB"\nrepetitions = 2\n'
    rows: list[Row] = []
    play_all(points(small + f'host_sysctl = "rmem_max={other}"\n') + points(small), rows.append)
    assert sysctl.read_core() == before
    assert [row.outcome for row in rows] == ["completed"] * 4, rows
    assert ["rmem_max" in row.settings for row in rows] == [False, False, True, True]
    ends = [row.started_ns + int((row.seconds or 0) * 1e9) for row in rows]
    assert max(ends[:2]) < rows[2].started_ns
    assert ends[2] < rows[3].started_ns
