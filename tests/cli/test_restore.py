"""`lab restore` on a real engine: it puts away what a killed lab left, and touches nothing else."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.testbed import lab_on_docker as on_docker
from tests.testbed.lab_on_docker import ROOT, docker, document, holds_nothing, lab, start, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.xdist_group("docker")]

NET, LIVING_NET = "198.18.32", "198.18.33"


@pytest.fixture(scope="module", autouse=True)
def _images() -> None:
    subprocess.run([ROOT / "scripts/images"], check=True, timeout=600)


@pytest.mark.parametrize("seed", range(3))
def test_after_a_kill_at_any_instant_all_is_as_before(seed: int) -> None:
    """The services come up between 0.5 and 1.2 s after the start."""
    process = start(NET, "run", "--testbed", "compose", "--until", "30")
    time.sleep(random.Random(seed).uniform(0.4, 1.4))
    process.kill()
    process.communicate(timeout=on_docker.LIMIT_S)
    done = lab(NET, "restore")
    assert done.returncode == 0, done.stderr
    assert holds_nothing(NET)
    time.sleep(1)  # whatever was under way at the engine would be there by now
    assert holds_nothing(NET)


def test_each_thing_that_is_removed_is_named_and_a_living_lab_is_not_touched() -> None:
    living = start(LIVING_NET, "run", "--testbed", "compose", "--until", "60")
    killed = start(NET, "run", "--testbed", "compose", "--until", "30")
    try:
        for net in (LIVING_NET, NET):
            wait_until(lambda net=net: len(on_docker.containers(net)) == 2, [living, killed])  # type: ignore[misc]
        killed.kill()
        killed.communicate(timeout=on_docker.LIMIT_S)
        found = document(lab(NET, "restore", "--format", "json"))
        kinds = [each["kind"] for each in found["removed"] if NET.replace(".", "-") in each["name"]]
        assert sorted(kinds) == ["container", "container", "network"]
        assert holds_nothing(NET)
        assert len(on_docker.containers(LIVING_NET)) == 2
        spared = [each["why"] for each in found["untouched"] if LIVING_NET.replace(".", "-") in each["name"]]
        assert spared == [f"its lab, process {living.pid}, lives"] * 3
        assert living.poll() is None
    finally:
        living.send_signal(signal.SIGINT)
        living.communicate(timeout=on_docker.LIMIT_S)
    assert holds_nothing(LIVING_NET)


def test_what_a_person_brought_up_is_not_touched() -> None:
    container = docker(
        "run", "--detach", "--rm", "--label", f"org.zero-window-lab.net={NET}", "--label", "org.zero-window-lab.owner=",
        "zero-window-lab-endpoint", "server", NET,
    )[0]  # fmt: skip
    try:
        assert lab(NET, "restore").returncode == 0
        assert on_docker.containers(NET) == [container[:12]]
    finally:
        docker("rm", "--force", container)


def test_an_owner_that_cannot_be_known_from_here_is_told_and_not_touched() -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    owner = f"1:1:{boot}:1"
    container = docker(
        "run", "--detach", "--rm", "--label", f"org.zero-window-lab.net={NET}", "--label",
        f"org.zero-window-lab.owner={owner}", "zero-window-lab-endpoint", "server", NET,
    )[0]  # fmt: skip
    try:
        assert "from this pid namespace" in lab(NET, "restore").stdout
        assert on_docker.containers(NET) == [container[:12]]
    finally:
        docker("rm", "--force", container)


def test_without_an_engine_that_part_is_passed_over() -> None:
    done = lab(NET, "restore", DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert done.returncode == 0
    assert "did not look at Docker: no Docker engine answers at" in done.stdout
    assert "nothing to restore" in done.stdout


def test_an_endpoint_that_outlived_its_lab_is_ended() -> None:
    start_and_leave = (
        "import subprocess as s, sys; print(s.Popen(sys.argv[1:], stdout=s.DEVNULL, stderr=s.DEVNULL).pid, flush=True)"
    )
    endpoint = [sys.executable, "-S", "-m", "lab.endpoint", "server", f"orphan-{time.time_ns()}"]
    words = [sys.executable, "-c", start_and_leave, *endpoint]
    said = subprocess.run(words, env=on_docker.environment(NET), stdout=subprocess.PIPE, timeout=20, check=True).stdout
    done = lab(NET, "restore")
    assert f"removed the process {int(said)} (lab.endpoint)" in done.stdout
