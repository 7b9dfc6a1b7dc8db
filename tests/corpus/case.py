"""What a case of the corpus is: programs that are started for real, and the truth about them, known by design.

Standard library only: the programs of a case import this module too.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tests.corpus.stage import Stage

SQUEEZED = "4096 8192 8192"
"""tcp_rmem and tcp_wmem in both namespaces: a pair freezes within a second."""

DEFAULT: None = None
"""The kernel's own buffers."""

SLOWER = "LAB_CORPUS_SLOWER"
"""The variable by which all that the programs do late is put off, on a machine so busy that the rules come late too."""

_TIMES = float(os.environ.get(SLOWER, "1"))

LATE_S = 7.0 * _TIMES
"""When the late readers come: long after any rule has been asked."""

LATER_S = 60.0
"""The limit within which a pair moves that has to: enough for a persist timer that has backed off on a busy machine."""

LIMIT_S = 4.0 * _TIMES
"""How long the time-outs of the cases last: asked within, ended before the watch is over."""

PORT, UPSTREAM_PORT = 1060, 1061
"""Each case has namespaces of its own, so that all may use the same."""

ADDRESSES = {"client": ("198.18.0.1", "fd00::1"), "server": ("198.18.0.2", "fd00::2")}


class Truth(StrEnum):
    """What becomes of the pair when nobody interferes; the runner confirms it by the byte counters."""

    DEADLOCK = "deadlock"
    """Write-write: it stands for ever, both sides want to write."""
    LATER = "later"
    """It stands, and moves or ends by itself within the watch."""
    MOVES = "moves"
    """It is slow, and never stands."""
    STANDS = "stands"
    """It stands, and is no write-write deadlock, or nobody could prove that it is one."""


PROOFS = frozenset({"proven", "proven-closed-world", "qualified", "proven-until"})
"""The grades of a `deadlock` that are proofs (lab.spec.Grade, less `consistent`)."""

SOUND = {
    Truth.DEADLOCK: PROOFS,
    Truth.LATER: frozenset({"proven-until"}),
    Truth.MOVES: frozenset({"proven-until"}),
    Truth.STANDS: frozenset[str](),
}
"""By truth. `proven-until` is an invariant up to an instant: right whenever nothing moves before it."""

End = Literal["accepted", "listener", "connected"]


@dataclass(frozen=True, slots=True)
class Python:
    """A function in a process of its own; its first argument is the socket that `end` names."""

    function: Callable[..., None]
    end: End
    options: Mapping[str, Any] = field(default_factory=dict)


def accepting(function: Callable[..., None], **options: object) -> Python:
    """Called with the one connection that it accepts."""
    return Python(function, "accepted", options)


def listening(function: Callable[..., None], **options: object) -> Python:
    """Called with the listening socket."""
    return Python(function, "listener", options)


def connecting(function: Callable[..., None], **options: object) -> Python:
    """Called with a connected socket."""
    return Python(function, "connected", options)


@dataclass(frozen=True, slots=True)
class Command:
    """A program from a package. @ADDRESS@, @PORT@, @UPSTREAM@ and @WORK@ (a folder) are put in everywhere."""

    argv: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    """Written into @WORK@ first."""


@dataclass(frozen=True, slots=True)
class Case:
    """Two programs in two namespaces, one connection (or several alike) between them, and the truth about it."""

    name: str
    summary: str
    truth: Truth
    server: Python | Command
    client: Python | Command
    middle: Python | Command | None = None
    """A proxy beside the server: serves at PORT and connects to the server, which is at UPSTREAM_PORT then."""
    buffers: str | None = SQUEEZED
    listen: str = ADDRESSES["server"][0]
    connect: str = ADDRESSES["server"][0]
    act: "Callable[[Stage], None] | None" = None
    """What is done to the pair before anybody is asked: once it stands, or `in_motion`."""
    in_motion: bool = False
    starved: bool = False
    """ACK starvation may occur, where a receive queue is empty though both sides are blocked in writing."""
    grades: frozenset[str] | None = None
    """The grades that prove no more than is so, where they are not those of `SOUND`.

    For what moves LATER: those that name what moves it (an alarm that nobody can see, a new connection).
    """
    named: str = ""
    """What a qualifier that excuses a proof of it must say."""
    hard: bool = False
    """A DEADLOCK whose proof would be welcome and is not counted on: a living thread would have to be known."""
    outcomes: frozenset[str] = frozenset()
    """For what is no deadlock: the outcomes that name it rightly; empty: any but `deadlock`."""
    ask_s: float = 0.0
    """Not asked before, in seconds since the connection."""
    watch_s: float = 6.0
    """How long the counters are watched after the first verdict."""
    pairs: int = 1
    """How many connections there are between the two."""
    client_mtu: int | None = None
    """Of its device alone: its segments may be larger than the server's."""
    docker: bool = False
    """The client runs in a container."""

    @property
    def sound(self) -> frozenset[str]:
        """The proofs that would be true of it. With none, `consistent` is the best that can be said of a DEADLOCK."""
        if self.grades is None:
            return SOUND[self.truth]
        return self.grades | (frozenset() if self.truth is Truth.DEADLOCK else SOUND[self.truth])

    @property
    def provable(self) -> bool:
        """Whether a proof is counted on."""
        return self.truth is Truth.DEADLOCK and bool(self.sound) and not self.hard

    @property
    def bare(self) -> bool:
        """Whether Python is all that it needs."""
        return not self.docker and not any(
            isinstance(each, Command) for each in (self.server, self.client, self.middle)
        )
