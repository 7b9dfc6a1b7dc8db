"""Reads a capture of any kind and size by the chunk, each chunk as columns.

pcap and pcapng, micro- and nanoseconds and any other resolution, either byte order, several interfaces and sections. Of
a damaged file, the packets before the damage are given first; then an error names the byte at which it starts.
"""

import struct
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

import numpy as np

from lab.errors import BadInputError
from lab.pcap.chunk import Chunk, ChunkStart, Integers, Interface, words
from lab.pcap.layouts import MAX_BLOCK, MICRO, NANO, Pcap, Pcapng
from lab.pcap.pcapng import BYTE_ORDER, Block
from lab.pcap.records import PACKETS, Buffer, Damage, described_interface, pcap_packets, pcapng_packets
from lab.pcap.source import BrokenError, CaptureSource
from lab.pcap.walk import Offsets, run, walk

CHUNK = 4 << 20
"""Bytes read at a time. Larger chunks do not fit the CPU's cache; smaller ones need more calls of numpy a byte."""

PADDING = 128
"""Bytes after the data: a read of fixed size at the last packet may reach into them."""

ReadProgress = Callable[[int, int], None]
"""Called with the number of bytes read and the size of the file."""


@dataclass(slots=True)
class _Declared:
    """What the file has declared so far, and the number of the last frame."""

    order: str
    interfaces: list[Interface] = field(default_factory=list)
    frame: int = 0


def _silent(_done: int, _size: int) -> None: ...


class Bulk:
    """A capture file being read. Raises BadInputError if it is none."""

    def __init__(self, source: CaptureSource, progress: ReadProgress = _silent, *, before: int = 0) -> None:
        """`before` is the number of the frame before the first: the last frame of the file that this one continues."""
        self._source = source
        self._progress = progress
        self._chunk_size = CHUNK if source.compressed else min(CHUNK, source.size + 1)
        self._data = bytearray(self._chunk_size + MAX_BLOCK * (self._chunk_size == CHUNK) + PADDING)
        self._room = memoryview(self._data)
        self._filled = 0
        """Bytes in `data`, which start at byte `base` of the file."""
        self._base = 0
        self._ended: str | None = None
        """None: there is more to read. Else why there is not; empty at a plain end."""
        self._damage: Damage | None = None
        """To be raised after the packets before it were given."""
        self._fill()
        self.pcapng, self._declared = self._open()
        self._to_packets = pcapng_packets if self.pcapng else pcap_packets
        self._declared.frame = before

    def chunks(self) -> Iterator[Chunk]:
        """The whole file, from its start."""
        at = 0 if self.pcapng else 24
        while True:
            at = yield from self._chunk(at)
            if at < 0:
                return

    def stretches(self, place: ChunkStart, starts: Offsets, ends: Offsets, frames: Integers) -> Chunk:
        """Only those packets of the chunk at `place` that lie between these offsets of the file.

        `frames` has the number of the first frame of each stretch. `place` must declare all interfaces that the chunk
        uses.
        """
        self._declared = _Declared(place.order, list(place.interfaces), place.frame)
        self._source.skip_to(place.offset)
        self._base, self._filled, self._ended = place.offset, 0, None
        self._fill()
        steps, _ = run(self._layout(0), starts - place.offset, ends - place.offset, self._filled)
        passed = steps.T >= 0
        records, lane = steps.T[passed], np.nonzero(passed)[0]
        if self.pcapng:
            packets = np.isin(words(self._data, place.order + "u4")[records], PACKETS)
            records, lane = records[packets], lane[packets]
        numbers = frames[lane] + np.arange(len(lane)) - np.searchsorted(lane, lane)
        chunk, _ = self._to_packets(self._buffer(), place, records, numbers)
        return chunk

    def rewind(self) -> None:
        """Needed before `stretches` if the source cannot go backwards."""
        self._source.rewind()

    def _chunk(self, at: int) -> Generator[Chunk, None, int]:
        """The packets from `at` to the end of what is in memory. Returns where the next chunk starts, -1 at the end."""
        place = self._start(at)
        first = at
        while True:
            layout = self._layout(at)
            walked = walk(layout, at, self._filled)
            broken = layout.false_end(walked.starts) if isinstance(layout, Pcapng) else -1
            starts = walked.starts if broken < 0 else walked.starts[:broken]
            end = walked.end if broken < 0 else int(walked.starts[broken])
            if len(starts):
                chunk = self._packets(place, starts)
                chunk.end = end
                self._declared.frame += len(chunk.start)
                yield chunk
                if self._damage:
                    raise self._damaged(self._damage.at, self._damage.why)
                place = self._start(end)
            if broken >= 0:
                raise self._damaged(end, "a record whose length makes no sense")
            if not walked.stuck:
                break
            at = self._section(end)
            place.order, place.interfaces = self._declared.order, ()
        self._progress(self._source.done(), self._source.size)
        if self._ended is None:
            return self._shift(end, first)
        if end < self._filled:
            raise self._damaged(end, self._ended or "ends in the middle of a record")
        if self._ended:
            raise self._damaged(end, self._ended)
        return -1

    def _start(self, at: int) -> ChunkStart:
        declared = self._declared
        return ChunkStart(self._base + at, declared.frame, declared.order, tuple(declared.interfaces))

    def _packets(self, place: ChunkStart, starts: Offsets) -> Chunk:
        """All packets among these records; what else they declare is noted."""
        buffer = self._buffer()
        if self.pcapng:
            kinds = words(self._data, buffer.order + "u4")[starts]
            for index in np.flatnonzero(kinds == Block.INTERFACE):
                found = described_interface(buffer, int(starts[index]))
                if isinstance(found, Damage):
                    raise self._damaged(found.at, found.why)
                self._declared.interfaces.append(found)
            starts = starts[np.isin(kinds, PACKETS)]
        numbers = place.frame + 1 + np.arange(len(starts))
        chunk, self._damage = self._to_packets(buffer, place, starts, numbers)
        return chunk

    def _shift(self, end: int, first: int) -> int:
        """Moves what is left to the front, and fills up. Returns where the next chunk starts."""
        left = self._filled - end
        if left > MAX_BLOCK or (end == first and left >= len(self._data) - PADDING):
            raise self._damaged(end, "a record larger than any packet")
        self._room[:left] = self._room[end : self._filled]
        self._base += end
        self._filled = left
        self._fill()
        return 0

    def _fill(self) -> None:
        wanted = min(self._filled + self._chunk_size, len(self._data) - PADDING)
        try:
            count = self._source.read_into(self._room[self._filled : wanted])
            if self._filled + count < wanted:
                self._ended = ""
        except BrokenError as broken:
            count, self._ended = broken.filled, str(broken)
        self._filled += count
        self._room[self._filled : self._filled + PADDING] = bytes(PADDING)

    def _open(self) -> tuple[bool, _Declared]:
        """Whether this is pcapng, and what the header of a classic pcap declares."""
        if not self._filled:
            raise BadInputError(f"{self._source.path}: {self._ended or 'empty: not even a header, at byte 0'}")
        if self._filled >= 12 and self._data[:4] == bytes.fromhex("0a0d0d0a"):
            return True, _Declared("<")
        for order in "<>":
            if self._filled < 24:
                break
            magic, major = struct.unpack_from(order + "IH", self._data)
            if magic in (MICRO, NANO) and major == 2:
                (link,) = struct.unpack_from(order + "I", self._data, 20)
                # The upper half is about frame check sequences, which are not read.
                return False, _Declared(order, [Interface(link & 0xFFFF, 1 if magic == NANO else 1000)])
        if self._ended:
            raise BadInputError(f"{self._source.path}: {self._ended}, at byte 0 of what it holds")
        why = (
            "a capture's header, cut short" if self._is_start_of_header() else "not a capture: neither pcap nor pcapng"
        )
        raise BadInputError(f"{self._source.path}: {why}, at byte 0")

    def _is_start_of_header(self) -> bool:
        start = bytes(self._data[: min(self._filled, 4)])
        magics = [struct.pack(order + "I", magic) for order in "<>" for magic in (MICRO, NANO)] + [b"\x0a\x0d\x0d\x0a"]
        return self._filled < 24 and any(magic.startswith(start) for magic in magics)

    def _section(self, at: int) -> int:
        """Reads a section header: its byte order holds from here, and interfaces count from 0 again.

        Returns where the next block starts.
        """
        left = self._filled - at
        if self.pcapng and left >= 12 and struct.unpack_from("<I", self._data, at)[0] == Block.SECTION:
            for order in "<>":
                length, magic = struct.unpack_from(order + "2I", self._data, at + 4)
                if magic == BYTE_ORDER and 28 <= length <= MAX_BLOCK and not length % 4:
                    if length > left:
                        break
                    self._declared.order, self._declared.interfaces = order, []
                    return at + int(length)
            else:
                raise self._damaged(at, "a section header without sense")
            raise self._damaged(at, "ends in the middle of a section header")
        raise self._damaged(at, "a record without sense")

    def _damaged(self, at: int, what: str) -> BadInputError:
        return BadInputError(f"{self._source.path}: {what}, at byte {self._base + at}: damaged from there on")

    def _buffer(self) -> Buffer:
        return Buffer(self._data, self._base, self._declared.order, self._declared.interfaces)

    def _layout(self, near: int) -> Pcap | Pcapng:
        if self.pcapng:
            return Pcapng(self._data, self._declared.order)
        return Pcap(self._data, self._declared.order, near)
