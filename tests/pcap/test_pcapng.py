"""What is written to pcapng is what Wireshark shows and what comes back, and a file ends whole whatever happens."""

import errno
import os
import resource
import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from lab.errors import BadInputError, StoreError
from lab.pcap import pcapng
from lab.pcap.connections import every_segment
from lab.tcp.frame import Frame, dissect
from lab.tcp.segment import Segment
from tests.pcap.wireshark import tshark
from tests.waiting import LIMIT_S

PACKET = bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP() / TCP(flags="A") / (b"x" * 200))
START_NS = 1_760_000_000_123_456_789
RECORD = 32 + 96
"""Bytes of a frame cut at 96, without a comment."""


def frames(count: int, length: int = 96, first: int = 1) -> list[Frame]:
    return [Frame(n, START_NS + n, len(PACKET), PACKET[:length]) for n in range(first, first + count)]


def written(
    path: Path, given: list[Frame], comments: Mapping[int, str] | None = None, size: int | None = None
) -> list[Path]:
    with closing(pcapng.Writer(path, "eth0", 96, size)) as writer:
        writer.write(given, comments or {})
        return writer.files


def read(path: Path) -> list[Segment]:
    """All files of the capture, as the judge reads them."""
    found: list[Segment] = []
    for file in pcapng.files(path):
        found += every_segment(file, found[-1].frame if found else 0)
    return found


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The kernel writes as much as fits and then refuses, as on a full disk; only the error's name is another."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_frames_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "wire.pcapng"
    given = [Frame(n, START_NS * n // 2, 60 + n, PACKET[: 54 + n]) for n in range(1, 6)]
    written(path, given, {2: "a comment"})
    assert read(path) == [dissect(frame) for frame in given]
    shown = tshark(path, "frame.len", "frame.cap_len")
    assert shown == [[str(frame.wire_length), str(len(frame.data))] for frame in given]


def test_tshark_shows_nanoseconds_lengths_comments_and_the_interface(tmp_path: Path) -> None:
    comments = {1: "first zero window of the server", 3: "probe 1 of the client: 0 bytes; größer"}
    (path,) = written(tmp_path / "wire.pcapng", frames(3), comments)
    fields = ("frame.number", "frame.time_epoch", "frame.len", "frame.cap_len", "frame.comment", "frame.interface_name")
    assert tshark(path, *fields) == [
        [str(n), f"1760000000.12345679{n - 1}", "254", "96", comments.get(n, ""), "eth0"] for n in (1, 2, 3)
    ]


def test_capinfos_shows_who_captured(tmp_path: Path) -> None:
    (path,) = written(tmp_path / "wire.pcapng", frames(1))
    shown = subprocess.run(["capinfos", str(path)], capture_output=True, text=True, check=True, timeout=LIMIT_S).stdout
    assert "zero-window lab" in shown
    assert "nanoseconds (9)" in shown
    assert "96 bytes" in shown


def test_a_capture_without_frames_is_a_capture(tmp_path: Path) -> None:
    (path,) = written(tmp_path / "wire.pcapng", [])
    assert read(path) == []
    assert tshark(path, "frame.number") == []


def test_every_frame_is_in_the_file_as_soon_as_it_is_given(tmp_path: Path) -> None:
    """A kill needs no warning: nothing waits in a buffer of ours."""
    with closing(pcapng.Writer(tmp_path / "wire.pcapng", "eth0")) as writer:
        for n in (1, 2, 3):
            writer.write(frames(1, first=n), {})
            assert [segment.frame for segment in read(tmp_path / "wire.pcapng")] == list(range(1, n + 1))


@pytest.mark.parametrize("commented", [{}, {4: "another"}])
def test_a_frame_is_given_a_comment_after_it_was_written(tmp_path: Path, commented: dict[int, str]) -> None:
    path = tmp_path / "wire.pcapng"
    with closing(pcapng.Writer(path, "eth0", 96)) as writer:
        writer.write(frames(6), commented)
        writer.remark("the seal", lambda frame: frame.time_ns <= START_NS + 4)
    shown = tshark(path, "frame.number", "frame.comment")
    assert [row for row in shown if row[1]] == [["4", ",".join(["the seal", *commented.values()])]]
    assert read(path) == [dissect(frame) for frame in frames(6)]


def test_no_comment_is_given_where_no_frame_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "wire.pcapng"
    with closing(pcapng.Writer(path, "eth0", 96)) as writer:
        writer.write(frames(6), {})
        before = path.read_bytes()
        writer.remark("the seal", lambda _: False)
    assert path.read_bytes() == before


def test_a_capture_goes_on_in_another_file_at_its_size(tmp_path: Path) -> None:
    """No frame is split or lost, every file is one by itself, and the numbers go through."""
    path, size = tmp_path / "wire.pcapng", 2000
    with closing(pcapng.Writer(path, "eth0", 96, size)) as writer:
        writer.write(frames(20), {1: "one", 20: "last"})
        writer.write(frames(30, first=21), {25: "middle"})
        writer.remark("the seal", lambda frame: frame.time_ns <= START_NS + 3)
    assert [file.name for file in writer.files[:3]] == ["wire.pcapng", "wire.1.pcapng", "wire.2.pcapng"]
    assert writer.files == pcapng.files(path)
    assert all(size - 2 * RECORD < file.stat().st_size <= size + 24 for file in writer.files[:-1])
    assert [segment.frame for segment in read(path)] == list(range(1, 51))
    assert read(path) == [dissect(frame) for frame in frames(50)]
    shown = [row[0] for file in writer.files for row in tshark(file, "frame.comment")]
    assert {n: text for n, text in enumerate(shown, start=1) if text} == {
        1: "one", 3: "the seal", 20: "last", 25: "middle"
    }  # fmt: skip


@pytest.mark.parametrize("room", range(0, 2 * RECORD + 1, 31))
def test_a_full_disk_leaves_whole_frames_and_their_number(tmp_path: Path, room: int) -> None:
    path = tmp_path / "wire.pcapng"
    with closing(pcapng.Writer(path, "eth0", 96)) as writer:
        writer.write(frames(3), {})
        size = path.stat().st_size
        with no_file_larger_than(size + room), pytest.raises(StoreError, match=os.strerror(errno.EFBIG)):
            writer.write(frames(10, first=4), {})
        assert path.stat().st_size == size + room // RECORD * RECORD
        assert writer.frames == 3 + room // RECORD
        before = path.read_bytes()
        with no_file_larger_than(len(before)), pytest.raises(StoreError):
            writer.remark("no room for it", lambda _: True)
    assert path.read_bytes() == before
    assert read(path) == [dissect(frame) for frame in frames(3 + room // RECORD)]


def test_a_file_that_cannot_even_begin_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "wire.pcapng"
    with no_file_larger_than(20), pytest.raises(StoreError, match=r"cannot write .*wire\.pcapng"):
        written(path, frames(1))
    assert not path.exists()
    with closing(pcapng.Writer(path, "eth0", 96, 400)) as writer, no_file_larger_than(250):
        with pytest.raises(StoreError):
            writer.write(frames(5), {})
        assert writer.frames == len(read(path))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent/wire.pcapng: No such file"):
        written(tmp_path / "absent" / "wire.pcapng", [])
    with pytest.raises(StoreError, match=r"/proc/wire.pcapng"):
        written(Path("/proc/wire.pcapng"), [])


def test_a_file_that_was_there_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "wire.pcapng"
    path.write_text("somebody's")
    with pytest.raises(StoreError, match="File exists"):
        written(path, [])
    assert path.read_text() == "somebody's"


def test_a_file_cut_anywhere_gives_the_whole_frames_then_the_offset(tmp_path: Path) -> None:
    (path,) = written(tmp_path / "wire.pcapng", frames(3))
    whole = path.read_bytes()
    ends = [len(whole) - RECORD * n for n in (3, 2, 1, 0)]
    for size in range(ends[0] + 1, len(whole)):
        path.write_bytes(whole[:size])
        complete = max(n for n in range(4) if ends[n] <= size)
        reader = every_segment(path)
        assert [next(reader).frame for _ in range(complete)] == list(range(1, complete + 1))
        if size not in ends:
            with pytest.raises(BadInputError, match=f"at byte {ends[complete]}"):
                next(reader)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    length = 12 + len(body)
    return struct.pack(f"{order}II", kind, length) + body + struct.pack(f"{order}I", length)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(options: bytes = b"", order: str = "<") -> bytes:
    return block(1, struct.pack(f"{order}HHI", 1, 0, 0) + options, order)


def packet(ticks: int, order: str = "<") -> bytes:
    return block(6, struct.pack(f"{order}5I", 0, ticks >> 32, ticks & 0xFFFFFFFF, 60, 1500) + PACKET[:60], order)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("options", "ticks", "time_ns"),
    [
        ("", 1_760_000_000_123_456, 1_760_000_000_123_456_000),
        ("tsresol 9", START_NS, START_NS),
        ("tsresol 3", 1_760_000_000_123, 1_760_000_000_123_000_000),
        ("tsresol 2^-1", 3, 1_500_000_000),
        ("tsoffset", 5, 7_000_005_000),
    ],
)
def test_other_writers_clocks_are_read_to_the_nanosecond(
    tmp_path: Path, order: str, options: str, ticks: int, time_ns: int
) -> None:
    encoded = {
        "": b"",
        "tsresol 9": struct.pack(f"{order}HH4s", 9, 1, b"\x09\0\0\0"),
        "tsresol 3": struct.pack(f"{order}HH4s", 9, 1, b"\x03\0\0\0"),
        "tsresol 2^-1": struct.pack(f"{order}HH4s", 9, 1, b"\x81\0\0\0"),
        "tsoffset": struct.pack(f"{order}HHq", 14, 8, 7),
    }[options]
    path = tmp_path / "other.pcapng"
    path.write_bytes(section(order) + interface(encoded, order) + packet(ticks, order))
    assert [segment.time_ns for segment in every_segment(path)] == [time_ns]
