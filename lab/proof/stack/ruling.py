"""A ruling: whether the two TCP stacks alone, without any program, may end a wait on a socket, and why.

A `NO` is one premise of a proof. Everything unknown is no `NO`.
"""

from dataclasses import dataclass
from enum import StrEnum

from lab.evidence import SocketSample
from lab.reason import Fact, Qualifier, Reason, Why


class Possible(StrEnum):
    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"
    """A fact is missing; the reason names it."""


class Argument(StrEnum):
    """Which argument excludes that the stacks move anything."""

    CLOSED_WINDOW = "closed-window"
    SILLY_WINDOW = "silly-window"
    CAPACITY = "capacity"
    ACK_STARVATION = "ack-starvation"
    NOTHING_QUEUED = "nothing-queued"


class Ends(StrEnum):
    """Whether TCP itself ends the connection although nobody acts."""

    NEVER = "never"
    """While probes are answered: RFC 9293, MUST-37."""
    BY_TCP_RETRIES2 = "by-tcp-retries2"
    """After tcp_retries2 transmissions without an acknowledgment: 15, about a quarter of an hour."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """`reason` says why; `argument` and `premises` are of a `NO` only."""

    possible: Possible
    reason: Reason
    argument: Argument | None = None
    queue_full: bool = False
    """Not even a write that is tried again would be taken: `wmem_queued >= sndbuf`."""
    ends: Ends = Ends.NEVER
    qualifiers: tuple[Qualifier, ...] = ()
    """What it rests on, and nobody can see."""
    premises: tuple[str, ...] = ()
    """Ids of `proof.premises`."""

    @property
    def excluded(self) -> bool:
        return self.possible is Possible.NO


def yes(why: Why, *facts: Fact) -> Ruling:
    return Ruling(Possible.YES, Reason(why, facts))


def unknown(why: Why, *facts: Fact) -> Ruling:
    return Ruling(Possible.UNKNOWN, Reason(why, facts))


def end_of(socket: SocketSample) -> str:
    """How a socket is called in a reason: its own address and its inode."""
    return f"{socket.local} (socket:{socket.inode})"
