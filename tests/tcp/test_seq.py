"""The arithmetic of sequence numbers holds on both sides of the wrap."""

from hypothesis import given
from hypothesis import strategies as st

from lab.tcp.seq import HALF, before, distance, forward

NUMBERS = st.integers(0, 2**32 - 1)


def test_a_number_behind_the_wrap_comes_later() -> None:
    assert before(0xFFFFFFFF, 0)
    assert before(0xFFFFFF00, 0x100)
    assert not before(0x100, 0xFFFFFF00)
    assert forward(0xFFFFFFFF, 1) == 0
    assert forward(0, -1) == 0xFFFFFFFF


def test_a_number_is_not_before_itself() -> None:
    assert not before(7, 7)


def test_numbers_half_a_circle_apart_come_before_each_other() -> None:
    assert before(0, HALF)
    assert before(HALF, 0)


@given(NUMBERS, st.integers(-HALF, HALF - 1))
def test_the_distance_is_what_was_gone_forward(start: int, count: int) -> None:
    assert distance(start, forward(start, count)) == count


@given(NUMBERS, st.integers(1, HALF - 1))
def test_of_two_numbers_less_than_half_a_circle_apart_exactly_one_is_before(start: int, count: int) -> None:
    assert before(start, forward(start, count))
    assert not before(forward(start, count), start)
