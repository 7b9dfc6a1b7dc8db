"""The rows of random freezes: a refuted claim is a false proof, and a tool that can refute nothing is wrong."""

from lab.spec import Pair
from machines.inside.claims import BLIND
from machines.inside.followed import Claim, Followed
from machines.inside.freezes import Result
from machines.inside.settings import HostsSetting, PairSetting
from machines.inside.verdicts import proof_ms, rows

HOSTS = HostsSetting({}, 1500, loopback=True, goes_down=False)
NONE: Pair[int | None] = Pair(None, None)
PAIR = PairSetting(4, NONE, NONE, None, None, Pair(True, True), Pair(1, 1), Pair(1, 1))
BLOCKED = Claim("closed-window", of_writer=True)
CLOSED, BLINDED = Claim("window-selection"), Claim(next(iter(BLIND)))


def direction(*refuted: Claim, blocked_ms: float | None = 400.0) -> Followed:
    blocked = {} if blocked_ms is None else {BLOCKED: blocked_ms}
    followed = Followed(0.0, claims={CLOSED: 300.0, **blocked}, refuted=list(refuted))
    followed.moved_ms = 100.0
    return followed


def result(*directions: Followed, frozen: bool = True, unproven: tuple[str, ...] = ()) -> Result:
    return Result(PAIR, HOSTS, directions, frozen, unproven, (), 20.0)


def test_what_nothing_has_refuted_is_counted_by_its_rule() -> None:
    closed, blocked, _, _ = rows([result(direction(), direction())])
    assert (closed.outcome, closed.note, closed.right) == ("0 of 2 refuted", "2 window-selection", True)
    assert (blocked.outcome, blocked.right) == ("0 of 2 refuted", True)


def test_a_refuted_claim_is_a_false_proof() -> None:
    closed, blocked, _, _ = rows([result(direction(CLOSED), direction(BLOCKED))])
    assert (closed.outcome, closed.verdict) == ("1 of 3 refuted", "FALSE PROOF")
    assert (blocked.outcome, blocked.verdict) == ("1 of 3 refuted", "FALSE PROOF")


def test_nothing_claimed_is_nothing_shown() -> None:
    assert not any(row.right for row in rows([]))


def test_a_pair_is_proven_when_the_later_of_its_two_writers_is() -> None:
    assert proof_ms((direction(), direction(blocked_ms=900.0))) == 800.0
    assert proof_ms((direction(), direction(blocked_ms=None))) is None


def test_of_the_frozen_pairs_95_in_100_are_to_be_proven_in_time() -> None:
    soon = result(direction(), direction())
    late = result(direction(), direction(blocked_ms=801.0))
    never = result(direction(), direction(blocked_ms=None), unproven=("WINDOW_OPEN",))
    moving = result(direction(), direction(blocked_ms=None), frozen=False)
    right = rows([*[soon] * 19, late, moving])
    assert [(row.outcome, row.right) for row in right if "within" in row.what] == [("19 of 20, 95.0%", True)]
    wrong = [row for row in rows([*[soon] * 19, late, never]) if "within" in row.what]
    assert [(row.outcome, row.right) for row in wrong] == [("19 of 21, 90.5%", False)]
    assert "not proven: 1 WINDOW_OPEN" in wrong[0].note


def test_a_rule_without_one_condition_must_be_refuted() -> None:
    *_, unable = rows([result(direction(), direction())])
    *_, able = rows([result(direction(BLINDED), direction())])
    assert (unable.right, able.right) == (False, True)
    assert f"{BLINDED.rule}: 1 of 1" in able.note
