"""What a remedy is worth, from its runs alone: what it was expected to do is not looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

from lab.remedy import Effect, Remedy
from lab.spec import Outcome, Pair, Role
from lab.verdict import Account


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a remedied scenario."""

    payload: int
    outcome: Outcome
    seconds: float
    """From the connection to the end of the later program, or to the verdict."""
    memory: Pair[int | None]
    """Bytes by which each program's resident memory grew at its most."""
    fullest: Account
    """Where payload lay at the instant when the most of it was under way."""
    zero_windows: Pair[int | None]
    errors: tuple[str, ...]
    frozen: tuple[Role, ...]
    """Whose program had not ended."""

    @property
    def bytes_per_s(self) -> float | None:
        return self.payload / self.seconds if self.outcome is Outcome.COMPLETED and self.seconds > 0 else None


@dataclass(frozen=True, slots=True)
class RemedyResult:
    """A remedy and its runs, the smallest payload first; the last is the one that decided."""

    remedy: Remedy
    trials: tuple[Trial, ...]

    @property
    def effect(self) -> Effect | None:
        return effect_of([trial.outcome for trial in self.trials])

    @property
    def last(self) -> Trial:
        return self.trials[-1]


STUCK = frozenset({Outcome.DEADLOCK, Outcome.READ_READ, Outcome.ONE_SIDED_STALL, Outcome.LIVELOCK, Outcome.BLACKHOLE})
"""Nothing moves. A blackhole between living hosts is TCP's own stall (ACK starvation), and no less stuck for that."""


def effect_of(outcomes: Sequence[Outcome]) -> Effect | None:
    """Of the runs with ascending payloads, the first of which freezes without a remedy. None: they do not tell."""
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
    """The two payloads to play: the least that freezes for certain without a remedy; and ten times that, or `payload`
    if it is more, or what must freeze where the cliff has only moved. `cliff` is the forecast's high bound."""
    return cliff + 1, max(10 * cliff, payload, (moved_cliff or 0) + 1)


def relative_speed(each: RemedyResult, tried: Sequence[RemedyResult]) -> float | None:
    """Throughput relative to the fastest of all that completed, from 0 to 1."""
    fastest = max((speed for other in tried if (speed := other.last.bytes_per_s)), default=None)
    own = each.last.bytes_per_s
    return own / fastest if own and fastest else None
