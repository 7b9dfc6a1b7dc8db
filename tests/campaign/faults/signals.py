"""A person's signals to the controller: Ctrl-C, Ctrl-C twice, SIGTERM, SIGHUP."""

import signal
import time
from pathlib import Path

from tests.campaign.faults import BY_SIGINT, HANGUP, INTERRUPTED, TERMINATED, Fault
from tests.campaign.scene import NoTargetError, Scene

CTRL_C = frozenset({INTERRUPTED, BY_SIGINT})
CAUGHT = 1 << signal.SIGHUP - 1
TWICE_S = 0.3


def _heard(scene: Scene) -> int:
    """The controller, once the lab handles signals. Before that Python is starting, and ends as Python does."""
    pid = scene.controller()
    while not _catches(pid):
        if scene.ended():
            raise NoTargetError
        time.sleep(0.002)
    return pid


def _catches(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    (line,) = (line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(line.split()[1], 16) & CAUGHT)


def interrupt(scene: Scene) -> None:
    scene.signal(_heard(scene), signal.SIGINT)


def interrupt_twice(scene: Scene) -> None:
    pid = _heard(scene)
    scene.signal(pid, signal.SIGINT)
    time.sleep(scene.dice.uniform(0.0, TWICE_S))
    scene.signal(pid, signal.SIGINT)


def terminate(scene: Scene) -> None:
    scene.signal(_heard(scene), signal.SIGTERM)


def hang_up(scene: Scene) -> None:
    scene.signal(_heard(scene), signal.SIGHUP)


FAULTS = (
    Fault("sigint", interrupt, CTRL_C),
    Fault("sigint-twice", interrupt_twice, CTRL_C),
    Fault("sigterm", terminate, frozenset({TERMINATED})),
    Fault("sighup", hang_up, frozenset({HANGUP})),
)
