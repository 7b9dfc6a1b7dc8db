"""Something that the run needs goes away in mid-run: its link, its container, its network.

A namespace of the netns testbed cannot go away: the controller holds it by a descriptor, which nobody else can close. A
container's namespace goes away with the container.
"""

import subprocess
import time

from tests.campaign.faults import BROKE_AWAY, PLAYED, Fault
from tests.campaign.scene import NoTargetError, Scene

ROLES = ("client", "server")


def link_goes_down(scene: Scene) -> None:
    _ip(scene, "link", "set", "eth0", "down")


def link_goes_down_and_up(scene: Scene) -> None:
    _ip(scene, "link", "set", "eth0", "down")
    _ip(scene, "link", "set", "eth0", "up")


def link_is_deleted(scene: Scene) -> None:
    _ip(scene, "link", "delete", "eth0")


def _ip(scene: Scene, *words: str) -> None:
    pid = scene.awaited(scene.hosts)
    enter = ["nsenter", "--target", str(pid), "--net", "ip", *words]
    while subprocess.run(enter, capture_output=True, check=False, timeout=20).returncode != 0:
        if scene.ended():
            raise NoTargetError
        time.sleep(0.01)  # there is no such link yet


def container_is_removed(scene: Scene) -> None:
    scene.awaited(scene.hosts)
    _docker("rm", "--force", _container(scene))


def network_is_disconnected(scene: Scene) -> None:
    scene.awaited(scene.hosts)
    (network,) = _docker("network", "ls", "--quiet", "--filter", _label(scene)) or [""]
    _docker("network", "disconnect", "--force", network, _container(scene))


def _container(scene: Scene) -> str:
    role = scene.dice.choice(ROLES)
    found = _docker("ps", "--quiet", "--filter", _label(scene), "--filter", f"label=com.docker.compose.service={role}")
    if not found:
        raise NoTargetError
    return found[0]


def _label(scene: Scene) -> str:
    return f"label=org.zero-window-lab.net={scene.net}"


def _docker(*words: str) -> list[str]:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise NoTargetError
    return done.stdout.split()


ANY = PLAYED | {BROKE_AWAY}
FAULTS = (
    Fault("link-down", link_goes_down, ANY),
    Fault("link-down-up", link_goes_down_and_up, ANY),
    Fault("link-deleted", link_is_deleted, ANY),
    Fault("container-removed", container_is_removed, ANY, ("compose",)),
    Fault("network-disconnected", network_is_disconnected, ANY, ("compose",)),
)
