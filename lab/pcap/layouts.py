"""How records follow each other in the two capture formats, classic pcap and pcapng, in either byte order.

pcap (draft-ietf-opsawg-pcap): a record is a header of 16 bytes (seconds, fraction, captured length, length on the wire)
and the captured bytes. pcapng (draft-ietf-opsawg-pcapng): a block is its type, its length, a body padded to 4 bytes,
and its length again.
"""

import struct
from dataclasses import dataclass

import numpy as np

from lab.pcap.chunk import words
from lab.pcap.pcapng import Block
from lab.pcap.walk import STUCK, Offsets

MAX_PACKET = 1 << 18
"""Bytes of one packet: the largest snaplen that libpcap and Wireshark accept. A longer one is damage."""

MAX_BLOCK = 1 << 20
"""Bytes of one block: a packet and its options."""

PATTERN_REACH, LENGTH_REACH, MAX_GUESSES = 1 << 13, 1 << 11, 16
"""How many bytes a guess searches for a pattern, how many for plausible lengths, and how many places it tries."""

MICRO, NANO = 0xA1B2C3D4, 0xA1B23C4D
"""Magic numbers of classic pcap with times in microseconds and in nanoseconds."""

FIXED_OF_PACKET = 28
"""Bytes of a packet block before its data."""


@dataclass
class Pcap:
    """Records of classic pcap in the buffer `data`; a record is known to start at `near`."""

    data: bytearray
    order: str
    near: int
    header = 16

    def following(self, at: Offsets) -> Offsets:
        numbers = words(self.data, self.order + "u4")
        following: Offsets = at + 16 + numbers[at + 8]
        return following

    def follows(self, at: int) -> int:
        (length,) = struct.unpack_from(self.order + "I", self.data, at + 8)
        return at + 16 + int(length) if length <= MAX_PACKET else STUCK

    def guess(self, at: int, limit: int) -> int:
        """Finds a record by the upper three bytes of its seconds, which change every 256 s; else by its lengths."""
        (seconds,) = struct.unpack_from(self.order + "I", self.data, self.near)
        for upper in (seconds >> 8, (seconds >> 8) + 1):
            place = self._dated(upper % (1 << 24), at, limit)
            if place != STUCK:
                self.near = place
                return place
        return self._measured(at, limit)

    def _dated(self, upper: int, at: int, limit: int) -> int:
        big = self.order == ">"
        pattern, end = upper.to_bytes(3, "big" if big else "little"), min(at + PATTERN_REACH, limit)
        for _ in range(MAX_GUESSES):
            found = self.data.find(pattern, at, end)
            if found < 0:
                break
            place = found if big else found - 1
            if self._looks_right(place, limit):
                return place
            at = found + 1
        return STUCK

    def _measured(self, at: int, limit: int) -> int:
        """The first place within LENGTH_REACH where plausible records follow each other."""
        numbers = words(self.data, self.order + "u4")
        places = np.arange(at, min(at + LENGTH_REACH, limit - 16), dtype=np.int64)
        lengths = numbers[places + 8]
        fits = lengths <= np.minimum(numbers[places + 12], MAX_PACKET)
        likely = (lengths > 0) & fits & (numbers[places + 4] < 10**9)
        for place in places[likely][:MAX_GUESSES].tolist():
            if self._looks_right(place, limit):
                return int(place)
        return STUCK

    def _looks_right(self, at: int, limit: int) -> bool:
        for _ in range(3):
            if at + 16 > limit:
                return True
            _, fraction, length, wire = struct.unpack_from(self.order + "4I", self.data, at)
            if fraction >= 10**9 or not 0 < length <= min(wire, MAX_PACKET):
                return False
            at += 16 + length
        return True


@dataclass(frozen=True)
class Pcapng:
    """Blocks of pcapng in the buffer `data`. The walk stops at the header of a new section."""

    data: bytearray
    order: str
    header = 12

    def following(self, at: Offsets) -> Offsets:
        numbers = words(self.data, self.order + "u4")
        lengths = numbers[at + 4].astype(np.int64)
        good = (lengths >= 12) & (lengths <= MAX_BLOCK) & (lengths % 4 == 0) & (numbers[at] != Block.SECTION)
        return np.where(good, at + lengths, STUCK)

    def false_end(self, starts: Offsets) -> int:
        """The index of the first block whose two lengths differ; -1 if there is none."""
        numbers = words(self.data, self.order + "u4")
        lengths = numbers[starts + 4].astype(np.int64)
        wrong = np.flatnonzero(numbers[starts + lengths - 4] != lengths)
        return int(wrong[0]) if len(wrong) else -1

    def follows(self, at: int) -> int:
        kind, length = struct.unpack_from(self.order + "2I", self.data, at)
        if kind == Block.SECTION or length < 12 or length > MAX_BLOCK or length % 4:
            return STUCK
        return at + int(length)

    def guess(self, at: int, limit: int) -> int:
        """Finds a packet block by its type, and by its length, which stands at both ends."""
        pattern = struct.pack(self.order + "I", Block.PACKET)
        end = min(at + PATTERN_REACH, limit)
        while (found := self.data.find(pattern, at, end)) >= 0:
            following = self.follows(found) if found + 12 <= limit else STUCK
            if following <= limit and self.data[found + 4 : found + 8] == self.data[following - 4 : following]:
                return found
            at = found + 1
        return STUCK
