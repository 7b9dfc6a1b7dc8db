"""The table of flows: numbers the connections of a capture, a whole chunk at once, and keeps a few facts of each.

It is a hash table with open addressing and linear probing. The 64-bit hash has random parameters for each reading, so
that no capture can be made to collide. The hash alone stands for the flow: among a million flows the chance that two
share one is 1 in 40 million.
"""

import secrets
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lab.pcap.chunk import Chunk, Integers
from lab.pcap.columns import Segments, Words
from lab.tcp.address import endpoint
from lab.tcp.segment import ACK, FIN, RST, SYN

EMPTY = -1
"""No flow."""


class FlowEnds(NamedTuple):
    """The two ends of a flow; `low` is the one with the smaller number in `Segments`."""

    low: str
    high: str


class Flows:
    """What is kept of every flow: columns that grow. A side is 0 for `low`, 1 for `high`."""

    def __init__(self) -> None:
        self.hashing = (secrets.randbits(64) | 1, secrets.randbits(64) | 1)
        self.ends: list[FlowEnds] = []
        self._keys = np.zeros(1 << 12, np.uint64)
        self._flows = np.full(1 << 12, EMPTY, np.int32)
        self._grow(1 << 10)

    def __len__(self) -> int:
        return len(self.ends)

    def _grow(self, size: int) -> None:
        old = len(self.ends)
        for name, kind, width in (
            ("packets", np.int64, 1),
            ("first_ns", np.int64, 1),
            ("last_ns", np.int64, 1),
            ("payload_ns", np.int64, 1),
            ("first_frame", np.int64, 1),
            ("bits", np.uint8, 2),
            ("syn_from", np.int8, 1),
            ("first_from", np.int8, 1),
            ("syns", np.bool_, 1),
            ("exact", np.bool_, 1),
        ):
            column = np.zeros((size, width) if width > 1 else size, kind)
            if old:
                column[:old] = getattr(self, name)[:old]
            setattr(self, name, column)

    packets: Integers
    first_ns: Integers
    last_ns: Integers
    payload_ns: Integers
    """When a segment last carried payload or a FIN; 0: never."""
    first_frame: Integers
    bits: npt.NDArray[np.uint8]
    """All control bits that a side has sent."""
    syn_from: npt.NDArray[np.int8]
    """The client by the SYN: 1 + its side; 0: no SYN was seen."""
    first_from: npt.NDArray[np.int8]
    """The side of the first segment."""
    syns: npt.NDArray[np.bool_]
    """Whether a SYN without ACK was seen."""
    exact: npt.NDArray[np.bool_]
    """Whether it must be followed segment by segment: a window closed, or its ports were used again."""

    def number(self, segments: Segments) -> tuple[Integers, npt.NDArray[np.bool_]]:
        """The flow of each segment, EMPTY for one not in the table, and whether `high` sent it."""
        from_high = segments.source > segments.destination
        keys = self._key(
            np.where(from_high, segments.destination, segments.source),
            np.where(from_high, segments.source, segments.destination),
        )
        return self._find(keys), from_high

    def note(self, chunk: Chunk, segments: Segments) -> Integers:
        """Notes the segments of a chunk. Returns the flow of each."""
        from_high = segments.source > segments.destination
        low = np.where(from_high, segments.destination, segments.source)
        keys = self._key(low, np.where(from_high, segments.source, segments.destination))
        flow = self._find(keys)
        if (flow == EMPTY).any():
            self._add(chunk, segments, keys, flow, from_high)
            flow = self._find(keys)
        time_ns = chunk.time_ns[segments.index]
        counts = np.bincount(flow, minlength=len(self.ends))
        self.packets[: len(counts)] += counts
        self.last_ns[flow] = time_ns
        control = segments.bits & (SYN | FIN | RST)
        taking = np.flatnonzero((segments.length > 0) | (control & FIN > 0))
        self.payload_ns[flow[taking]] = time_ns[taking]
        special = np.flatnonzero(control)
        if len(special):
            self._note_control(segments, flow, from_high.astype(np.int64), special)
        closed = np.flatnonzero((segments.wnd == 0) & (control & (SYN | RST) == 0))
        self.exact[flow[closed]] = True
        return flow

    def _note_control(self, segments: Segments, flow: Integers, side: Integers, special: Integers) -> None:
        np.bitwise_or.at(self.bits, (flow[special], side[special]), segments.bits[special])
        syn = special[segments.bits[special] & (SYN | RST) == SYN]
        if not len(syn):
            return
        plain = segments.bits[syn] & ACK == 0
        self.syn_from[flow[syn]] = np.where(plain, side[syn], 1 - side[syn]) + 1
        again, counts = np.unique(flow[syn[plain]], return_counts=True)
        self.exact[again] |= self.syns[again] | (counts > 1)
        self.syns[again] = True

    def _key(self, low: Words, high: Words) -> Words:
        one, other = (np.uint64(each) for each in self.hashing)
        mixed = low * one
        mixed ^= mixed >> np.uint64(31)
        mixed = (mixed + high) * other
        mixed ^= mixed >> np.uint64(32)
        return mixed * one | np.uint64(1)

    def _find(self, keys: Words) -> Integers:
        """The flow of each key; EMPTY if it is new."""
        mask = np.uint64(len(self._keys) - 1)
        slots = (keys >> np.uint64(20)) & mask
        found = self._keys[slots]
        flows: Integers = self._flows[slots].astype(np.int64)
        wrong = np.flatnonzero((found != keys) & (found != 0))
        while len(wrong):
            slots[wrong] = (slots[wrong] + np.uint64(1)) & mask
            found = self._keys[slots[wrong]]
            flows[wrong] = self._flows[slots[wrong]]
            wrong = wrong[(found != keys[wrong]) & (found != 0)]
        return flows

    def _add(
        self, chunk: Chunk, segments: Segments, keys: Words, flow: Integers, from_high: npt.NDArray[np.bool_]
    ) -> None:
        new = np.flatnonzero(flow == EMPTY)
        _, first = np.unique(keys[new], return_index=True)
        firsts = np.sort(new[first])
        old = len(self.ends)
        if old + len(firsts) > len(self.packets):
            self._grow(max(2 * len(self.packets), old + len(firsts)))
        self.ends += _ends(chunk, segments, firsts, from_high)
        self.first_ns[old : len(self.ends)] = chunk.time_ns[segments.index[firsts]]
        self.first_frame[old : len(self.ends)] = chunk.frames[segments.index[firsts]]
        self.first_from[old : len(self.ends)] = from_high[firsts]
        if 2 * len(self.ends) > len(self._keys):
            self._rehash(4 * len(self.ends))
        self._insert(keys[firsts], np.arange(old, len(self.ends), dtype=np.int32))

    def _rehash(self, minimum: int) -> None:
        used = self._flows != EMPTY
        keys, flows = self._keys[used], self._flows[used]
        size = 1 << (minimum - 1).bit_length()
        self._keys, self._flows = np.zeros(size, np.uint64), np.full(size, EMPTY, np.int32)
        self._insert(keys, flows)

    def _insert(self, keys: Words, flows: npt.NDArray[np.int32]) -> None:
        """Adds distinct new keys. Each round, one key takes each empty slot, and all others try the next slot."""
        mask = np.uint64(len(self._keys) - 1)
        slots = (keys >> np.uint64(20)) & mask
        while len(keys):
            free = np.flatnonzero(self._keys[slots] == 0)
            self._keys[slots[free]] = keys[free]
            settled = np.zeros(len(keys), np.bool_)
            settled[free] = self._keys[slots[free]] == keys[free]
            self._flows[slots[settled]] = flows[settled]
            keys, flows = keys[~settled], flows[~settled]
            slots = (slots[~settled] + np.uint64(1)) & mask


def _ends(chunk: Chunk, segments: Segments, which: Integers, from_high: npt.NDArray[np.bool_]) -> list[FlowEnds]:
    data, found = chunk.data, []
    for at, tcp, six, swapped in zip(
        segments.network[which].tolist(),
        segments.tcp[which].tolist(),
        segments.version6[which].tolist(),
        from_high[which].tolist(),
        strict=True,
    ):
        first, size = (at + 8, 16) if six else (at + 12, 4)
        source = endpoint(bytes(data[first : first + size]), data[tcp] << 8 | data[tcp + 1])
        destination = endpoint(bytes(data[first + size : first + 2 * size]), data[tcp + 2] << 8 | data[tcp + 3])
        found.append(FlowEnds(destination, source) if swapped else FlowEnds(source, destination))
    return found
