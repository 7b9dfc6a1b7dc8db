"""The spool gives back what was put, in order, and keeps no more than its bound in memory."""

import os
import random
from pathlib import Path

import pytest

from lab.endpoint.spool import PIECE, Spool, nameless_file


def drained(spool: Spool, piece: int) -> bytes:
    out = bytearray()
    while spool:
        part = bytes(spool.front()[:piece])
        spool.drop(len(part))
        out += part
    return bytes(out)


@pytest.mark.parametrize("in_memory", [1, 100, 1 << 20])
@pytest.mark.parametrize("piece", [1000, PIECE + 1])
def test_what_was_put_comes_out_in_order(in_memory: int, piece: int) -> None:
    data = random.Random(in_memory).randbytes(300_000)
    with Spool(in_memory) as spool:
        assert not spool
        for start in range(0, len(data), 1024):
            spool.put(data[start : start + 1024])
        assert drained(spool, piece) == data
        assert not spool


def test_it_fills_and_drains_at_the_same_time() -> None:
    chance = random.Random(6)
    data, out = chance.randbytes(500_000), bytearray()
    with Spool(5000) as spool:
        at = 0
        while at < len(data) or spool:
            if at < len(data) and (not spool or chance.random() < 0.6):
                size = chance.randrange(1, 3000)
                spool.put(data[at : at + size])
                at += size
            else:
                piece = bytes(spool.front()[: chance.randrange(1, 3000)])
                spool.drop(len(piece))
                out += piece
    assert bytes(out) == data


def test_no_more_than_the_bound_lies_in_memory_and_the_rest_in_a_file_without_a_name() -> None:
    files = set(os.listdir("/proc/self/fd"))
    with Spool(4096) as spool:
        for _ in range(100):
            spool.put(bytes(1024))
        assert spool.held_bytes == 4096
        (descriptor,) = {each for each in set(os.listdir("/proc/self/fd")) - files if _is_file(each)}
        assert os.fstat(int(descriptor)).st_size == 96 * 1024
        assert os.fstat(int(descriptor)).st_nlink == 0
    assert not Path(f"/proc/self/fd/{descriptor}").exists()


def _is_file(descriptor: str) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").is_file()


def test_where_no_folder_can_be_written_the_file_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc/sys")
    descriptor = nameless_file()
    assert "memfd:spool" in os.readlink(f"/proc/self/fd/{descriptor}")
    os.close(descriptor)
