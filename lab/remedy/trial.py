"""The class of a remedy, from its runs alone. What was expected of it plays no part."""

from collections.abc import Sequence
from dataclasses import dataclass

from lab.remedy import Effect, Remedy
from lab.spec import Outcome, Pair, Role
from lab.verdict import Account


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a scenario with a remedy."""

    payload: int
    outcome: Outcome
    seconds: float
    """From the connection to the end of the later program, or to the verdict."""
    memory: Pair[int | None]
    """Bytes: the largest growth of each program's resident memory."""
    fullest: Account
    """Where the payload was at the instant when most of it was in the buffers."""
    zero_windows: Pair[int | None]
    errors: tuple[str, ...]
    frozen: tuple[Role, ...]
    """The sides whose program had not ended."""

    @property
    def bytes_per_s(self) -> float | None:
        return self.payload / self.seconds if self.outcome is Outcome.COMPLETED and self.seconds > 0 else None


@dataclass(frozen=True, slots=True)
class RemedyResult:
    """A remedy and its runs, smallest payload first. The last run decides."""

    remedy: Remedy
    trials: tuple[Trial, ...]

    @property
    def effect(self) -> Effect | None:
        return effect_of([trial.outcome for trial in self.trials])

    @property
    def last(self) -> Trial:
        return self.trials[-1]


STUCK = frozenset({Outcome.DEADLOCK, Outcome.READ_READ, Outcome.ONE_SIDED_STALL, Outcome.LIVELOCK, Outcome.BLACKHOLE})
"""Outcomes in which nothing moves. A blackhole between two live hosts is ACK starvation: it is stuck as well."""


def effect_of(outcomes: Sequence[Outcome]) -> Effect | None:
    """The class that these outcomes show, or None. Payloads ascend; the first must freeze without a remedy."""
    if not outcomes:
        return None
    if all(outcome is Outcome.COMPLETED for outcome in outcomes):
        return Effect.CURES
    if Outcome.ABORTED in outcomes:
        return Effect.ABORTS
    if not all(outcome in STUCK or outcome is Outcome.COMPLETED for outcome in outcomes):
        return None
    return Effect.MOVES if outcomes[0] is Outcome.COMPLETED else Effect.HIDES


def ladder(cliff: int, payload: int, moved_cliff: int | None) -> tuple[int, int]:
    """The two payloads to play. `cliff` is the forecast's high bound without a remedy, `moved_cliff` with it.

    The first is the smallest that must freeze without a remedy. The second is ten times that; or `payload`, or the
    smallest that must freeze with the remedy, if that is larger.
    """
    return cliff + 1, max(10 * cliff, payload, (moved_cliff or 0) + 1)


def relative_speed(each: RemedyResult, tried: Sequence[RemedyResult]) -> float | None:
    """Throughput divided by that of the fastest remedy that completed, from 0 to 1."""
    fastest = max((speed for other in tried if (speed := other.last.bytes_per_s)), default=None)
    own = each.last.bytes_per_s
    return own / fastest if own and fastest else None
