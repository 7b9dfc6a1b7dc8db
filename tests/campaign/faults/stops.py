"""SIGSTOP of one process, which then continues or is killed."""

import signal

from tests.campaign.faults import BROKE_AWAY, KILLED, PLAYED, Fault
from tests.campaign.scene import Scene

LONGEST_S = 1.5


def _stop(scene: Scene, pid: int, then: signal.Signals) -> None:
    scene.signal(pid, signal.SIGSTOP, then, pause_s=scene.dice.uniform(0.0, LONGEST_S))


def controller(scene: Scene) -> None:
    _stop(scene, scene.controller(), signal.SIGCONT)


def controller_for_good(scene: Scene) -> None:
    _stop(scene, scene.controller(), signal.SIGKILL)


def endpoint(scene: Scene) -> None:
    _stop(scene, scene.awaited(scene.hosts), signal.SIGCONT)


def endpoint_for_good(scene: Scene) -> None:
    _stop(scene, scene.awaited(scene.hosts), signal.SIGKILL)


def program(scene: Scene) -> None:
    _stop(scene, scene.awaited(scene.programs), signal.SIGCONT)


def program_for_good(scene: Scene) -> None:
    _stop(scene, scene.awaited(scene.programs), signal.SIGKILL)


def compose_client(scene: Scene) -> None:
    _stop(scene, scene.awaited(scene.compose_client), signal.SIGCONT)


def compose_client_for_good(scene: Scene) -> None:
    _stop(scene, scene.awaited(scene.compose_client), signal.SIGKILL)


FAULTS = (
    Fault("stop-controller", controller, PLAYED),
    Fault("stop-kill-controller", controller_for_good, frozenset({KILLED})),
    Fault("stop-endpoint", endpoint, PLAYED),
    Fault("stop-kill-endpoint", endpoint_for_good, PLAYED | {BROKE_AWAY}),
    Fault("stop-program", program, PLAYED),
    Fault("stop-kill-program", program_for_good, PLAYED | {BROKE_AWAY}),
    Fault("stop-compose-client", compose_client, PLAYED, grounds=("compose",), within=0.3),
    Fault("stop-kill-compose-client", compose_client_for_good, PLAYED | {BROKE_AWAY}, grounds=("compose",), within=0.3),
)
