"""A capture of any format is read as the packets that it holds, chunk by chunk, and a damaged one up to the damage."""

import gzip
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lab.errors import BadInputError
from lab.pcap.bulk import CHUNK, Bulk, ReadProgress
from lab.pcap.chunk import Chunk
from lab.pcap.source import opened
from tests.captures.recorded import FORMATS, Frame, pcap, pcapng

START_NS = 1_700_000_000 * 10**9
FRAMES: list[Frame] = [(START_NS + n * 1_500_000, 60 + n % 9, bytes([n % 256]) * (54 + n % 9)) for n in range(400)]
"""Times in whole microseconds, so that every format can hold them."""


@contextmanager
def bulk(path: Path, progress: ReadProgress | None = None, before: int = 0) -> Iterator[Bulk]:
    with opened(path) as source:
        yield Bulk(source, progress, before=before) if progress else Bulk(source, before=before)


def packets(chunk: Chunk) -> list[Frame]:
    columns = (chunk.time_ns, chunk.wire, chunk.start, chunk.captured)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [(ns, wire, bytes(chunk.data[start : start + captured])) for ns, wire, start, captured in rows]


def read(path: Path) -> tuple[list[Frame], str | None]:
    """All packets that are given, and what was raised after them."""
    found: list[Frame] = []
    try:
        with bulk(path) as capture:
            for chunk in capture.chunks():
                found += packets(chunk)
    except BadInputError as error:
        return found, str(error)
    return found, None


def large(path: Path) -> list[Frame]:
    """Writes a capture of three chunks."""
    frames = [(START_NS + n * 1000, 1514, struct.pack("<I", n) * 378) for n in range(2 * CHUNK // 1500)]
    path.write_bytes(pcap(frames, 1))
    return frames


def rounded(frames: list[Frame], tick_ns: float) -> list[tuple[int, int, bytes]]:
    return [(round(ns / tick_ns), wire, data) for ns, wire, data in frames]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_holds_the_same_packets(name: str, tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(FORMATS[name](FRAMES))
    found, error = read(path)
    assert error is None
    assert rounded(found, 1000) == rounded(FRAMES, 1000)


def test_chunks_are_numbered_on_and_progress_is_reported_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "large"
    frames, reported, numbers, found = large(path), list[tuple[int, int]](), list[int](), list[Frame]()
    with bulk(path, lambda done, size: reported.append((done, size)), before=1000) as capture:
        for chunk in capture.chunks():
            numbers += chunk.frames.tolist()
            found += packets(chunk)
    assert found == frames
    assert numbers == list(range(1001, 1001 + len(frames)))
    assert len(reported) >= 3
    assert reported == sorted(reported)
    assert reported[-1] == (path.stat().st_size, path.stat().st_size)


@pytest.mark.parametrize("write", [pcap, pcapng])
def test_stretches_are_those_packets_of_a_chunk_and_no_others(
    write: Callable[[list[Frame], int], bytes] | Callable[[list[Frame], list[int]], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "capture"
    path.write_bytes(pcap(FRAMES, 1) if write is pcap else pcapng(FRAMES, [1]))
    with bulk(path) as capture:
        (chunk,) = capture.chunks()
        place, records = chunk.place, chunk.record + chunk.base
        place.interfaces = chunk.interfaces
        capture.rewind()
        chosen = capture.stretches(place, records[[10, 300]], records[[20, 310]], np.array([11, 301]))
    assert packets(chosen) == FRAMES[10:20] + FRAMES[300:310]
    assert chosen.frames.tolist() == [*range(11, 21), *range(301, 311)]


@pytest.mark.parametrize("cut", [1, 15, 17, 60])
def test_a_cut_last_record_is_left_out_and_its_place_is_named(cut: int, tmp_path: Path) -> None:
    path, whole = tmp_path / "cut", pcap(FRAMES, 1)
    last = len(whole) - 16 - len(FRAMES[-1][2])
    path.write_bytes(whole[: last + cut])
    found, error = read(path)
    assert found == FRAMES[:-1]
    assert error == f"{path}: ends in the middle of a record, at byte {last}: damaged from there on"


def damaged_pcap() -> tuple[bytes, int]:
    data, place = bytearray(pcap(FRAMES, 1)), len(pcap(FRAMES[:250], 1))
    data[place + 8 : place + 12] = b"\xff\xff\xff\x7f"
    return bytes(data), place


def damaged_pcapng() -> tuple[bytes, int]:
    data, place = bytearray(pcapng(FRAMES, [1])), len(pcapng(FRAMES[:250], [1]))
    data[place + 4 : place + 8] = b"\xff\xff\xff\x7f"
    return bytes(data), place


@pytest.mark.parametrize("make", [damaged_pcap, damaged_pcapng])
def test_packets_before_a_damage_are_given_and_its_place_is_named(
    make: Callable[[], tuple[bytes, int]], tmp_path: Path
) -> None:
    path = tmp_path / "damaged"
    data, place = make()
    path.write_bytes(data)
    found, error = read(path)
    assert found == FRAMES[:250]
    assert f"at byte {place}: damaged" in (error or "")


def test_the_place_of_a_damage_counts_from_the_start_of_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "large"
    frames = large(path)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + struct.pack("<4I", 1, 1, 1 << 30, 1 << 30) + bytes(500))
    found, error = read(path)
    assert found == frames
    assert f"at byte {size}:" in (error or "")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"#!/bin/sh\necho this is no capture at all\n", "not a capture"),
        (b"\xd4\xc3\xb2\xa1\x02\0", "cut short"),
        (b"\n\r\r\n\0", "cut short"),
        (b"\n\r\r\n" + bytes(40), "section header"),
        (gzip.compress(b"hello, world, this is text", mtime=0), "not a capture"),
        (b"\x1f\x8b\x08\0nonsense", "compressed"),
        (b"\x28\xb5\x2f\xfdnonsense", "compressed"),
    ],
)
def test_what_is_no_capture_is_refused_with_the_reason(data: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    found, error = read(path)
    assert found == []
    assert error is not None
    assert why in error
    assert str(path) in error
