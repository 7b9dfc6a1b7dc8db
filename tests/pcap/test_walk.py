"""The walk by lanes finds exactly the records of the walk one by one, wherever its guesses fall."""

import random
import struct

import pytest

from lab.pcap.layouts import Pcap, Pcapng
from lab.pcap.walk import walk
from tests.captures.recorded import Frame, pcap, pcapng


def frames(seed: int, count: int, fill: bytes | None = None) -> list[Frame]:
    dice = random.Random(seed)
    found = []
    for number in range(count):
        size = dice.choice((0, 1, 20, 54, 60, 66, 128, 1514, 20000))
        data = (fill * size)[:size] if fill else dice.randbytes(size)
        found.append((1_700_000_000_000_000_000 + number * dice.choice((10**3, 10**9, 10**11)), size, data))
    return found


def plodded(data: bytes, start: int, order: str, ahead: int) -> list[int]:
    at, found = start, []
    while at < len(data):
        found.append(at)
        (length,) = struct.unpack_from(order + "I", data, at + (4 if ahead == 0 else 8))
        at += length + ahead
    return found


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("seed", range(6))
def test_pcap(order: str, seed: int) -> None:
    data = pcap(frames(seed, 1500), 1, order=order)
    walked = walk(Pcap(bytearray(data + bytes(64)), order, 24), 24, len(data))
    assert walked.starts.tolist() == plodded(data, 24, order, 16)
    assert (walked.end, walked.stuck) == (len(data), False)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("seed", range(6))
def test_pcapng(order: str, seed: int) -> None:
    data = pcapng(frames(seed, 1500), [1], order=order)
    start = 28
    walked = walk(Pcapng(bytearray(data + bytes(64)), order), start, len(data))
    assert walked.starts.tolist() == plodded(data, start, order, 0)
    assert (walked.end, walked.stuck) == (len(data), False)


@pytest.mark.parametrize("order", "<>")
def test_packets_full_of_what_looks_like_records_mislead_nobody(order: str) -> None:
    bait = struct.pack(order + "4I", 1_700_000_000, 0, 16, 16) * 40
    data = pcap(frames(3, 1500, bait), 1, order=order)
    walked = walk(Pcap(bytearray(data + bytes(64)), order, 24), 24, len(data))
    assert walked.starts.tolist() == plodded(data, 24, order, 16)


def test_a_walk_stops_at_nonsense_and_at_a_record_that_is_not_whole() -> None:
    data = bytearray(pcap(frames(1, 400), 1))
    whole = plodded(bytes(data), 24, "<", 16)
    cut = walk(Pcap(bytearray(data + bytes(64)), "<", 24), 24, len(data) - 1)
    assert cut.starts.tolist() == whole[: len(cut.starts)]
    assert not cut.stuck
    data[whole[300] + 8 : whole[300] + 12] = b"\xff" * 4
    stuck = walk(Pcap(bytearray(data + bytes(64)), "<", 24), 24, len(data))
    assert stuck.starts.tolist() == whole[:300]
    assert (stuck.end, stuck.stuck) == (whole[300], True)
