"""The payload is the same at both ends, and a byte that is lost, doubled or swapped is seen."""

import pytest
from hypothesis import given
from hypothesis.strategies import integers

from lab.endpoint.payload import PERIOD, RECORDS, Stream

WIDEST = 65536
REQUESTS, ANSWERS = Stream(WIDEST), Stream(WIDEST, upper=True)
OFFSETS = integers(0, 1 << 40)


def expected(offset: int, size: int) -> bytes:
    """The bytes as the module says them: numbered records of 16 bytes, 4099 of them, then again."""
    first, last = offset // 16, (offset + size) // 16
    records = b"".join(b"%015x\n" % (number % 4099) for number in range(first, last + 1))
    return records[offset % 16 :][:size]


@given(OFFSETS, integers(1, 4096))
def test_any_piece_of_the_stream_is_its_numbered_records(offset: int, size: int) -> None:
    assert REQUESTS.piece(offset, size) == expected(offset, size)
    assert ANSWERS.piece(offset, size) == expected(offset, size).upper()


def test_the_widest_piece_is_whole_at_every_offset_around_the_seam() -> None:
    for offset in range(PERIOD - 33, PERIOD + 33):
        assert REQUESTS.piece(offset, WIDEST) == expected(offset, WIDEST)


def test_no_likely_size_hides_a_hole() -> None:
    """A hole of that many bytes, or a repetition, shows unless it is a multiple of the period."""
    for size in (16, 536, 1448, 4096, 8948, 16384, 65160, 65483, 65536):
        assert all(size * times % PERIOD for times in range(1, RECORDS))


def test_a_piece_is_no_copy() -> None:
    assert REQUESTS.piece(5, 100).obj is REQUESTS.view.obj


@given(OFFSETS, integers(1, 512), integers(0, 511), integers(1, 255))
def test_a_block_holds_unless_one_byte_differs(offset: int, size: int, at: int, change: int) -> None:
    block = bytearray(REQUESTS.piece(offset, size))
    assert REQUESTS.holds(offset, bytes(block))
    block[at % size] ^= change
    assert not REQUESTS.holds(offset, bytes(block))
    assert REQUESTS.difference(offset, bytes(block)).startswith(f"at byte {offset + at % size} expected ")


@pytest.mark.parametrize("shift", [1, 16, 1448, 4096, 65536])
def test_a_block_from_elsewhere_does_not_hold(shift: int) -> None:
    assert not REQUESTS.holds(0, REQUESTS.piece(shift, 1024).tobytes())
    assert REQUESTS.holds(PERIOD, REQUESTS.piece(0, 1024).tobytes())


def test_a_difference_says_what_had_to_come_and_what_came() -> None:
    assert REQUESTS.difference(16, b"0000000000000x1\n") == ("at byte 29 expected b'01\\n', got b'x1\\n'")
