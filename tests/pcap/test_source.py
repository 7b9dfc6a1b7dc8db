"""A capture's bytes are the same from a file, from a compressed one and from standard input, and as far as it goes."""

import gzip
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from lab.errors import BadInputError
from lab.pcap.source import STDIN, BrokenError, CaptureSource, opened

CONTENT = bytes(range(256)) * 4096
"""1 MiB, which zstd gives back in several pieces."""

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "two gzip members": lambda data: gzip.compress(data[:5000]) + gzip.compress(data[5000:]),
    "zstd": zstandard.compress,
    "two zstd frames": lambda data: zstandard.compress(data[:5000]) + zstandard.compress(data[5000:]),
}


def read(source: CaptureSource, size: int) -> bytes:
    room = bytearray(size)
    return bytes(room[: source.read_into(memoryview(room))])


@pytest.fixture(params=PACKERS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    file = tmp_path / "capture"
    file.write_bytes(PACKERS[request.param](CONTENT))
    return file


def test_the_bytes_are_the_uncompressed_ones(path: Path) -> None:
    with opened(path) as source:
        assert source.compressed == (path.read_bytes() != CONTENT)
        assert source.size == path.stat().st_size
        assert read(source, len(CONTENT)) == CONTENT
        assert read(source, 1) == b""
        assert source.done() == source.size


def test_a_read_is_short_only_at_the_end(path: Path) -> None:
    with opened(path) as source:
        assert read(source, 1000) == CONTENT[:1000]
        assert len(read(source, len(CONTENT))) == len(CONTENT) - 1000


def test_skipping_goes_forward_and_after_a_rewind_to_any_place(path: Path) -> None:
    with opened(path) as source:
        source.skip_to(700_000)
        assert read(source, 10) == CONTENT[700_000:700_010]
        source.rewind()
        source.skip_to(3)
        assert read(source, 10) == CONTENT[3:13]


def test_standard_input_is_read_twice_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Piped:
        buffer = io.BytesIO(gzip.compress(CONTENT))

    monkeypatch.setattr(sys, "stdin", Piped)
    with opened(STDIN) as source:
        assert read(source, len(CONTENT)) == CONTENT
        source.rewind()
        assert read(source, len(CONTENT)) == CONTENT


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_compressed_file_that_is_cut_short_gives_what_it_has_and_says_so(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "cut"
    packed = pack(CONTENT)
    path.write_bytes(packed[: len(packed) // 2])
    room = bytearray(len(CONTENT))
    with opened(path) as source, pytest.raises(BrokenError, match="cut short") as broken:
        source.read_into(memoryview(room))
    assert bytes(room[: broken.value.filled]) == CONTENT[: broken.value.filled]


@pytest.mark.parametrize(
    "content",
    [gzip.compress(CONTENT)[:20] + b"\xff" * 999, zstandard.compress(CONTENT)[:4] + b"nonsense" * 9],
    ids=["gzip", "zstd"],
)
def test_a_compressed_file_that_is_damaged_says_so(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(content)
    with opened(path) as source, pytest.raises(BrokenError, match="damaged"):
        read(source, len(CONTENT))


def test_a_file_that_cannot_be_opened_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"cannot read .*absent: No such file"), opened(tmp_path / "absent"):
        pass
