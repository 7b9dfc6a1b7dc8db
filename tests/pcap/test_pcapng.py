"""What is written to pcapng is what Wireshark shows and what comes back; a damaged file is told, never believed."""

import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from lab.errors import BadInputError, StoreError
from lab.pcap import pcapng
from lab.tcp.frame import Frame

PACKET = bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP() / TCP(flags="A") / (b"x" * 200))
START_NS = 1_760_000_000_123_456_789


def frames(count: int, length: int = 96) -> list[Frame]:
    return [Frame(n, START_NS + n, len(PACKET), PACKET[:length]) for n in range(1, count + 1)]


def written(path: Path, count: int, comments: Mapping[int, str] | None = None) -> Path:
    pcapng.write(path, frames(count), "eth0", comments or {}, snaplen=96)
    return path


def tshark(path: Path, *fields: str) -> list[list[str]]:
    command = ["tshark", "-n", "-r", str(path), "-T", "fields"] + [word for field in fields for word in ("-e", field)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_frames_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "wire.pcapng"
    given = [Frame(n, START_NS * n // 2, 60 + n, PACKET[: 54 + n]) for n in range(1, 6)]
    pcapng.write(path, given, "eth0", {2: "a comment"}, snaplen=96)
    assert list(pcapng.read(path)) == given


def test_tshark_shows_nanoseconds_lengths_comments_and_the_interface(tmp_path: Path) -> None:
    comments = {1: "first zero window of the server", 3: "probe 1 of the client: 0 bytes; größer"}
    path = written(tmp_path / "wire.pcapng", 3, comments)
    fields = ("frame.number", "frame.time_epoch", "frame.len", "frame.cap_len", "frame.comment", "frame.interface_name")
    assert tshark(path, *fields) == [
        [str(n), f"1760000000.12345679{n - 1}", "254", "96", comments.get(n, ""), "eth0"] for n in (1, 2, 3)
    ]


def test_capinfos_shows_who_captured(tmp_path: Path) -> None:
    path = written(tmp_path / "wire.pcapng", 1)
    shown = subprocess.run(["capinfos", str(path)], capture_output=True, text=True, check=True, timeout=30).stdout
    assert "zero-window lab" in shown
    assert "nanoseconds (9)" in shown
    assert "96 bytes" in shown


def test_a_capture_without_frames_is_a_capture(tmp_path: Path) -> None:
    assert list(pcapng.read(written(tmp_path / "wire.pcapng", 0))) == []


def test_the_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = written(tmp_path / "wire.pcapng", 2)

    def broken() -> Iterator[Frame]:
        yield frames(1)[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pcapng.write(path, broken(), "eth0", {})
    assert len(list(pcapng.read(path))) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent/wire.pcapng: No such file"):
        written(tmp_path / "absent" / "wire.pcapng", 1)


def test_a_place_that_takes_no_files_is_named() -> None:
    with pytest.raises(StoreError, match=r"/proc/wire.pcapng"):
        written(Path("/proc/wire.pcapng"), 1)


def test_a_file_that_is_absent_or_no_pcapng_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="No such file"):
        list(pcapng.read(tmp_path / "absent.pcapng"))
    for content in (b"", b"hello, this is no capture", b"\xd4\xc3\xb2\xa1" + bytes(20)):
        path = tmp_path / "other"
        path.write_bytes(content)
        with pytest.raises(BadInputError, match=r"not a pcapng file.* at byte 0"):
            list(pcapng.read(path))


def test_a_file_cut_anywhere_gives_the_whole_frames_then_the_offset(tmp_path: Path) -> None:
    path = written(tmp_path / "wire.pcapng", 3)
    whole = path.read_bytes()
    block = 32 + 96
    ends = [len(whole) - block * n for n in (3, 2, 1, 0)]
    for size in range(ends[0] + 1, len(whole)):
        path.write_bytes(whole[:size])
        complete = max(n for n in range(4) if ends[n] <= size)
        reader = pcapng.read(path)
        assert [next(reader).number for _ in range(complete)] == list(range(1, complete + 1))
        if size not in ends:
            with pytest.raises(BadInputError, match=f"at byte {ends[complete]}"):
                next(reader)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_wrong_bytes_are_frames_or_bad_input(tmp_path: Path, data: st.DataObject) -> None:
    path = written(tmp_path / "wire.pcapng", 3, {2: "comment"})
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    with suppress(BadInputError):
        assert len(list(pcapng.read(path))) <= 3


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    length = 12 + len(body)
    return struct.pack(f"{order}II", kind, length) + body + struct.pack(f"{order}I", length)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link_type: int, options: bytes = b"", order: str = "<") -> bytes:
    return block(1, struct.pack(f"{order}HHI", link_type, 0, 0) + options, order)


def packet(ticks: int, order: str = "<", number: int = 0) -> bytes:
    return block(6, struct.pack(f"{order}5I", number, ticks >> 32, ticks & 0xFFFFFFFF, 60, 1500) + PACKET[:60], order)


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
    path.write_bytes(section(order) + interface(1, encoded, order) + packet(ticks, order))
    assert list(pcapng.read(path)) == [Frame(1, time_ns, 1500, PACKET[:60])]


def test_frames_are_numbered_through_sections_and_interfaces(tmp_path: Path) -> None:
    path = tmp_path / "two.pcapng"
    one = section() + interface(1) + interface(1) + packet(1, number=1) + packet(2)
    path.write_bytes(one + section(">") + interface(1, order=">") + packet(3, ">"))
    assert [(frame.number, frame.time_ns) for frame in pcapng.read(path)] == [(1, 1000), (2, 2000), (3, 3000)]


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (interface(276) + packet(1), "only Ethernet"),
        (packet(1), "interface 0, which the file does not describe"),
        (interface(1) + block(3, struct.pack("<I", 60) + PACKET[:60]), "carries no time"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_frame(tmp_path: Path, blocks: bytes, message: str) -> None:
    path = tmp_path / "other.pcapng"
    path.write_bytes(section() + blocks)
    with pytest.raises(BadInputError, match=rf"frame 1 at byte \d+.*{message}"):
        list(pcapng.read(path))


def test_forty_thousand_frames_are_written_in_seconds(tmp_path: Path) -> None:
    """0.8 s measured; a run of the lab has a few hundred frames, a healthy echo of 64 MiB 20 000."""
    many = frames(40_000)
    begun = time.perf_counter()
    pcapng.write(tmp_path / "wire.pcapng", many, "eth0", {})
    assert time.perf_counter() - begun < 10
