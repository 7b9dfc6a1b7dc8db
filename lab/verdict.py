"""A judgement, key by key as in the JSON contract. Types only: `lab.proof.judge` and `lab.wire` fill them."""

from dataclasses import dataclass
from enum import StrEnum

from lab.evidence import Wants
from lab.forecast import Forecast
from lab.reason import Qualifier, Reason
from lab.spec import Grade, Outcome, Pair


class Witness(StrEnum):
    PROGRAM = "program"
    KERNEL = "kernel"
    WIRE = "wire"


class Testimony(StrEnum):
    AGREES = "agrees"
    SILENT = "silent"
    DISAGREES = "disagrees"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Testimonies:
    program: Testimony
    kernel: Testimony
    wire: Testimony


@dataclass(frozen=True, slots=True)
class Edge:
    waiter: str
    waits_for: Wants
    holder: str
    witnesses: tuple[Witness, ...]


@dataclass(frozen=True, slots=True)
class Live:
    """A thread that is not known to wait forever."""

    thread: str
    waits_for: Reason
    """What it waits for, and why it is live."""


@dataclass(frozen=True, slots=True)
class Account:
    """Payload bytes; None is not known. `in_hand` is None too where the server answers nothing: it holds nothing."""

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
    frames: int | None
    dropped: int | None
    zero_windows: Pair[int | None]
    probes: Pair[int | None]
    first_zero_window_ns: Pair[int | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The JSON contract, key by key; reasons become sentences there, and the forecast has no reason
    (`lab.report.contract`).
    """

    outcome: Outcome
    grade: Grade | None
    client: str | None
    server: str | None
    roles: str | None
    seal_ns: int | None
    proved_ns: int | None
    holds_until_ns: int | None
    age_s: float | None
    witnesses: Testimonies
    cycle: tuple[Edge, ...]
    tail: tuple[Edge, ...]
    live: tuple[Live, ...]
    qualifiers: tuple[Qualifier, ...]
    missing: tuple[Reason, ...]
    contradictions: tuple[Reason, ...]
    account: Account
    wire: WireSummary
    forecast: Forecast
    premises: tuple[str, ...] = ()
    """Ids of `lab.proof.premises` that a proof stands on; empty where nothing is proven."""
