"""The class follows from the runs, and never from what was expected."""

import pytest

from lab.remedy import Effect, find
from lab.remedy.trial import RemedyResult, Trial, effect_of, ladder, relative_speed
from lab.spec import Outcome, Pair
from lab.verdict import Account


@pytest.mark.parametrize(
    ("outcomes", "effect"),
    [
        ([], None),
        ([Outcome.MOVING], None),
        ([Outcome.COMPLETED, Outcome.MOVING], None),
        ([Outcome.INCONCLUSIVE], None),
        ([Outcome.COMPLETED], Effect.CURES),
        ([Outcome.COMPLETED, Outcome.COMPLETED], Effect.CURES),
        ([Outcome.COMPLETED, Outcome.DEADLOCK], Effect.MOVES),
        ([Outcome.COMPLETED, Outcome.LIVELOCK], Effect.MOVES),
        ([Outcome.ABORTED], Effect.ABORTS),
        ([Outcome.COMPLETED, Outcome.ABORTED], Effect.ABORTS),
        ([Outcome.DEADLOCK], Effect.HIDES),
        ([Outcome.LIVELOCK], Effect.HIDES),
        ([Outcome.ONE_SIDED_STALL], Effect.HIDES),
        ([Outcome.COMPLETED, Outcome.BLACKHOLE], Effect.MOVES),
    ],
)
def test_a_class_is_what_the_runs_show(outcomes: list[Outcome], effect: Effect | None) -> None:
    assert effect_of(outcomes) is effect


def test_the_payloads_are_one_that_must_freeze_and_ten_times_it() -> None:
    assert ladder(1000, 5000, None) == (1001, 10000)
    assert ladder(1000, 50_000, None) == (1001, 50_000)
    assert ladder(1000, 5000, 40_000) == (1001, 40_001)


def trial(payload: int, outcome: Outcome, seconds: float) -> Trial:
    return Trial(payload, outcome, seconds, Pair(0, 0), Account(), Pair(0, 0), (), ())


def test_speed_is_relative_to_the_fastest_that_completes() -> None:
    fast = RemedyResult(find("threads"), (trial(10, Outcome.COMPLETED, 9.0), trial(1000, Outcome.COMPLETED, 1.0)))
    slow = RemedyResult(find("alternate"), (trial(100, Outcome.COMPLETED, 1.0),))
    frozen = RemedyResult(
        find("bigger-buffers"), (trial(10, Outcome.COMPLETED, 0.001), trial(1 << 30, Outcome.DEADLOCK, 0.1))
    )
    assert [relative_speed(each, [fast, slow, frozen]) for each in (fast, slow, frozen)] == [1.0, 0.1, None]
    assert relative_speed(frozen, [frozen]) is None
