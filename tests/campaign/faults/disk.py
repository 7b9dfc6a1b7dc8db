"""The disk is full: --runs is a small tmpfs, which fills up after some records."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.campaign.faults import BROKE_AWAY, PLAYED, Fault
from tests.campaign.scene import Scene

SMALL = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""KiB: a squeezed run takes some 100 to 300."""


@contextmanager
def small(scene: Scene) -> Iterator[None]:
    options = f"size={scene.dice.choice(SMALL)}k,mode=755,uid={scene.ground.owner},gid={scene.ground.owner}"
    with _tmpfs(scene, options):
        yield


@contextmanager
def roomy(scene: Scene) -> Iterator[None]:
    with _tmpfs(scene, f"size=8m,mode=755,uid={scene.ground.owner},gid={scene.ground.owner}"):
        yield


@contextmanager
def _tmpfs(scene: Scene, options: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", scene.runs], check=True, timeout=20)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", scene.runs], check=True, timeout=20)


def is_small(_: Scene) -> None:
    """Nothing to do: the run's own records fill it."""


def is_filled(scene: Scene) -> None:
    """Somebody else fills it in mid-run."""
    with (scene.runs / "another").open("wb") as file:
        try:
            while True:
                os.write(file.fileno(), bytes(4096))
        except OSError:
            pass


FAULTS = (
    Fault("disk-small", is_small, PLAYED | {BROKE_AWAY}, prepared=small, standing=True),
    Fault("disk-filled", is_filled, PLAYED | {BROKE_AWAY}, prepared=roomy),
)
