"""A judgement, key by key as in the JSON contract. Types only: `lab.proof.judge` and `lab.wire` fill them."""

from dataclasses import dataclass
from enum import StrEnum

from lab.forecast import Range
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
    waits_for: str
    holder: str
    witnesses: tuple[Witness, ...]


@dataclass(frozen=True, slots=True)
class Live:
    """A thread that is not known to wait for ever, and what it waits for."""

    thread: str
    waits_for: str


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
class ForecastSummary:
    client_accepted: Range
    server_processed: Range


NO_FORECAST = ForecastSummary(Range(None, None, None), Range(None, None, None))
"""Of programs whose plan nobody knows."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The JSON contract, key by key."""

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
    qualifiers: tuple[str, ...]
    missing: tuple[str, ...]
    contradictions: tuple[str, ...]
    account: Account
    wire: WireSummary
    forecast: ForecastSummary
