"""Where the campaign plays: the lab's testbeds as a person starts them, with a command line and a user each."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import unprivileged
from tests.commanded import ROOT

NAMES = ("netns", "compose", "rootless")


@dataclass(frozen=True, slots=True)
class Ground:
    name: str
    command: Callable[..., list[str]]
    """The lab's command line with these words."""
    project: Path
    owner: int
    """The user id that plays."""
    run_s: float
    """How long a run takes here: faults come within it."""

    @property
    def testbed(self) -> str:
        return "compose" if self.name == "compose" else "netns"


@contextmanager
def ground(name: str) -> Iterator[Ground]:
    if name == "rootless":
        with unprivileged.clone() as clone:
            yield Ground(name, unprivileged.command, clone, unprivileged.UID, 2.0)
        return
    yield Ground(name, _here, ROOT, os.getuid(), 4.5 if name == "compose" else 2.0)


def _here(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "lab", *map(str, words)]
