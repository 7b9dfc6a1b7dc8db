"""A verdict, key by key as in the JSON contract. Types only: `lab.proof.judge` and `lab.wire.judge` fill them."""

from dataclasses import dataclass, field
from enum import StrEnum

from lab.evidence import Wants, WireFacts
from lab.forecast import Forecast
from lab.reason import Qualifier, Reason
from lab.spec import Grade, Outcome, Pair


class Witness(StrEnum):
    """What was observed independently: what each thread waits for, both sockets, the captured segments."""

    PROGRAM = "program"
    KERNEL = "kernel"
    WIRE = "wire"


class Testimony(StrEnum):
    """What a witness says of the outcome. SILENT: what it saw neither supports nor contradicts it."""

    AGREES = "agrees"
    SILENT = "silent"
    DISAGREES = "disagrees"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Testimonies:
    """What each of the three witnesses says of the outcome."""

    program: Testimony
    kernel: Testimony
    wire: Testimony


@dataclass(frozen=True, slots=True)
class Edge:
    """A wait that only `holder` can end. Both are `client` or `server` in a run, else `pid/tid comm`."""

    waiter: str
    waits_for: Wants
    holder: str
    witnesses: tuple[Witness, ...]


@dataclass(frozen=True, slots=True)
class LiveWait:
    """A thread that can run, or that TCP or another live thread could wake; also one of which too little is known."""

    thread: str
    waits_for: Reason
    """What it waits for, and why it is live."""


@dataclass(frozen=True, slots=True)
class Account:
    """Where the payload bytes are; None: not known. `in_hand` is also None if the server answers nothing."""

    client_accepted: int | None = None
    client_send_queue: int | None = None
    server_receive_queue: int | None = None
    server_processed: int | None = None
    in_hand: int | None = None
    server_send_queue: int | None = None
    client_receive_queue: int | None = None
    client_processed: int | None = None


@dataclass(frozen=True, slots=True)
class WireSummary:
    """Zero windows count for the side that advertised them, probes for the side that sent them."""

    frames: int | None
    dropped: int | None
    zero_windows: Pair[int | None]
    probes: Pair[int | None]
    first_zero_window_ns: Pair[int | None]

    @classmethod
    def of(cls, wire: WireFacts, frames: int, dropped: int | None) -> "WireSummary":
        first = [moment.time_ns if moment else None for moment in wire.first_zero_window]
        return cls(frames, dropped, Pair(*wire.zero_windows), Pair(*wire.probes), Pair(*first))


@dataclass(frozen=True, slots=True)
class PeerProbes:
    """Segments of an unseen peer that answer nothing: its kernel probes our closed window, for it has data to send."""

    count: int
    for_s: float
    """How long they were counted for."""
    next_within_s: float
    """After so long a peer that has data must have probed once more."""


@dataclass(frozen=True, slots=True)
class LastData:
    """How long ago, in seconds, an end last sent data, and last received some; None: never, or not known."""

    sent_s: float | None
    received_s: float | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a standstill comes from, and what to do next."""

    summary: Reason
    next: tuple[Reason, ...] = ()
    waits: tuple[Reason, ...] = ()
    """Of each thread that would have to act, what it waits for."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """None, and an empty tuple, stand for what is unknown or not applicable.

    Reasons become sentences in `lab.report.contract`.
    """

    outcome: Outcome
    grade: Grade | None
    """How far a deadlock is proven. None: it is no deadlock."""
    client: str | None
    server: str | None
    roles: str | None
    """`seen`; `guessed` if no SYN showed which end is the client."""
    seal_ns: int | None
    """When either program last accepted a byte."""
    proved_ns: int | None
    holds_until_ns: int | None
    """Until when the proof holds. None: it has no such limit."""
    age_s: float | None
    """How long it has stood still."""
    witnesses: Testimonies
    cycle: tuple[Edge, ...]
    tail: tuple[Edge, ...]
    """Waits that end on the cycle, and are not part of it."""
    live: tuple[LiveWait, ...]
    qualifiers: tuple[Qualifier, ...]
    """What the proof assumes and could not observe."""
    missing: tuple[Reason, ...]
    """Facts that were not observed, and would decide."""
    contradictions: tuple[Reason, ...]
    """Where two witnesses disagree."""
    account: Account
    wire: WireSummary
    forecast: Forecast
    seen: str | None = None
    """Which ends were observed: `both`, or only `client` or `server`."""
    last_data: Pair[LastData | None] = field(default_factory=lambda: Pair(None, None))
    """Of each end, as its kernel tells in the last snapshot."""
    peer_probes: PeerProbes | None = None
    diagnosis: Diagnosis | None = None
    premises: tuple[str, ...] = ()
    """Ids of `lab.proof.premises` that a proof stands on; empty where nothing is proven."""
    arguments: tuple[Reason, ...] = ()
    """Of each socket of the cycle, why TCP alone cannot move it. For the report; JSON has no key for it."""
