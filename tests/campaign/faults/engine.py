"""The engine is out of reach: DOCKER_HOST is a relay of ours that dies or stalls. The engine itself goes on."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.campaign.faults import BROKE_AWAY, BY_SIGINT, INTERRUPTED, PLAYED, Fault
from tests.campaign.relay import Relay
from tests.campaign.scene import Scene

LONGEST_S = 3.0


@contextmanager
def relayed(scene: Scene) -> Iterator[None]:
    scene.relay = Relay(scene.folder / "engine.sock")
    scene.environment["DOCKER_HOST"] = scene.relay.address
    try:
        yield
    finally:
        scene.relay.die()


def dies(scene: Scene) -> None:
    _relay(scene).die()


def stalls(scene: Scene) -> None:
    _relay(scene).stall()
    time.sleep(scene.dice.uniform(0.1, LONGEST_S))
    _relay(scene).resume()


def stalls_and_dies(scene: Scene) -> None:
    _relay(scene).stall()
    time.sleep(scene.dice.uniform(0.1, LONGEST_S))
    _relay(scene).die()


def stalls_and_a_person_interrupts(scene: Scene) -> None:
    """Afterwards it answers again; else the lab could not remove its containers."""
    _relay(scene).stall()
    time.sleep(scene.dice.uniform(0.1, LONGEST_S))
    scene.signal(scene.controller(), signal.SIGINT)
    time.sleep(scene.dice.uniform(0.1, LONGEST_S))
    _relay(scene).resume()


def _relay(scene: Scene) -> Relay:
    assert scene.relay is not None
    return scene.relay


ON = ("compose",)
FAULTS = (
    Fault("engine-dies", dies, PLAYED | {BROKE_AWAY}, ON, relayed),
    Fault("engine-stalls", stalls, PLAYED, ON, relayed),
    Fault("engine-stalls-dies", stalls_and_dies, PLAYED | {BROKE_AWAY}, ON, relayed),
    Fault("engine-stalls-sigint", stalls_and_a_person_interrupts, frozenset({INTERRUPTED, BY_SIGINT}), ON, relayed),
)
