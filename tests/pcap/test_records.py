"""Every kind of packet record becomes a row: its bytes, its lengths, its time. Those after a damage are left out."""

import struct

import numpy as np
import pytest

from lab.pcap.chunk import Chunk, ChunkStart, Interface
from lab.pcap.records import Buffer, Damage, described_interface, pcap_packets, pcapng_packets

PAD = bytes(128)
ETHERNET = 1
FRAME = bytes(range(60))


def block(order: str, kind: int, body: bytes) -> bytes:
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def enhanced(order: str, data: bytes, ticks: int = 0, interface: int = 0, captured: int | None = None) -> bytes:
    size = len(data) if captured is None else captured
    head = struct.pack(order + "5I", interface, ticks >> 32, ticks & 0xFFFFFFFF, size, 1500)
    return block(order, 6, head + data + bytes(-len(data) % 4))


def obsolete(order: str, data: bytes, ticks: int) -> bytes:
    head = struct.pack(order + "2H4I", 0, 7, ticks >> 32, ticks & 0xFFFFFFFF, len(data), 1500)
    return block(order, 2, head + data + bytes(-len(data) % 4))


def simple(order: str, data: bytes, wire: int) -> bytes:
    return block(order, 3, struct.pack(order + "I", wire) + data + bytes(-len(data) % 4))


def read(order: str, blocks: list[bytes], *interfaces: Interface) -> tuple[Chunk, Damage | None]:
    starts = np.cumsum([0, *(len(each) for each in blocks)])[:-1]
    buffer = Buffer(bytearray(b"".join(blocks) + PAD), 0, order, list(interfaces))
    return pcapng_packets(buffer, ChunkStart(0, 0, order, ()), starts, 1 + np.arange(len(blocks)))


def packets(chunk: Chunk) -> list[bytes]:
    rows = zip(chunk.start.tolist(), chunk.captured.tolist(), strict=True)
    return [bytes(chunk.data[start : start + captured]) for start, captured in rows]


def classic(*lengths: int) -> tuple[Chunk, Damage | None]:
    records = [struct.pack("<4I", 1_700_000_000, 250_000, length, 1500) + FRAME for length in lengths]
    starts = np.arange(len(records)) * len(records[0])
    buffer = Buffer(bytearray(b"".join(records) + PAD), 0, "<", [Interface(ETHERNET)])
    return pcap_packets(buffer, ChunkStart(0, 0, "<", ()), starts, 1 + np.arange(len(records)))


def test_a_record_of_classic_pcap_has_microseconds() -> None:
    chunk, damage = classic(60, 60)
    assert damage is None
    assert packets(chunk) == [FRAME, FRAME]
    assert chunk.wire.tolist() == [1500, 1500]
    assert chunk.time_ns.tolist() == [1_700_000_000_250_000_000] * 2
    assert chunk.frames.tolist() == [1, 2]


def test_packets_before_a_damaged_record_are_good() -> None:
    chunk, damage = classic(60, 1 << 30, 60)
    assert packets(chunk) == [FRAME]
    assert damage == Damage(76, "a record longer than any packet")


@pytest.mark.parametrize("order", "<>")
def test_the_three_packet_blocks_of_pcapng_are_read_alike(order: str) -> None:
    nanoseconds = Interface(ETHERNET, 1, 1)
    blocks = [enhanced(order, FRAME, 5 << 32 | 7), obsolete(order, FRAME[:33], 9), simple(order, FRAME, 60)]
    chunk, damage = read(order, blocks, nanoseconds)
    assert damage is None
    assert packets(chunk) == [FRAME, FRAME[:33], FRAME]
    assert chunk.time_ns.tolist() == [5 << 32 | 7, 9, 0]
    assert chunk.wire.tolist() == [1500, 1500, 60]


def test_a_simple_packet_was_cut_at_the_snaplen_of_the_first_interface() -> None:
    chunk, _ = read("<", [simple("<", FRAME[:40], 1500)], Interface(ETHERNET, snaplen=37))
    assert packets(chunk) == [FRAME[:37]]


@pytest.mark.parametrize(
    ("interface", "ticks", "time_ns"),
    [
        (Interface(1, 1000, 1), 1_700_000_000_000_001, 1_700_000_000_000_001_000),
        (Interface(1, 10**9, 1 << 30), 3 << 30, 3_000_000_000),
        (Interface(1, 10**9, 10**12), 1_700_000_000_123_456_789_999 % 2**64, None),
        (Interface(1, 10**9, 1, offset_ns=10**18), 5, 10**18 + 5 * 10**9),
    ],
    ids=["microseconds", "2^-30 s", "picoseconds", "an offset"],
)
def test_a_tick_is_what_its_interface_says(interface: Interface, ticks: int, time_ns: int | None) -> None:
    chunk, _ = read("<", [enhanced("<", FRAME, ticks)], interface)
    assert chunk.time_ns.tolist() == [ticks // 1000 if time_ns is None else time_ns]


@pytest.mark.parametrize(
    "wrong", [enhanced("<", FRAME, captured=61), enhanced("<", FRAME, interface=1)], ids=["too long", "no interface"]
)
def test_a_packet_that_its_block_or_its_interface_belies_is_damage(wrong: bytes) -> None:
    good = enhanced("<", FRAME)
    chunk, damage = read("<", [good, wrong, good], Interface(ETHERNET))
    assert packets(chunk) == [FRAME]
    assert damage is not None
    assert (damage.at, damage.why[:20]) == (len(good), "holds a packet longe")


def described(order: str, options: bytes) -> Interface | Damage:
    data = block(order, 1, struct.pack(order + "HHI", 276, 0, 96) + options)
    return described_interface(Buffer(bytearray(data), 0, order, []), 0)


@pytest.mark.parametrize("order", "<>")
def test_an_interface_is_described_with_its_clock(order: str) -> None:
    def option(code: int, value: bytes) -> bytes:
        return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)

    end = option(0, b"")
    assert described(order, b"") == Interface(276, 1000, 1, 0, 96)
    assert described(order, option(2, b"eth0") + option(9, b"\x09") + end) == Interface(276, 10**9, 10**9, 0, 96)
    assert described(order, option(9, bytes([0x80 | 30])) + end) == Interface(276, 10**9, 1 << 30, 0, 96)
    offset = option(14, struct.pack(order + "q", 1000))
    assert described(order, offset + end) == Interface(276, 1000, 1, 10**12, 96)
    assert described(order, end + offset) == Interface(276, 1000, 1, 0, 96)


def test_a_description_too_short_for_an_interface_is_damage() -> None:
    data = bytearray(struct.pack("<3I", 1, 16, 1) + PAD)
    assert isinstance(described_interface(Buffer(data, 0, "<", []), 0), Damage)
