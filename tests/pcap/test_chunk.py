"""Bytes are seen as numbers and as rows exactly as struct sees them, from every byte on."""

import struct

import numpy as np
import pytest

from lab.pcap.chunk import rows_at, words

DATA = bytearray(range(64))


@pytest.mark.parametrize(("kind", "form"), [("<u4", "<I"), (">u4", ">I"), ("<u2", "<H"), (">u2", ">H")])
def test_every_byte_starts_a_number(kind: str, form: str) -> None:
    found = words(DATA, kind)
    assert found.tolist() == [struct.unpack_from(form, DATA, at)[0] for at in range(64 - struct.calcsize(form) + 1)]


def test_rows_are_the_bytes_behind_each_start() -> None:
    starts = np.array([0, 7, 7, 48])
    assert rows_at(DATA, starts, 16).reshape(-1, 16).tolist() == [list(DATA[at : at + 16]) for at in starts]


def test_no_start_has_no_rows() -> None:
    assert len(rows_at(DATA, np.array([], np.int64), 16)) == 0
