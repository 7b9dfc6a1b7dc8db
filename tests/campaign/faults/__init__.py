"""The faults: a file with a constant FAULTS for each family, a function for each fault. `catalogue` finds them all."""

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
"""A shell shows it as 130 too. CPython ends like this if a KeyboardInterrupt, handled or not, has left an exec() of a
string (of a dataclass that is being made, for example) and no other one came after it."""
PLAYED = frozenset({0, 1, 3})
"""The run came to a verdict all the same, which is checked."""
BROKE_AWAY = 4


@contextmanager
def _as_it_is(_: "Scene") -> Iterator[None]:
    yield


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    inject: Callable[["Scene"], None]
    """Does it once, at a random instant of a run."""
    codes: frozenset[int]
    """How `lab run` may end if the fault came while it ran."""
    grounds: Sequence[str] = NAMES
    prepared: Callable[["Scene"], AbstractContextManager[None]] = _as_it_is
    """What is set up before the run starts, and undone after it."""
    standing: bool = False
    """Whether it holds from the start, so that no instant is too late."""
    within: float = 1.0
    """It comes within this part of a run."""


def catalogue() -> dict[str, Fault]:
    """Every fault by its name."""
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    return {fault.name: fault for module in modules for fault in module.FAULTS}
