"""A run under way, as a fault sees it: its processes, its containers, and the random numbers."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lab.kernel.procfs import argv, descendants, parent_of
from tests.campaign.ground import Ground
from tests.campaign.relay import Relay

AWAIT_S = 20.0


class NoTargetError(Exception):
    """The run ended before the fault found its target."""


@dataclass(slots=True)
class Scene:
    ground: Ground
    net: str
    folder: Path
    """A folder of this trial only, for whatever it needs."""
    runs: Path
    dice: random.Random
    before: list[str] = field(default_factory=list)
    """Words in front of the lab's command line."""
    environment: dict[str, str] = field(default_factory=dict)
    lab: "subprocess.Popen[str] | None" = None
    relay: "Relay | None" = None
    """In front of the engine, if the fault concerns the engine."""

    def controller(self) -> int:
        assert self.lab is not None
        return self.lab.pid

    def ended(self) -> bool:
        assert self.lab is not None
        return self.lab.poll() is not None

    def awaited(self, find: Callable[[], list[int]]) -> int:
        """One of those that `find` finds, as soon as it finds any. Raises NoTargetError."""
        end = time.monotonic() + AWAIT_S
        while not (found := find()):
            if self.ended() or time.monotonic() > end:
                raise NoTargetError
            time.sleep(0.002)
        return self.dice.choice(found)

    def hosts(self) -> list[int]:
        """The endpoints' hosts."""
        found = self._endpoints()
        return [pid for pid in found if parent_of(pid) not in found]

    def programs(self) -> list[int]:
        """The programs that hold the connection, which the hosts have forked."""
        found = self._endpoints()
        return [pid for pid in found if parent_of(pid) in found]

    def _endpoints(self) -> set[int]:
        if self.ground.name == "compose":
            wanted = [["-m", "lab.endpoint", role, self.net] for role in ("client", "server")]
            return {pid for pid in _everybody() if argv(pid)[1:] in wanted}
        return {pid for pid in descendants(self.controller())[1:] if "lab.endpoint" in argv(pid)}

    def compose_client(self) -> list[int]:
        """`docker compose up` and the processes that it has started, while it works."""
        return [pid for pid in descendants(self.controller())[1:] if {"up", "--detach"} <= set(argv(pid))]

    def signal(self, pid: int, *numbers: signal.Signals, pause_s: float = 0.0) -> None:
        """Send them in a row. Raises NoTargetError if the process has ended."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            raise NoTargetError from None
        try:
            for index, number in enumerate(numbers):
                if index:
                    time.sleep(pause_s)
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            raise NoTargetError from None
        finally:
            os.close(descriptor)


def _everybody() -> Iterator[int]:
    return (int(folder) for folder in os.listdir("/proc") if folder.isdecimal())
