"""From records whose starts are known to packets as columns: classic pcap and pcapng, either byte order.

Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lab.pcap.chunk import Chunk, ChunkStart, Integers, Interface, rows_at, words
from lab.pcap.layouts import FIXED_OF_PACKET, MAX_BLOCK, MAX_PACKET
from lab.pcap.pcapng import Block
from lab.pcap.walk import Offsets

PACKETS = (Block.PACKET, Block.SIMPLE_PACKET, Block.OBSOLETE_PACKET)

TIME_RESOLUTION, TIME_OFFSET = 9, 14
"""Options of an interface: if_tsresol, if_tsoffset."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Where in the data a record makes no sense, and why: the packets before it are good."""

    at: int
    why: str


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes of a file from its byte `base` on, with their byte order, and the interfaces that were described so far."""

    data: bytearray
    base: int
    order: str
    interfaces: list[Interface]


def pcap_packets(buffer: Buffer, place: ChunkStart, starts: Offsets, frames: Integers) -> tuple[Chunk, Damage | None]:
    """The packets of these records of classic pcap, up to the first that is damaged."""
    rows = rows_at(buffer.data, starts, 16).view(buffer.order + "u4").reshape(-1, 4).astype(np.int64)
    damage = None
    wrong = np.flatnonzero(rows[:, 2] > MAX_PACKET)
    if len(wrong):
        damage = Damage(int(starts[wrong[0]]), "a record longer than any packet")
        starts, rows, frames = starts[: wrong[0]], rows[: wrong[0]], frames[: wrong[0]]
    interface = buffer.interfaces[0]
    chunk = Chunk(
        place=place,
        data=buffer.data,
        base=buffer.base,
        record=starts,
        end=0,
        frames=frames,
        start=starts + 16,
        captured=rows[:, 2],
        wire=rows[:, 3],
        time_ns=rows[:, 0] * 1_000_000_000 + rows[:, 1] * interface.numerator,
        interface=np.zeros(len(starts), np.int64),
        interfaces=(interface,),
    )
    return chunk, damage


def pcapng_packets(buffer: Buffer, place: ChunkStart, starts: Offsets, frames: Integers) -> tuple[Chunk, Damage | None]:
    """The packets of these packet blocks, up to the first that is damaged."""
    interfaces = buffer.interfaces
    rows = rows_at(buffer.data, starts, FIXED_OF_PACKET).view(buffer.order + "u4").reshape(-1, 7)
    kinds, room = rows[:, 0], rows[:, 1].astype(np.int64) - FIXED_OF_PACKET - 4
    interface, high, low, captured, wire = (rows[:, column].astype(np.int64) for column in range(2, 7))
    start = starts + FIXED_OF_PACKET
    if (old := kinds == Block.OBSOLETE_PACKET).any():
        interface[old] = words(buffer.data, buffer.order + "u2")[starts[old] + 8]
    if (simple := kinds == Block.SIMPLE_PACKET).any():
        # It carries neither interface nor time: it is of the first interface, and its time counts as 0.
        wire[simple], interface[simple], high[simple], low[simple] = rows[simple, 2], 0, 0, 0
        captured[simple], start[simple], room[simple] = wire[simple], starts[simple] + 12, room[simple] + 16
        snaplen = interfaces[0].snaplen if interfaces else 0
        captured[simple] = np.minimum(np.minimum(wire[simple], room[simple]), snaplen or MAX_BLOCK)
    wrong = np.flatnonzero((captured > room) | (interface >= len(interfaces)))
    good = slice(int(wrong[0]) if len(wrong) else len(starts))
    damage = None
    if len(wrong):
        why = "holds a packet longer than its block, or of an interface that it does not describe"
        damage = Damage(int(starts[wrong[0]]), why)
    chunk = Chunk(
        place=place,
        data=buffer.data,
        base=buffer.base,
        record=starts[good],
        end=0,
        frames=frames[good],
        start=start[good],
        captured=captured[good],
        wire=wire[good],
        time_ns=_times((high << 32 | low)[good], interface[good], interfaces),
        interface=interface[good],
        interfaces=tuple(interfaces),
    )
    return chunk, damage


def described_interface(buffer: Buffer, at: int) -> Interface | Damage:
    """The interface of the description block at `at`."""
    length, link, _, snaplen = struct.unpack_from(buffer.order + "IHHI", buffer.data, at + 4)
    if length < 20:
        return Damage(at, "an interface description without sense")
    numerator, denominator, offset_s = 1000, 1, 0
    for code, value in _options(bytes(buffer.data[at + 16 : at + length - 4]), buffer.order):
        if code == TIME_RESOLUTION and len(value) == 1:
            base, exponent = (2, value[0] & 0x7F) if value[0] & 0x80 else (10, value[0])
            numerator, denominator = 10**9, base ** min(exponent, 62)
        elif code == TIME_OFFSET and len(value) == 8:
            (offset_s,) = struct.unpack(buffer.order + "q", value)
    return Interface(link, numerator, denominator, max(-(10**9), min(offset_s, 10**10)) * 10**9, snaplen)


def _options(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        code, length = struct.unpack_from(order + "2H", data, at)
        if not code:
            return
        yield code, data[at + 4 : at + 4 + length]
        at += 4 + (length + 3 & ~3)


def _times(ticks: Integers, interface: Integers, interfaces: list[Interface]) -> Integers:
    """Ticks in nanoseconds. Where a tick is no whole number of them, each time is computed in exact integers."""
    times = np.zeros(len(ticks), np.int64)
    for number in np.unique(interface):
        each, mask = interfaces[number], interface == number
        if not each.numerator % each.denominator:
            scaled = ticks[mask] * (each.numerator // each.denominator) + each.offset_ns
        else:
            exact = [
                tick % 2**64 * each.numerator // each.denominator + each.offset_ns for tick in ticks[mask].tolist()
            ]
            scaled = np.array([value % 2**63 for value in exact], np.int64)
        times[mask] = scaled
    return times
