"""The faults: one family a file with a constant FAULTS, one function a fault; `catalogue` finds them all."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.campaign.ground import NAMES

if TYPE_CHECKING:
    from tests.campaign.scene import Scene

KILLED, HANGUP, TERMINATED, INTERRUPTED = -9, 129, 143, 130
BY_SIGINT = -2
"""A shell shows it as 130 too. So CPython ends when a KeyboardInterrupt, handled or not, left an exec() of a string (a
dataclass that is being made, say), and none came after it."""
PLAYED = frozenset({0, 1, 3})
"""The run came to a verdict all the same, and the verdict is looked at."""
BROKE_AWAY = 4


@contextmanager
def _as_it_is(_: "Scene") -> Iterator[None]:
    yield


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    hurt: Callable[["Scene"], None]
    """Does it, once: at a random instant of a run."""
    codes: frozenset[int]
    """How `lab run` may end, if the fault came while it ran."""
    grounds: Sequence[str] = NAMES
    prepared: Callable[["Scene"], AbstractContextManager[None]] = _as_it_is
    """What must stand before the run starts, and is undone after it."""
    standing: bool = False
    """Whether it is in force from the start, so that no instant is too late."""
    within: float = 1.0
    """The part of a run in which it is to come."""


def catalogue() -> dict[str, Fault]:
    """Every fault by its name."""
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    return {fault.name: fault for module in modules for fault in module.FAULTS}
