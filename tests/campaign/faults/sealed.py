"""/proc/sys becomes read-only at some instant, in a mount namespace of the run alone."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.campaign.faults import BROKE_AWAY, PLAYED, Fault
from tests.campaign.scene import NoTargetError, Scene

SEAL = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys"


@contextmanager
def with_mounts_of_its_own(scene: Scene) -> Iterator[None]:
    scene.before += ["unshare", "--mount", "--propagation", "private"]
    yield


def sealed(scene: Scene) -> None:
    enter = ["nsenter", "--target", str(scene.controller()), "--mount"]
    done = subprocess.run([*enter, "sh", "-c", SEAL], capture_output=True, check=False, timeout=20)
    if done.returncode != 0 and scene.ended():
        raise NoTargetError
    assert done.returncode == 0, done.stderr


FAULTS = (Fault("proc-sys-read-only", sealed, PLAYED | {BROKE_AWAY}, prepared=with_mounts_of_its_own, within=0.5),)
