"""Segments are written as they are read."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.tcp.notation import lines, parse
from tests.tcp import flow_files
from tests.tcp.flow_files import CLIENT, SERVER

U31 = st.integers(0, 2**31 - 20_000)


@pytest.mark.parametrize("path", flow_files.ALL, ids=lambda path: str(path.stem))
def test_a_flow_file_comes_back_as_it_was_read(path: Path) -> None:
    segments = flow_files.read(path).segments
    again = parse("\n".join(lines(segments, CLIENT)), CLIENT, SERVER, (segments[0].seq, 0))
    for one, other in zip(segments, again, strict=True):
        assert (one.bits, one.length, one.wnd, one.scale, one.source) == (
            other.bits, other.length, other.wnd, other.scale, other.source,
        )  # fmt: skip


@given(U31, U31, st.integers(0, 9000), st.integers(0, 65535), st.sampled_from([".", "P.", "F.", "SEW", "R", "-"]))
def test_any_segment_is_read_back(seq: int, ack: int, length: int, win: int, bits: str) -> None:
    text = f"0.5 > {bits} {seq}:{seq + length}({length}) ack {ack} win {win}"
    (segment,) = parse(text, CLIENT, SERVER)
    (again,) = parse(next(lines([segment], CLIENT)), CLIENT, SERVER, (segment.seq, segment.ack))
    assert (again.bits, again.length, again.wnd, again.seq) == (segment.bits, length, win, segment.seq)


@pytest.mark.parametrize("line", ["0 > S 0:1(0) win 9", "x > S 0:0(0)", "0 = S 0:0(0) win 1", "0 > Q 0:0(0) win 1"])
def test_a_line_that_is_none_is_told_with_an_example(line: str) -> None:
    with pytest.raises(ValueError, match="needs the form"):
        list(parse(line, CLIENT, SERVER))
