"""The compose testbed on a real engine: it plays, tells its pair from others', and leaves nothing behind."""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from lab import errors
from lab.kernel.place.link import Interface
from lab.kernel.place.sysctl import read_core
from lab.scenario import find
from lab.spec import Limits, Pair, Role, Spec
from lab.store import load
from lab.testbed import compose
from tests.testbed import lab_on_docker as on_docker
from tests.testbed.lab_on_docker import ROOT, docker, document, holds_nothing, lab, start, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.xdist_group("docker")]

NET, OTHER_NET = "198.18.30", "198.18.31"
V1 = "docker-compose"


@pytest.fixture(scope="module", autouse=True)
def _images() -> None:
    """Made first, so that the time of a build is not a test's."""
    subprocess.run([ROOT / "scripts/images"], check=True, timeout=600)


def compose_words(net: str) -> list[str]:
    return ["docker", "compose", "--project-name", f"zero-window-lab-test-{net.replace('.', '-')}"]


@contextmanager
def a_person_s_pair(net: str, *services: str) -> Iterator[None]:
    """Started by hand: it has no owner."""
    where = on_docker.environment(net)
    try:
        up = [*compose_words(net), "up", "--detach", "--no-build", *services]
        subprocess.run(up, cwd=ROOT, env=where, check=True, timeout=60, capture_output=True)
        yield
    finally:
        subprocess.run([*compose_words(net), "down"], cwd=ROOT, env=where, check=True, timeout=60, capture_output=True)


def spec(net: str = NET, barrier_s: float = 20.0, ip: int = 4) -> Spec:
    return Spec(
        scenario=find("upper"), testbed="compose", net=net, ip=ip, limits=replace(Limits(), barrier_s=barrier_s)
    )


def test_the_pair_freezes_between_two_containers(tmp_path: Path) -> None:
    done = lab(NET, "run", "--testbed", "compose", "--format", "json", "--runs", str(tmp_path))
    verdict = document(done)
    assert (done.returncode, verdict["outcome"], verdict["testbed"]) == (0, "deadlock", "compose"), done.stderr
    assert verdict["server"] == f"{NET}.10:1060"
    assert holds_nothing(NET)


def test_it_freezes_with_docker_compose_version_1_too(tmp_path: Path) -> None:
    """A docker command without the plugin is what Debian 12 has."""
    command = tmp_path / "docker"
    command.write_text('#!/bin/sh\n[ "$1" = compose ] && exit 1\nexec /usr/bin/docker "$@"\n')
    command.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = lab(NET, "run", "--testbed", "compose", "--format", "json", "--runs", str(tmp_path), PATH=path)
    assert document(done)["outcome"] == "deadlock"
    assert done.returncode == 0
    assert holds_nothing(NET)


def test_ipv6_addresses_are_ready_when_the_pair_is() -> None:
    with compose.site(spec(ip=6)) as site:
        assert site.addresses.server == "2001:2::c612:1e0a"
        site.namespaces.server.call(socket.create_server, (site.addresses.server, 0), family=socket.AF_INET6).close()


def test_a_site_tells_how_to_look_at_it_and_what_it_is_made_of() -> None:
    with compose.site(spec()) as site:
        assert site.interfaces == Pair(Interface("eth0", 1500), Interface("eth0", 1500))
        assert str(site.programs.client.host_pid) in site.standing
        assert site.notes["server image"].startswith("sha256:")
    assert holds_nothing(NET)


def test_two_labs_at_once_do_not_meet(tmp_path: Path) -> None:
    arguments = ("run", "--testbed", "compose", "--format", "json", "--runs", str(tmp_path))
    both = {net: start(net, *arguments) for net in (NET, OTHER_NET)}
    for net, process in both.items():
        out, err = process.communicate(timeout=on_docker.LIMIT_S)
        assert process.returncode == 0, err
        assert f'"server": "{net}.10:1060"' in out
        assert holds_nothing(net)


def test_somebody_else_s_pair_on_the_same_net_is_never_touched() -> None:
    with a_person_s_pair(NET, "server", "client"):
        before = on_docker.containers(NET)
        done = lab(NET, "run", "--testbed", "compose")
        assert done.returncode == 4
        assert "taken by `docker compose up`" in done.stderr
        assert "LAB_NET" in done.stderr
        assert done.stdout == ""
        assert on_docker.containers(NET) == before


def test_a_taken_subnet_is_told_with_what_to_do() -> None:
    name = f"zero-window-lab-test-{secrets.token_hex(3)}"
    docker("network", "create", "--subnet", f"{NET}.0/25", name)
    try:
        done = lab(NET, "run", "--testbed", "compose")
    finally:
        docker("network", "rm", name)
    assert done.returncode == 4
    assert "is taken on this machine" in done.stderr
    assert "set LAB_NET to another, for example 198.18.31" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert holds_nothing(NET)


def test_no_engine_is_told_with_what_to_do() -> None:
    done = lab(NET, "run", "--testbed", "compose", DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert done.returncode == 4
    assert "no Docker engine answers at unix:///nonexistent/docker.sock: unset DOCKER_HOST" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_lab_leaves_nothing(number: signal.Signals) -> None:
    process = start(NET, "run", "--testbed", "compose", "--until", "30")
    wait_until(lambda: on_docker.networks(NET), [process])  # the services are just starting
    process.send_signal(number)
    process.communicate(timeout=on_docker.LIMIT_S)
    assert process.returncode == (130 if number == signal.SIGINT else 143)
    assert holds_nothing(NET)


def test_what_a_killed_lab_left_does_not_stand_in_the_way_of_the_next() -> None:
    process = start(NET, "run", "--testbed", "compose", "--until", "30")
    wait_until(lambda: len(on_docker.containers(NET)) == 2, [process])
    process.kill()
    process.communicate(timeout=on_docker.LIMIT_S)
    assert not holds_nothing(NET)
    done = lab(NET, "run", "--testbed", "compose", "--payload", "32", "--format", "json")
    assert document(done)["outcome"] == "completed"
    assert holds_nothing(NET)


@contextmanager
def in_a_controller(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("LAB_CONTROLLER", "1")
        yield


def test_a_controller_meets_the_pair_that_stands_and_leaves_it_standing(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_person_s_pair(NET, "server", "client"), in_a_controller(monkeypatch):
        for _ in range(2):
            with compose.site(spec()) as site:
                assert site.programs.server.host_pid != site.programs.client.host_pid
        assert len(on_docker.containers(NET)) == 2


IN_THE_CONTROLLER = """
import json, sys
from lab.kernel.place import sysctl
from lab.scenario import find
from lab.spec import Spec
from lab.testbed import compose
with compose.site(Spec(scenario=find("upper"), testbed="compose", net=sys.argv[1])) as site:
    sysctl.write(site.namespaces.client, {"tcp_rmem": "4096 8192 8192"})
    tuned = [sysctl.read(each, ["tcp_rmem"])["tcp_rmem"] for each in site.namespaces]
    interfaces = [[each.name, each.mtu] for each in site.interfaces]
    print(json.dumps([tuned, interfaces, [name for name in sys.modules if name.startswith("pyroute2")]]))
"""


def test_in_its_container_the_controller_enters_finds_and_tunes_by_pyroute2() -> None:
    run = [*compose_words(NET), "run", "--rm", "--no-deps", "--no-TTY", "--entrypoint", "python3", "controller"]
    with a_person_s_pair(NET, "server", "client"):
        done = subprocess.run(
            [*run, "-c", IN_THE_CONTROLLER, NET], cwd=ROOT, env=on_docker.environment(NET),
            capture_output=True, text=True, timeout=on_docker.LIMIT_S, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (client, server), interfaces, modules = json.loads(done.stdout)
    assert client == "4096 8192 8192" != server
    assert interfaces == [["eth0", 1500], ["eth0", 1500]]
    assert {"pyroute2.netns", "pyroute2.iproute.linux"} <= set(modules)
    assert "pyroute2.ndb" not in modules, "the parts that it needs, and no more"


def test_a_second_controller_is_refused_while_the_first_plays(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        a_person_s_pair(NET, "server", "client"),
        in_a_controller(monkeypatch),
        compose.site(spec()),
        pytest.raises(errors.TestbedError, match="another lab plays"),
    ):
        compose.site(spec()).__enter__()


def test_a_controller_does_not_take_a_program_of_another_network_for_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its argv says that it is of this lab; its namespace does not hold the address."""
    image = ["zero-window-lab-endpoint"]
    pair = [docker("run", "--detach", "--rm", *image, role, OTHER_NET)[0] for role in Role]
    try:
        with (
            in_a_controller(monkeypatch),
            pytest.raises(errors.TestbedError, match=rf"no interface with .* {OTHER_NET}\.20"),
        ):
            compose.site(spec(OTHER_NET, barrier_s=1.0)).__enter__()
    finally:
        docker("rm", "--force", *pair)


def test_a_controller_without_a_pair_says_what_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_a_controller(monkeypatch), pytest.raises(errors.TestbedError, match="docker compose ps"):
        compose.site(spec(OTHER_NET, barrier_s=0.2)).__enter__()


@pytest.fixture
def journal_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where settings of the host would be noted; it is not there yet."""
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_the_controller_s_container_plays_for_who_may_only_use_docker(tmp_path: Path, journal_folder: Path) -> None:
    out, err = StringIO(), StringIO()
    runs = tmp_path / "runs"
    runs.mkdir(mode=0o755)
    os.chown(runs, 1000, 1000)
    before = read_core()
    wish = {"rmem_max": int(before["rmem_max"]) - 1}
    wishes = {"LAB_SCENARIO": "upper", "LAB_PAYLOAD": "32", "LAB_FORMAT": "json", "LAB_RUNS": str(runs)}
    wishes["LAB_HOST_SYSCTL"] = f"net.core.rmem_max={wish['rmem_max']}"
    assert compose.through_the_controller(replace(spec(), host_sysctls=wish), wishes, out, err) == 0, err.getvalue()
    assert '"outcome": "completed"' in out.getvalue()
    (run,) = (path for path in runs.iterdir() if not path.is_symlink())
    assert run.stat().st_uid == 1000
    assert f'"run": "{run}"' in out.getvalue()
    assert (load(run).core["rmem_max"], load(run).core_before) == (str(wish["rmem_max"]), before)
    assert read_core() == before
    assert list(journal_folder.iterdir()) == []
    assert holds_nothing(NET)


def test_the_controller_s_exit_code_and_errors_come_through(tmp_path: Path, journal_folder: Path) -> None:
    out, err = StringIO(), StringIO()
    wishes = {"LAB_PAYLOAD": "-1", "LAB_FORMAT": "json", "LAB_RUNS": str(tmp_path)}
    assert compose.through_the_controller(spec(), wishes, out, err) == 2
    assert out.getvalue() == ""
    assert "size '-1'" in err.getvalue()
    assert not journal_folder.exists(), "without a wish for the host the engine makes no folder for one"


def test_who_may_not_use_docker_is_told_so() -> None:
    """By the engine's own answer. The user changes in a fork: another user's interpreter may lack the libraries."""
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresuid(65534, 65534, 65534)
        try:
            compose.through_the_controller(spec(), {"LAB_RUNS": "/tmp"}, StringIO(), StringIO())
        except errors.LabError as error:
            os._exit(error.exit_code if "join the group docker" in str(error) else 70)
        os._exit(71)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4


def test_compose_up_plays_and_returns_the_verdict_s_code() -> None:
    for words, payload in ((["docker", "compose"], "32"), ([V1], "")):
        where = on_docker.environment(OTHER_NET, LAB_PAYLOAD=payload)
        project = [*words, "--project-name", f"zero-window-lab-test-{secrets.token_hex(3)}"]
        try:
            done = subprocess.run(
                [*project, "up", "--no-build", "--abort-on-container-exit", "--exit-code-from", "controller"],
                cwd=ROOT, env=where, timeout=on_docker.LIMIT_S, capture_output=True, text=True, check=False,
            )  # fmt: skip
        finally:
            subprocess.run([*project, "down"], cwd=ROOT, env=where, timeout=60, capture_output=True, check=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("completed" if payload else "deadlock") in done.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_up_hears_a_signal_of_its_own_at_once_and_leaves_nothing(number: signal.Signals, code: int) -> None:
    """Such as a supervisor sends it to the script alone, while the pair is held."""
    where = on_docker.environment(NET, LAB_HOLD="1")
    with subprocess.Popen([ROOT / "scripts/up"], env=where, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        try:
            assert up.stdout.readline().startswith("deadlock")
            up.send_signal(number)
            assert up.wait(15) == code
        finally:
            up.kill()
    assert holds_nothing(NET)


@pytest.mark.parametrize("words", [["docker", "compose"], [V1]], ids=["v2", "v1"])
def test_both_composes_hand_on_a_variable_that_is_set_and_no_other(words: list[str], tmp_path: Path) -> None:
    shutil.copy(ROOT / "compose.yaml", tmp_path)
    (tmp_path / ".env").write_text("LAB_PAYLOAD=32\nLAB_IP=4\n")
    more = {"LAB_TCP_RMEM": "4096 8192 8192;server=1 2 3", "LAB_IP": "6", "LAB_UNTIL": ""}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "COMPOSE_"))}
    said = subprocess.run(
        [*words, "config"], cwd=tmp_path, env=clean | more, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    found = dict(re.findall(r"^ +(LAB_[A-Z_]+): (.*)$", said, re.MULTILINE))
    assert found["LAB_TCP_RMEM"] == "4096 8192 8192;server=1 2 3"
    assert found["LAB_PAYLOAD"].strip("\"'") == "32"
    assert found["LAB_IP"].strip("\"'") == "6"
    assert found["LAB_UNTIL"].strip("\"'") == ""
    assert found["LAB_SCENARIO"] == found["LAB_FORMAT"] == "null"
