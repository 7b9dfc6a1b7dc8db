"""kill -9: of the controller, of an endpoint's host, of the program that this has forked, of `docker compose up`."""

import signal

from tests.campaign.faults import BROKE_AWAY, KILLED, PLAYED, Fault
from tests.campaign.scene import Scene


def controller(scene: Scene) -> None:
    scene.signal(scene.controller(), signal.SIGKILL)


def endpoint(scene: Scene) -> None:
    scene.signal(scene.awaited(scene.hosts), signal.SIGKILL)


def program(scene: Scene) -> None:
    scene.signal(scene.awaited(scene.programs), signal.SIGKILL)


def compose_client(scene: Scene) -> None:
    scene.signal(scene.awaited(scene.compose_client), signal.SIGKILL)


FAULTS = (
    Fault("kill-controller", controller, frozenset({KILLED})),
    Fault("kill-endpoint", endpoint, PLAYED | {BROKE_AWAY}),
    Fault("kill-program", program, PLAYED | {BROKE_AWAY}),
    Fault("kill-compose-client", compose_client, PLAYED | {BROKE_AWAY}, grounds=("compose",), within=0.3),
)
