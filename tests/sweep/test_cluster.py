"""A sweep on a cluster has the points of a local one, each once, whatever happens to a worker or to the sweep."""

import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.errors import EnvironmentLacksError, LabError, SpecError
from lab.sweep import cluster, cluster_worker
from lab.sweep.cluster import play_all
from lab.sweep.row import Row
from tests.commanded import ROOT, below, ending, environment
from tests.sweep.clustered import Dask, kill
from tests.sweep.swept import SQUEEZED, Sweeping, points, table
from tests.waiting import seen

NET = "198.19.10"
GRID = SQUEEZED + 'payload = ["4KiB", "8KiB", "512KiB", "1MiB"]\nrepetitions = 4\n'
WITH_HOST = 'host_sysctl = "net.core.rmem_max=4194304"\n'


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    with ExitStack() as stack:
        yield Dask(stack, tmp_path_factory.mktemp("dask"))


@pytest.fixture(scope="module")
def worker(dask: Dask) -> "subprocess.Popen[bytes]":
    return dask.worker()


def refused(address: str, grid: str = SQUEEZED) -> LabError:
    rows: list[Row] = []
    with pytest.raises(LabError) as error:
        play_all(address, points(grid), rows.append)
    assert rows == []
    assert "\n" not in str(error.value)
    return error.value


@pytest.mark.parametrize("address", ["here", "http://127.0.0.1:8786", "tcp://127.0.0.1", "tls://127.0.0.1:8786"])
def test_what_is_no_address_is_refused(address: str) -> None:
    assert isinstance(refused(address), SpecError)


def test_a_scheduler_that_does_not_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    error = refused("tcp://127.0.0.1:9")
    assert isinstance(error, EnvironmentLacksError)
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in str(error)


def test_a_cluster_without_workers_is_refused(dask: Dask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "WORKERS_S", 0.5)
    assert f"`dask worker {dask.address}` starts one" in str(refused(dask.address))


@pytest.mark.usefixtures("worker")
def test_a_worker_with_another_lab_is_refused(dask: Dask, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = cluster_worker.version()
    monkeypatch.setattr(cluster_worker, "version", lambda: "another")
    assert f"has version {theirs} of the lab, and here is another" in str(refused(dask.address))


@pytest.mark.usefixtures("worker")
def test_points_that_change_the_host_need_workers_that_say_they_have_one(dask: Dask) -> None:
    assert "start one on each host with --resources host=1" in str(refused(dask.address, SQUEEZED + WITH_HOST))


@pytest.mark.root
def test_ctrl_c_leaves_a_result_and_ends_what_is_played(
    dask: Dask, worker: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    grid = tmp_path / "grid.toml"
    grid.write_text('scenario = ["upper", "idle"]\nuntil = "50"\npayload = "4KiB"\n')
    with ExitStack() as stack:
        sweeping = Sweeping(stack, grid, "--cluster", dask.address)
        rows_at_least(1, grid.with_suffix(""), sweeping)
        said = sweeping.end(signal.SIGINT)
    assert (said.code, said.out) == (130, "")
    assert "1 of 2 points are in" in said.err
    assert "Traceback" not in said.err
    assert [outcome for *_, outcome in table(grid.with_suffix(""))] == ["completed"]
    seen(  # their parent, and the one at leisure
        lambda: sum("lab.sweep.cluster_worker" in argv for _, argv in below(worker.pid)),
        lambda number: number <= 2,
        what="an end of what nobody waits for",
    )


@pytest.mark.root
def test_a_worker_that_dies_loses_nothing_also_of_a_sweep_that_was_begun_here(
    dask: Dask, worker: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    grid, out = tmp_path / "grid.toml", tmp_path / "out"
    grid.write_text(GRID)
    with ExitStack() as stack:
        sweeping = Sweeping(stack, grid, "--out", out)
        rows_at_least(1, out, sweeping)
        sweeping.end(signal.SIGINT)
    other = dask.worker()
    play_with(out, dask.address, lambda: kill(worker))
    assert other.poll() is None


@pytest.mark.docker
def test_the_cluster_of_containers_plays_it_too(tmp_path: Path) -> None:
    """Two workers, one of them killed half-way; every deadlock is proven there, with the least of privileges."""
    project = f"lab-cluster-{secrets.token_hex(3)}"
    compose = ["docker", "compose", "-f", str(ROOT / "compose.cluster.yaml"), "-p", project]

    def docker(*words: str) -> str:
        done = subprocess.run(
            words,
            cwd=ROOT,
            env=environment(LAB_NET=NET, LAB_THREADS="2"),
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kill_one() -> None:
        first, *_ = docker(*compose, "ps", "-q", "worker").split()
        docker("docker", "kill", first)

    try:
        docker(*compose, "up", "--build", "--detach", "--scale", "worker=2")
        play_with(tmp_path / "out", f"tcp://{NET}.10:8786", kill_one)
    finally:
        docker(*compose, "down", "--timeout", "1")
    assert '"grade":"proven"' in (tmp_path / "out/points.jsonl").read_text()
    assert '"grade":"consistent"' not in (tmp_path / "out/points.jsonl").read_text()


def play_with(out: Path, address: str, in_the_middle: Callable[[], None]) -> None:
    """Play GRID to its end on this cluster, where something happens in the middle; each point must be there once."""
    grid = out.parent / "grid.toml"
    grid.write_text(GRID)
    with ExitStack() as stack:
        sweeping = Sweeping(stack, grid, "--out", out, "--cluster", address, "--resume")
        rows_at_least(6, out, sweeping)
        in_the_middle()
        said = ending(sweeping.process)
    assert said.code == 0, said.err
    wanted = sorted((point.key, point.spec.scenario.load.payload) for point in points(GRID))
    assert [(key, payload) for key, payload, _ in table(out)] == wanted
    assert all(outcome == ("completed" if payload <= 8192 else "deadlock") for _, payload, outcome in table(out))
    assert (out / "points.jsonl").read_text().count("\n") == len(wanted)


def rows_at_least(number: int, out: Path, sweeping: Sweeping) -> None:
    log = out / "points.jsonl"

    def rows() -> int:
        assert sweeping.process.poll() is None, sweeping.process.communicate()
        return log.read_bytes().count(b"\n") if log.exists() else 0

    seen(rows, lambda rows: rows >= number, what=f"{number} rows")
