"""A copy with comments opens in Wireshark with the same packets, and is there as a whole or not at all."""

from pathlib import Path

import pytest

from lab.errors import StoreError
from lab.pcap.annotate import annotate
from lab.pcap.connections import every_segment
from lab.pcap.source import opened
from tests.captures import recorded
from tests.captures.recorded import LINKS, pcap, pcapng, relinked
from tests.pcap.wireshark import tshark

SAMPLE = next(path for path in recorded.ALL if recorded.name(path) == "mixed")


def annotated(path: Path, out: Path, comments: dict[int, str] | None = None) -> Path:
    with opened(path) as source:
        annotate(source, out, comments or {})
    return out


def test_tshark_shows_the_same_packets_and_the_comments(tmp_path: Path) -> None:
    out = annotated(SAMPLE, tmp_path / "out.pcapng", {2: "a comment", 5: "größer; 2"})
    fields = ("frame.number", "frame.time_epoch", "frame.len", "frame.cap_len", "tcp.seq_raw")
    assert tshark(out, *fields) == tshark(SAMPLE, *fields)
    commented = {row[0]: row[1] for row in tshark(out, "frame.number", "frame.comment") if row[1]}
    assert commented == {"2": "a comment", "5": "größer; 2"}


def test_the_segments_of_the_copy_are_those_of_the_capture(tmp_path: Path) -> None:
    assert list(every_segment(annotated(SAMPLE, tmp_path / "out.pcapng"))) == list(every_segment(SAMPLE))


def test_interfaces_and_link_layers_stay_as_they_are(tmp_path: Path) -> None:
    _, frames = recorded.frames(SAMPLE)
    number, change = LINKS["cooked-2"]
    both = [relinked([frame], change)[0] if n % 2 else frame for n, frame in enumerate(frames)]
    path = tmp_path / "two.pcapng"
    path.write_bytes(pcapng(both, [1, number]))
    out = annotated(path, tmp_path / "out.pcapng")
    fields = ("frame.interface_id", "frame.encap_type", "frame.time_epoch")
    assert tshark(out, *fields) == tshark(path, *fields)


def test_a_damaged_capture_is_copied_up_to_the_damage(tmp_path: Path) -> None:
    _, frames = recorded.frames(SAMPLE)
    path = tmp_path / "cut.pcap"
    path.write_bytes(pcap(frames, 1)[:-1])
    out = annotated(path, tmp_path / "out.pcapng")
    assert len(tshark(out, "frame.number")) == len(frames) - 1


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(StoreError, match="cannot write"):
        annotated(SAMPLE, tmp_path / "out")
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_an_older_copy_is_replaced(tmp_path: Path) -> None:
    out = annotated(SAMPLE, tmp_path / "out.pcapng", {1: "older"})
    annotated(SAMPLE, out)
    assert not any(row[0] for row in tshark(out, "frame.comment"))
    assert [each.name for each in tmp_path.iterdir()] == ["out.pcapng"]
