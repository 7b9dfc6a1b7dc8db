"""The fault campaign in short: eight fault-injected runs, and everything is as before. The long form is a script."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.campaign import ground, table
from tests.campaign.__main__ import campaign
from tests.campaign.faults import catalogue
from tests.campaign.fingerprint import Scope, differences
from tests.campaign.ground import Ground
from tests.campaign.mark import mark, marked
from tests.campaign.trial import Trial, tried
from tests.commanded import ROOT
from tests.testbed.lab_on_docker import docker

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.xdist_group("docker")]

NET = "198.18.149"
ALONE = False
"""Other tests may run beside these. The long form, alone on a machine, looks at everything."""
SEED = 7
IN_NAMESPACES = ("kill-controller", "kill-program", "stop-kill-endpoint", "disk-small", "netlink-enobufs")
ON_DOCKER = ("kill-controller", "engine-dies", "container-removed")


@pytest.fixture(scope="module")
def grounds() -> Iterator[dict[str, Ground]]:
    mark()
    subprocess.run([ROOT / "scripts/images"], check=True, timeout=600)
    with ExitStack() as stack:
        yield {name: stack.enter_context(ground.ground(name)) for name in ground.NAMES}


def as_before(trial: Trial) -> bool:
    assert not trial.differences, "\n".join(table.lines([trial]))
    return True


@pytest.mark.parametrize("fault", IN_NAMESPACES)
def test_after_a_fault_in_namespaces_all_is_as_before(fault: str, grounds: dict[str, Ground]) -> None:
    name = "rootless" if IN_NAMESPACES.index(fault) % 2 else "netns"
    assert as_before(tried(SEED, catalogue()[fault], grounds[name], NET, alone=ALONE))


@pytest.mark.parametrize("fault", ON_DOCKER)
def test_after_a_fault_on_docker_all_is_as_before(fault: str, grounds: dict[str, Ground]) -> None:
    assert as_before(tried(SEED, catalogue()[fault], grounds["compose"], NET, alone=ALONE))


class TestTheFingerprintSees:
    """Otherwise finding no difference would mean nothing."""

    @pytest.fixture
    def scope(self, tmp_path: Path) -> Scope:
        mark()
        return Scope(NET, (tmp_path,), ALONE)

    def test_a_file_that_was_left(self, scope: Scope, tmp_path: Path) -> None:
        before = scope.look()
        (tmp_path / "left").touch()
        assert differences(scope, before, 0) == (f"files: + {tmp_path}/left",)

    def test_a_process_that_was_left_and_its_namespace(self, scope: Scope) -> None:
        before = scope.look()
        with subprocess.Popen(["unshare", "--net", "sleep", "60"], start_new_session=True) as left:
            try:
                while left.pid not in marked() or len(differences(scope, before, 0)) < 2:
                    assert left.poll() is None
                kinds = [each.split(":")[0] for each in differences(scope, before, 0)]
            finally:
                left.kill()
        assert kinds == ["processes", "namespaces"]

    def test_a_bridge_with_an_address_and_its_routes(self, scope: Scope) -> None:
        before = scope.look()
        bridge = f"br-{NET}"
        subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
        try:
            subprocess.run(["ip", "address", "add", f"{NET}.1/24", "dev", bridge], check=True)
            subprocess.run(["ip", "link", "set", bridge, "up"], check=True)
            kinds = {each.split(":")[0] for each in differences(scope, before, 0)}
        finally:
            subprocess.run(["ip", "link", "delete", bridge], check=True)
        assert {"links", "addresses", "routes"} <= kinds
        assert differences(scope, before) == ()

    def test_a_network_and_a_volume_of_the_engine(self, scope: Scope) -> None:
        before = scope.look()
        name = f"zero-window-lab-{NET.replace('.', '-')}-left"
        docker("network", "create", "--internal", "--label", f"org.zero-window-lab.net={NET}", name)
        docker("volume", "create", name)
        try:
            kinds = {each.split(":")[0] for each in differences(scope, before, 0)}
        finally:
            docker("network", "rm", name)
            docker("volume", "rm", name)
        assert {"networks", "volumes"} <= kinds

    def test_a_mount(self, scope: Scope, tmp_path: Path) -> None:
        before = scope.look()
        (tmp_path / "mounted").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "mounted"], check=True)
        try:
            found = [each for each in differences(scope, before, 0) if each.startswith("mounts: +")]
        finally:
            subprocess.run(["umount", tmp_path / "mounted"], check=True)
        assert len(found) == 1


def test_a_campaign_of_no_faults_finds_no_difference(grounds: dict[str, Ground]) -> None:
    """The control: what it does itself, it undoes."""
    (trial,) = campaign(1, [catalogue()["none"]], [grounds["netns"]], SEED, NET, alone=ALONE)
    assert as_before(trial)
    assert not trial.removed
