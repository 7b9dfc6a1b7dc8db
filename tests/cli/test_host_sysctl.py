"""`--host-sysctl` on this very host: written, recorded and put back, also after a kill at any instant."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.kernel.place import journal
from lab.kernel.place.sysctl import read_core
from lab.spec import HOST_SYSCTLS
from lab.store import load
from tests import unprivileged
from tests.commanded import ROOT, ending, environment, is_one_line, lab, started
from tests.killed import NO_ENGINE, killed
from tests.played import spec_of
from tests.testbed import lab_on_docker as on_docker
from tests.waiting import LIMIT_S, until

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("host settings")]

NET = "198.18.101"
OPTION = "--host-sysctl=net.core.rmem_max=131071"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A journal of our own. Whatever a test does, this host's values are put back, and the test fails for it."""
    folder = tmp_path / "state"
    monkeypatch.setenv("LAB_STATE", str(folder))
    before = read_core()
    yield str(folder)
    after = read_core()
    for key in HOST_SYSCTLS:
        if after[key] != before[key]:
            Path("/proc/sys/net/core", key).write_text(before[key])
    assert after == before
    assert not folder.exists() or os.listdir(folder) == []


def rcvbuf(size: int) -> int:
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        return made.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def test_a_cap_of_131071_gives_262142_and_is_recorded_forecast_shown_and_gone(tmp_path: Path, state: str) -> None:
    before = read_core()
    sizes = ("--so-rcvbuf", "1m", "--send-size", "1024")
    said = lab("run", OPTION, *sizes, "--until", "proof", "--format", "json", "--runs", tmp_path, LAB_STATE=state)
    assert (said.code, said.err, said.json["outcome"]) == (0, "", "deadlock")
    assert [side["rcvbuf"] for side in said.json["buffers"].values()] == [262142, 262142]
    foretold, measured = said.json["forecast"]["client_accepted"], said.json["account"]["client_accepted"]
    assert foretold["low"] <= measured <= foretold["high"]
    run = Path(said.json["run"])
    evidence = load(run)
    assert (spec_of(evidence).host_sysctls, evidence.core["rmem_max"]) == ({"rmem_max": 131071}, "131071")
    assert evidence.core_before == before
    assert json.loads((run / "manifest.json").read_text())["core_before"] == before
    assert read_core() == before
    assert lab("forecast", OPTION, *sizes, "--format", "json").json["forecast"]["client_accepted"] == foretold
    assert lab("forecast", *sizes, "--format", "json").json["forecast"]["client_accepted"] != foretold
    judged = lab("judge", run, "--format", "json").json["connections"][0]
    assert judged["forecast"] == said.json["forecast"]


def test_the_table_of_buffers_is_measured_under_a_setting_of_the_host(state: str) -> None:
    rows = {row["claim"]: row for row in lab("limits", OPTION, "--format", "json", LAB_STATE=state).json["limits"]}
    cut = rows["SO_RCVBUF is cut to net.core.rmem_max"]
    assert (cut["published"], cut["measured"], cut["holds"]) == ("131071 -> 262142", "131071 -> 262142", True)
    scale = rows["net.core.rmem_max sets the window scale, if it is more than tcp_rmem's most"]
    assert (scale["holds"], scale["measured"][:27]) == (True, "1 with rmem_max 131071 and ")
    assert rows["net.core.rmem_max is 131071"]["holds"] is True


def held(tmp_path: Path, state: str, *options: str) -> "subprocess.Popen[str]":
    """A run that holds its setting until it is ended."""
    before = read_core()
    run = started("run", *options, "--until", "proof", "--hold", "--runs", tmp_path / "runs", LAB_STATE=state)

    def is_set() -> bool:
        assert run.poll() is None, ending(run)
        return read_core() != before

    until(is_set)
    return run


def test_two_runs_that_want_different_values_take_turns(tmp_path: Path, state: str) -> None:
    first = held(tmp_path, state, OPTION)
    second = started(
        "run", "idle", "--host-sysctl", "rmem_max=262144", "--until", "proof", "--format", "json", "--runs", tmp_path,
        LAB_STATE=state,
    )  # fmt: skip
    assert second.stderr is not None
    word = second.stderr.readline()
    assert f"the lab of process {first.pid} has the settings of this host (net.core.rmem_max 131071, was" in word
    assert "waiting for its end, up to 60 s" in word
    assert rcvbuf(1 << 20) == 262142, "while the first lives its setting holds"
    said = lab("restore", LAB_STATE=state, DOCKER_HOST=NO_ENGINE)
    assert (said.code, "left alone the settings net.core: the lab of process" in said.out) == (0, True)
    assert rcvbuf(1 << 20) == 262142
    first.send_signal(signal.SIGTERM)
    assert ending(first).code == 143
    done = ending(second)
    assert (done.code, done.json["outcome"]) == (0, "idle"), done.err
    assert load(Path(done.json["run"])).core["rmem_max"] == "262144"


def test_after_kill_9_the_doctor_names_it_and_restore_puts_it_back_by_name(tmp_path: Path, state: str) -> None:
    before = read_core()
    run = held(tmp_path, state, OPTION)
    run.kill()
    ending(run)
    assert read_core() == before | {"rmem_max": "131071"}
    checks = {each["name"]: each for each in lab("doctor", "--format", "json", LAB_STATE=state).json["checks"]}
    assert checks["host settings"]["found"].endswith(f"net.core.rmem_max 131071, was {before['rmem_max']}")
    assert "`lab restore` as root" in checks["host settings"]["remedy"]
    said = lab("restore", "--format", "json", LAB_STATE=state, DOCKER_HOST=NO_ENGINE)
    assert [each["name"] for each in said.json["put_back"]] == ["net.core.rmem_max"]
    assert read_core() == before


def test_a_torn_journal_is_exit_4_for_both_who_would_use_it(tmp_path: Path, state: str) -> None:
    folder = Path(state)
    folder.mkdir(mode=0o700)
    (folder / journal.NAME).write_text('{"format": "zero-window')
    try:
        said = lab("run", OPTION, "--runs", tmp_path, LAB_STATE=state)
        assert (said.code, is_one_line(said)) == (4, True)
        restored = lab("restore", LAB_STATE=state, DOCKER_HOST=NO_ENGINE)
        assert (restored.code, restored.err.count("\n")) == (4, 1)
        assert "is damaged or was not written by the lab" in restored.err
    finally:
        (folder / journal.NAME).unlink()


@pytest.mark.usefixtures("state")
def test_killed_at_any_instant_restore_leaves_the_host_as_it_was(tmp_path: Path) -> None:
    """The short form of `python -m tests.killed`."""
    seen = [killed(seed, tmp_path / "runs") for seed in range(10)]
    assert [each for each in seen if not each.clean] == []
    assert any(each.left for each in seen), "none was killed while it had something to put back"


def test_an_ordinary_user_is_told_that_it_is_the_host_s() -> None:
    with unprivileged.clone() as clone:
        said = unprivileged.lab(clone, "run", OPTION)
        assert (said.code, is_one_line(said)) == (4, True)
        assert "only its root may write it: run as root" in said.err
        assert unprivileged.lab(clone, "restore").code == 0


def test_the_root_of_a_namespace_is_told_to_go_to_the_host(tmp_path: Path, state: str) -> None:
    words = ["unshare", "--user", "--map-root-user", "--net"]
    said = ending(started("run", OPTION, "--runs", tmp_path, before=words, LAB_STATE=state))
    assert (said.code, is_one_line(said)) == (4, True)
    assert "from the host's own namespaces only" in said.err


@pytest.mark.docker
@pytest.mark.parametrize(("network", "why"), [("bridge", "from the host's own namespaces only"), ("host", "read-only")])
def test_in_an_ordinary_container_it_is_one_line_too(network: str, why: str) -> None:
    subprocess.run([ROOT / "scripts/images"], check=True, timeout=600)
    words = ["docker", "run", "--rm", "--network", network, "zero-window-lab-controller", "run", OPTION]
    done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1)
    assert why in done.stderr
    assert "compose.yaml's controller" in done.stderr


@pytest.mark.docker
@pytest.mark.parametrize("compose", [("docker", "compose"), ("docker-compose",)])
def test_a_controller_s_setting_is_locked_and_put_back_across_the_container(
    compose: tuple[str, ...], tmp_path: Path, state: str
) -> None:
    """The engine makes the folder. The host sees that the container lives, and, once it is killed, puts back for it."""
    subprocess.run([ROOT / "scripts/images"], check=True, timeout=600)
    before = read_core()
    project = [*compose, "--project-name", f"zero-window-lab-test-{NET.replace('.', '-')}"]
    variables = {"LAB_HOST_SYSCTL": "net.core.rmem_max=131071", "LAB_UNTIL": "60", "LAB_RUNS_ON_HOST": str(tmp_path)}
    where = environment(LAB_NET=NET, LAB_STATE=state, **variables)
    try:
        up = [*project, "up", "--detach", "--no-build"]
        subprocess.run(up, cwd=ROOT, env=where, capture_output=True, check=True, timeout=LIMIT_S)
        on_docker.wait_until(lambda: read_core() == before | {"rmem_max": "131071"}, limit_s=LIMIT_S)
        assert Path(state).stat().st_mode & 0o777 == 0o700
        living = lab("restore", LAB_STATE=state, DOCKER_HOST=NO_ENGINE)
        assert "left alone the settings net.core" in living.out
        assert read_core()["rmem_max"] == "131071"
        subprocess.run([*project, "kill", "controller"], cwd=ROOT, env=where, capture_output=True, check=True)
        assert read_core()["rmem_max"] == "131071"
        dead = lab("restore", LAB_STATE=state, DOCKER_HOST=NO_ENGINE)
        assert "net.core.rmem_max is" in dead.out
        assert read_core() == before
    finally:
        down = [*project, "down", "--timeout", "1"]
        subprocess.run(down, cwd=ROOT, env=where, capture_output=True, check=True, timeout=LIMIT_S)
