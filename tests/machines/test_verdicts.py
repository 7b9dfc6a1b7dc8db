"""The rows of random freezes: a refuted claim is a false proof, and a tool that can refute nothing is wrong."""

import pytest

from lab.spec import Pair
from machines.inside import speed
from machines.inside.claims import BLIND
from machines.inside.followed import Claim, Followed
from machines.inside.freezes import Result
from machines.inside.settings import HostsSetting, PairSetting
from machines.inside.verdicts import proof_ms, rows
from machines.row import Row

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


def in_time(results: list[Result], what: str = "writers") -> Row:
    (row,) = (row for row in rows(results) if row.what.startswith("verdicts: frozen") and what in row.what)
    return row


def result(*directions: Followed, still: bool = True, unproven: tuple[str, ...] = ()) -> Result:
    return Result(PAIR, HOSTS, directions, still, unproven, (), 20.0)


def test_what_nothing_has_refuted_is_counted_by_its_rule() -> None:
    closed, blocked, *_ = rows([result(direction(), direction())])
    assert (closed.outcome, closed.note, closed.right) == ("0 of 2 refuted", "2 window-selection", True)
    assert (blocked.outcome, blocked.right) == ("0 of 2 refuted", True)


def test_a_refuted_claim_is_a_false_proof() -> None:
    closed, blocked, *_ = rows([result(direction(CLOSED), direction(BLOCKED))])
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
    moving = result(direction(), direction(blocked_ms=None), still=False)
    right = in_time([*[soon] * 19, late, moving])
    assert (right.outcome, right.right) == ("95.0% within 700 ms, 95.0% within 700 ms", True)
    wrong = in_time([*[soon] * 19, late, never])
    assert (wrong.outcome, wrong.right) == ("90.5% within 700 ms, 90.5% within 700 ms", False)
    assert "20 of 21 at all" in wrong.note
    assert "not proven: 1 WINDOW_OPEN" in wrong.note


def test_what_stands_still_behind_an_open_window_is_no_freeze() -> None:
    opened = direction(blocked_ms=None)
    opened.window_open = True
    (row,) = (
        row for row in rows([result(direction(), direction()), result(direction(), opened)]) if "freezes" in row.what
    )
    assert (row.outcome, row.note) == ("1 pairs froze", "of 2; 1 stand still behind an open window")


def test_where_all_is_slower_the_bar_is_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "slower", 2.0)
    row = in_time([result(direction(), direction(blocked_ms=1500.0))])
    assert (row.outcome, row.right) == ("0.0% within 700 ms, 100.0% within 1400 ms", True)


def test_windows_have_a_row_of_their_own() -> None:
    closed = in_time([result(direction(), direction(blocked_ms=None), unproven=("HAS_ROOM",))], "windows")
    assert (closed.right, closed.proof_ms) == (True, 200.0)


def test_a_rule_without_one_condition_must_be_refuted() -> None:
    *_, unable = rows([result(direction(), direction())])
    *_, able = rows([result(direction(BLINDED), direction())])
    assert (unable.right, able.right) == (False, True)
    assert f"{BLINDED.rule}: 1 of 1" in able.note
