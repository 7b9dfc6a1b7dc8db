"""A layout knows where the next record starts, one at a time and many, and guesses only where a record could be."""

import itertools
import struct

import numpy as np
import pytest

from lab.pcap.layouts import MAX_BLOCK, MAX_PACKET, Pcap, Pcapng
from lab.pcap.walk import STUCK
from tests.captures.recorded import Frame, pcap, pcapng

FRAMES: list[Frame] = [(1_700_000_000 * 10**9 + n * 10**8, 60 + n % 7, bytes(60 + n % 7)) for n in range(200)]
PAD = bytes(64)


def starts_of_pcap(data: bytes, order: str) -> list[int]:
    at, found = 24, []
    while at < len(data):
        found.append(at)
        at += 16 + struct.unpack_from(order + "I", data, at + 8)[0]
    return found


def starts_of_pcapng(data: bytes, order: str) -> list[int]:
    at, found = 0, []
    while at < len(data):
        found.append(at)
        at += struct.unpack_from(order + "I", data, at + 4)[0]
    return found


@pytest.mark.parametrize("order", "<>")
def test_each_record_of_pcap_leads_to_the_next(order: str) -> None:
    data = pcap(FRAMES, 1, order=order)
    layout, starts = Pcap(bytearray(data + PAD), order, 24), starts_of_pcap(data, order)
    assert [layout.follows(at) for at in starts] == [*starts[1:], len(data)]
    assert layout.following(np.array(starts)).tolist() == [*starts[1:], len(data)]


@pytest.mark.parametrize("order", "<>")
def test_each_block_of_pcapng_leads_to_the_next_and_a_section_to_none(order: str) -> None:
    data = pcapng(FRAMES, [1], order=order)
    layout, starts = Pcapng(bytearray(data + PAD), order), starts_of_pcapng(data, order)
    assert [layout.follows(at) for at in starts] == [STUCK, *starts[2:], len(data)]
    assert layout.following(np.array(starts)).tolist() == [STUCK, *starts[2:], len(data)]


@pytest.mark.parametrize("order", "<>")
def test_a_guess_from_within_a_record_is_the_next_one(order: str) -> None:
    classic = pcap(FRAMES, 1, order=order)
    starts = starts_of_pcap(classic, order)
    for start, following in itertools.pairwise(starts[:-3]):
        assert Pcap(bytearray(classic + PAD), order, 24).guess(start + 5, len(classic)) == following
    blocks = pcapng(FRAMES, [1], order=order)
    layout = Pcapng(bytearray(blocks + PAD), order)
    packets = [at for at in starts_of_pcapng(blocks, order) if struct.unpack_from(order + "I", blocks, at)[0] == 6]
    for start, following in itertools.pairwise(packets):
        assert layout.guess(start + 5, len(blocks)) == following


def test_where_nothing_looks_like_a_record_there_is_no_guess() -> None:
    noise = b"\xff" * 100_000
    assert Pcap(bytearray(pcap(FRAMES[:1], 1) + noise), "<", 24).guess(200, 100_000) == STUCK
    assert Pcapng(bytearray(noise), "<").guess(0, 99_000) == STUCK


@pytest.mark.parametrize("length", [0, 8, 11, 30, MAX_BLOCK + 4])
def test_a_block_whose_length_makes_no_sense_leads_nowhere(length: int) -> None:
    layout = Pcapng(bytearray(struct.pack("<2I", 6, length) + PAD), "<")
    assert layout.follows(0) == STUCK
    assert layout.following(np.array([0])).tolist() == [STUCK]


def test_a_record_longer_than_any_packet_leads_nowhere() -> None:
    layout = Pcap(bytearray(struct.pack("<4I", 1, 1, MAX_PACKET + 1, MAX_PACKET + 1) + PAD), "<", 0)
    assert layout.follows(0) == STUCK


def test_a_block_whose_two_lengths_differ_is_found() -> None:
    data = bytearray(pcapng(FRAMES, [1]) + PAD)
    starts = np.array(starts_of_pcapng(bytes(data[: -len(PAD)]), "<"))
    assert Pcapng(data, "<").false_end(starts) == -1
    data[starts[8] - 4] ^= 4
    assert Pcapng(data, "<").false_end(starts) == 7
