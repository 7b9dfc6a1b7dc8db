"""The two capture formats as layouts to walk: classic pcap, and pcapng, in either byte order.

pcap: draft-ietf-opsawg-pcap; pcapng: draft-ietf-opsawg-pcapng. A record header is 16 bytes: seconds, fraction, captured
length, length on the wire. A block is its type, its length, a body padded to 4 bytes, and its length again.
"""

import struct
from dataclasses import dataclass

import numpy as np

from lab.pcap.pcapng import Block
from lab.pcap.walk import STUCK, Offsets

LARGEST = 1 << 18
"""Bytes of one packet: the largest snaplen that libpcap and Wireshark take. More is no packet, but damage."""

LARGEST_BLOCK = 1 << 20
"""Bytes of one block: a packet and its options."""

NEAR, REACH, MOST_GUESSES = 1 << 13, 1 << 11, 16
"""How far a guess looks for a pattern, and for plain likelihood, and how many places it tries."""

MICRO, NANO = 0xA1B2C3D4, 0xA1B23C4D


FIXED_OF_PACKET = 28
"""Bytes of a packet block before its data."""


@dataclass
class Pcap:
    """Records of classic pcap in the buffer `data`; `near` is where a true record is."""

    data: bytearray
    order: str
    near: int
    header = 16

    def following(self, at: Offsets) -> Offsets:
        words = np.ndarray((len(self.data) - 3,), self.order + "u4", self.data, strides=(1,))
        following: Offsets = at + 16 + words[at + 8]
        return following

    def follows(self, at: int) -> int:
        (length,) = struct.unpack_from(self.order + "I", self.data, at + 8)
        return at + 16 + int(length) if length <= LARGEST else STUCK

    def guess(self, at: int, limit: int) -> int:
        """By the upper three bytes of the seconds, which change every 256 s only; else by the lengths alone."""
        (seconds,) = struct.unpack_from(self.order + "I", self.data, self.near)
        for upper in (seconds >> 8, (seconds >> 8) + 1):
            place = self._dated(upper % (1 << 24), at, limit)
            if place != STUCK:
                self.near = place
                return place
        return self._measured(at, limit)

    def _dated(self, upper: int, at: int, limit: int) -> int:
        big = self.order == ">"
        pattern, end = upper.to_bytes(3, "big" if big else "little"), min(at + NEAR, limit)
        for _ in range(MOST_GUESSES):
            found = self.data.find(pattern, at, end)
            if found < 0:
                break
            place = found if big else found - 1
            if self._looks_right(place, limit):
                return place
            at = found + 1
        return STUCK

    def _measured(self, at: int, limit: int) -> int:
        """The first place within reach where two records that look right follow each other."""
        words = np.ndarray((len(self.data) - 3,), self.order + "u4", self.data, strides=(1,))
        places = np.arange(at, min(at + REACH, limit - 16), dtype=np.int64)
        lengths = words[places + 8]
        likely = (lengths > 0) & (lengths <= np.minimum(words[places + 12], LARGEST)) & (words[places + 4] < 10**9)
        for place in places[likely][:MOST_GUESSES].tolist():
            if self._looks_right(place, limit):
                return int(place)
        return STUCK

    def _looks_right(self, at: int, limit: int) -> bool:
        for _ in range(3):
            if at + 16 > limit:
                return True
            _, fraction, length, wire = struct.unpack_from(self.order + "4I", self.data, at)
            if fraction >= 10**9 or not 0 < length <= min(wire, LARGEST):
                return False
            at += 16 + length
        return True


@dataclass(frozen=True)
class Pcapng:
    """Blocks of pcapng in the buffer `data`; a new section's header is where the walk must stop."""

    data: bytearray
    order: str
    header = 12

    def following(self, at: Offsets) -> Offsets:
        words = np.ndarray((len(self.data) - 3,), self.order + "u4", self.data, strides=(1,))
        lengths = words[at + 4].astype(np.int64)
        good = (lengths >= 12) & (lengths <= LARGEST_BLOCK) & (lengths % 4 == 0) & (words[at] != Block.SECTION)
        return np.where(good, at + lengths, STUCK)

    def false_end(self, starts: Offsets) -> int:
        """Which block's second length is not its first; -1 for none."""
        words = np.ndarray((len(self.data) - 3,), self.order + "u4", self.data, strides=(1,))
        lengths = words[starts + 4].astype(np.int64)
        wrong = np.flatnonzero(words[starts + lengths - 4] != lengths)
        return int(wrong[0]) if len(wrong) else -1

    def follows(self, at: int) -> int:
        kind, length = struct.unpack_from(self.order + "2I", self.data, at)
        if kind == Block.SECTION or length < 12 or length > LARGEST_BLOCK or length % 4:
            return STUCK
        return at + int(length)

    def guess(self, at: int, limit: int) -> int:
        """A packet block, known by its type and by its length that stands at both ends."""
        pattern = struct.pack(self.order + "I", Block.PACKET)
        end = min(at + NEAR, limit)
        while (found := self.data.find(pattern, at, end)) >= 0:
            following = self.follows(found) if found + 12 <= limit else STUCK
            if following <= limit and self.data[found + 4 : found + 8] == self.data[following - 4 : following]:
                return found
            at = found + 1
        return STUCK
