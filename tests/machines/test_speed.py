"""How much slower a place is, is measured by what both run."""

import pytest

from machines.inside import speed


def test_a_place_where_a_loop_takes_longer_is_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "slower", 1.0)
    monkeypatch.setattr(speed, "loop_ms", lambda: 80.0)
    (row,) = speed.play("10.0")
    assert (row.outcome, speed.slower) == ("8.0 times slower", 8.0)


def test_a_place_is_never_taken_for_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "slower", 1.0)
    monkeypatch.setattr(speed, "loop_ms", lambda: 5.0)
    list(speed.play("10.0"))
    assert speed.slower == 1.0


def test_a_loop_takes_time() -> None:
    assert speed.loop_ms() > 0
