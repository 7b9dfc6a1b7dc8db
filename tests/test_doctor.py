"""`lab doctor` does what it reports on: here, where everything works, in a bare container, and without root."""

import subprocess
from pathlib import Path

import pytest

from lab.doctor import Check, Findings, examine
from tests.testbed.lab_on_docker import ROOT, docker

NET = "198.18.34"


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return examine(NET, tmp_path_factory.mktemp("runs"))


@pytest.mark.docker
@pytest.mark.root
def test_all_that_a_run_needs_works_here(findings: Findings) -> None:
    well = {check.name for check in findings.checks if check.ok}
    assert well >= {"python", "kernel", "namespaces", "sysctls", "capture", "inet_diag", "waits", "engine", "compose"}
    assert findings.may_run


def test_a_check_that_fails_says_what_to_do(findings: Findings) -> None:
    assert all(check.remedy for check in findings.checks if not check.ok)
    assert all(check.remedy is None for check in findings.checks if check.ok)


def test_a_knob_is_told_with_its_value_and_where_it_lives(findings: Findings) -> None:
    knobs = {knob.name: knob for knob in findings.knobs}
    rmem = Path("/proc/sys/net/ipv4/tcp_rmem").read_text().split()
    assert knobs["net.ipv4.tcp_rmem"].value == " ".join(rmem)
    assert {knob.lives for knob in findings.knobs} == {"namespace", "host", "socket"}
    assert knobs["SO_RCVBUF"].value == rmem[1]  # what a new socket starts with (tcp_init_sock)


def test_without_inet_diag_or_waits_nothing_can_run() -> None:
    for name in ("inet_diag", "waits", "python"):
        assert not Findings((Check(name, False, "", "x"),), ()).may_run
    assert Findings((Check("capture", False, "", "x"), Check("namespaces", False, "", "x")), ()).may_run


@pytest.mark.docker
@pytest.mark.root
def test_a_taken_subnet_is_seen() -> None:
    name = "zero-window-lab-test-doctor"
    docker("network", "create", "--subnet", f"{NET}.128/25", name)
    try:
        checks = {check.name: check for check in examine(NET, Path("/tmp")).checks}
    finally:
        docker("network", "rm", name)
    assert not checks["subnet"].ok
    assert f"{NET}.128/25" in checks["subnet"].found
    assert "LAB_NET" in (checks["subnet"].remedy or "")


@pytest.mark.docker
@pytest.mark.root
@pytest.mark.parametrize("user", ["0", "1000"])
def test_a_bare_container_can_play_on_loopback(user: str) -> None:
    """Namespaces are forbidden there, and user 1000 may not capture: the lab runs all the same."""
    subprocess.run([ROOT / "scripts/images"], check=True, timeout=600)
    words = ["run", "--rm", "--user", user, "zero-window-lab-controller", "doctor"]
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " no  namespaces" in done.stdout
    assert (" ok  capture" in done.stdout) == (user == "0")
    assert " ok  waits" in done.stdout
