"""Reads a capture of any kind and size by the chunk, each chunk as columns: where every packet is, when, how long.

pcap and pcapng, micro- and nanoseconds and any other resolution, either byte order, several interfaces and sections.
What was read before a damage is given before it is raised, with the offset at which the file stops making sense.
"""

import struct
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lab.errors import BadInputError
from lab.pcap.layouts import FIXED_OF_PACKET, LARGEST, LARGEST_BLOCK, MICRO, NANO, Pcap, Pcapng
from lab.pcap.pcapng import BYTE_ORDER, Block
from lab.pcap.source import BrokenError, Source
from lab.pcap.walk import Offsets, run, walk

CHUNK = 4 << 20
"""Bytes read at a time: larger ones fall out of the processor's cache, smaller ones cost a call of numpy more each."""

PADDING = 128
"""Bytes behind the data that a fixed-size look at the last packet may touch."""

Integers = npt.NDArray[np.int64]

PACKETS = (Block.PACKET, Block.SIMPLE_PACKET, Block.OBSOLETE_PACKET)


@dataclass(frozen=True, slots=True)
class Interface:
    """What a packet's link layer and its clock are: a tick is `numerator / denominator` nanoseconds."""

    link: int
    numerator: int = 1000
    denominator: int = 1
    offset_ns: int = 0
    snaplen: int = 0


@dataclass(slots=True)
class Place:
    """Where a chunk starts, to come back to it: the byte, the number of the frame before it, and what was declared."""

    offset: int
    frame: int
    order: str
    interfaces: tuple[Interface, ...]


@dataclass(slots=True)
class Chunk:
    """Packets as columns. `start` is where a packet's data lies in `data`, `captured` and `wire` its two lengths."""

    place: Place
    data: bytearray
    base: int
    """The byte of the file that `data` begins with."""
    record: Offsets
    """Where each packet's record starts in `data`."""
    end: int
    """Where the next record starts in `data`."""
    frames: Integers
    """The number that Wireshark gives to each packet."""
    start: Offsets
    captured: Integers
    wire: Integers
    time_ns: Integers
    interface: Integers
    interfaces: tuple[Interface, ...]


@dataclass(slots=True)
class _State:
    """What has been declared so far."""

    order: str
    interfaces: list[Interface] = field(default_factory=list)
    frame: int = 0


Progress = Callable[[int, int], None]
"""Told how many bytes of how many are done."""


def _silent(_done: int, _size: int) -> None: ...


class Bulk:
    """A capture file being read. Raises BadInputError where it is none."""

    def __init__(self, source: Source, progress: Progress = _silent, *, before: int = 0) -> None:
        """`before` is the number of the frame before its first: of the file that it continues."""
        self._source = source
        self._progress = progress
        self._chunk_size = CHUNK if source.compressed else min(CHUNK, source.size + 1)
        self._data = bytearray(self._chunk_size + LARGEST_BLOCK * (self._chunk_size == CHUNK) + PADDING)
        self._room = memoryview(self._data)
        self._filled = 0
        """Bytes in `data`, which start at `base` of the file."""
        self._base = 0
        self._ended: str | None = None
        """None: there is more to read. Else why there is not; empty for a plain end."""
        self._pending: BadInputError | None = None
        """What is to be raised once the packets before it are given."""
        self._fill()
        self.pcapng, state = self._open()
        self._state = state
        state.frame = before

    def chunks(self) -> Iterator[Chunk]:
        """All of it, from the start."""
        at = 0 if self.pcapng else 24
        while True:
            at = yield from self._chunk(at)
            if at < 0:
                return

    def stretches(self, place: Place, starts: Offsets, ends: Offsets, frames: Integers) -> Chunk:
        """Only those packets of the chunk at `place` between these offsets of the file; `frames` number their first.

        `place` has to declare all interfaces that the chunk uses.
        """
        self._state = _State(place.order, list(place.interfaces), place.frame)
        self._source.skip_to(place.offset)
        self._base, self._filled, self._ended = place.offset, 0, None
        self._fill()
        steps, _ = run(self._layout(0), starts - place.offset, ends - place.offset, self._filled)
        passed = steps.T >= 0
        records, lane = steps.T[passed], np.nonzero(passed)[0]
        if self.pcapng:
            packets = np.isin(self._words("u4")[records], PACKETS)
            records, lane = records[packets], lane[packets]
        numbers = frames[lane] + np.arange(len(lane)) - np.searchsorted(lane, lane)
        return self._packets_ng(place, records, numbers) if self.pcapng else self._packets(place, records, numbers)

    def rewind(self) -> None:
        """Needed before `stretches` where the source cannot go backwards."""
        self._source.rewind()

    def _chunk(self, at: int) -> Generator[Chunk, None, int]:
        """The packets from `at` to the end of what is in memory; where the next chunk starts, -1 at the end."""
        place = Place(self._base + at, self._state.frame, self._state.order, tuple(self._state.interfaces))
        first = at
        while True:
            layout = self._layout(at)
            walked = walk(layout, at, self._filled)
            broken = layout.false_end(walked.starts) if isinstance(layout, Pcapng) else -1
            starts = walked.starts if broken < 0 else walked.starts[:broken]
            end = walked.end if broken < 0 else int(walked.starts[broken])
            if len(starts):
                self._pending = None
                chunk = self._chunk_of(place, starts)
                chunk.end = end
                self._state.frame += len(chunk.start)
                yield chunk
                if self._pending:
                    raise self._pending
                place = Place(self._base + end, self._state.frame, self._state.order, tuple(self._state.interfaces))
            if broken >= 0:
                raise self._damaged(end, "a record whose length makes no sense")
            if not walked.stuck:
                break
            at = self._section(end)
            place.order, place.interfaces = self._state.order, ()
        self._progress(self._source.done(), self._source.size)
        if self._ended is None:
            return self._shift(end, first)
        if end < self._filled:
            raise self._damaged(end, self._ended or "ends in the middle of a record")
        if self._ended:
            raise self._damaged(end, self._ended)
        return -1

    def _shift(self, end: int, first: int) -> int:
        """Move what is left to the front, and fill up."""
        left = self._filled - end
        if left > LARGEST_BLOCK or (end == first and left >= len(self._data) - PADDING):
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

    def _open(self) -> tuple[bool, _State]:
        if not self._filled:
            raise BadInputError(f"{self._source.path}: {self._ended or 'empty: not even a header, at byte 0'}")
        if self._filled >= 12 and self._data[:4] == bytes.fromhex("0a0d0d0a"):
            return True, _State("<")
        for order in "<>":
            if self._filled < 24:
                break
            magic, major = struct.unpack_from(order + "IH", self._data)
            if magic in (MICRO, NANO) and major == 2:
                (link,) = struct.unpack_from(order + "I", self._data, 20)
                # The upper half tells of frame check sequences, which nobody here reads.
                return False, _State(order, [Interface(link & 0xFFFF, 1 if magic == NANO else 1000)])
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
        """A section header: a new byte order, and interfaces from 0 again. Where the block after it starts."""
        left = self._filled - at
        if self.pcapng and left >= 12 and struct.unpack_from("<I", self._data, at)[0] == Block.SECTION:
            for order in "<>":
                length, magic = struct.unpack_from(order + "2I", self._data, at + 4)
                if magic == BYTE_ORDER and 28 <= length <= LARGEST_BLOCK and not length % 4:
                    if length > left:
                        break
                    self._state.order, self._state.interfaces = order, []
                    return at + int(length)
            else:
                raise self._damaged(at, "a section header without sense")
            raise self._damaged(at, "ends in the middle of a section header")
        raise self._damaged(at, "a record without sense")

    def _damaged(self, at: int, what: str) -> BadInputError:
        return BadInputError(f"{self._source.path}: {what}, at byte {self._base + at}: damaged from there on")

    def _words(self, kind: str) -> npt.NDArray[np.integer]:
        """The buffer as numbers of this kind, one from every byte on."""
        size = int(kind[1])
        return np.ndarray((len(self._data) - size + 1,), self._state.order + kind, self._data, strides=(1,))

    def _layout(self, near: int) -> Pcap | Pcapng:
        if self.pcapng:
            return Pcapng(self._data, self._state.order)
        return Pcap(self._data, self._state.order, near)

    def _chunk_of(self, place: Place, starts: Offsets) -> Chunk:
        """All packets among these records."""
        if not self.pcapng:
            return self._packets(place, starts, place.frame + 1 + np.arange(len(starts)))
        kinds = self._words("u4")[starts]
        for index in np.flatnonzero(kinds == Block.INTERFACE):
            self._describe(int(starts[index]))
        starts = starts[np.isin(kinds, PACKETS)]
        return self._packets_ng(place, starts, place.frame + 1 + np.arange(len(starts)))

    def _packets(self, place: Place, starts: Offsets, frames: Integers) -> Chunk:
        rows = rows_at(self._data, starts, 16).view(self._state.order + "u4").reshape(-1, 4).astype(np.int64)
        wrong = np.flatnonzero(rows[:, 2] > LARGEST)
        if len(wrong):
            self._pending = self._damaged(int(starts[wrong[0]]), "a record longer than any packet")
            starts, rows, frames = starts[: wrong[0]], rows[: wrong[0]], frames[: wrong[0]]
        interface = self._state.interfaces[0]
        return Chunk(
            place=place,
            data=self._data,
            base=self._base,
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

    def _packets_ng(self, place: Place, starts: Offsets, frames: Integers) -> Chunk:
        rows = rows_at(self._data, starts, FIXED_OF_PACKET).view(self._state.order + "u4").reshape(-1, 7)
        kinds, room = rows[:, 0], rows[:, 1].astype(np.int64) - FIXED_OF_PACKET - 4
        interface, high, low, captured, wire = (rows[:, column].astype(np.int64) for column in range(2, 7))
        start = starts + FIXED_OF_PACKET
        if (old := kinds == Block.OBSOLETE_PACKET).any():
            interface[old] = self._words("u2")[starts[old] + 8]
        if (simple := kinds == Block.SIMPLE_PACKET).any():
            # It carries neither interface nor time: those of the first, and the beginning of time.
            wire[simple], interface[simple], high[simple], low[simple] = rows[simple, 2], 0, 0, 0
            captured[simple], start[simple], room[simple] = wire[simple], starts[simple] + 12, room[simple] + 16
            snaplen = self._state.interfaces[0].snaplen if self._state.interfaces else 0
            captured[simple] = np.minimum(np.minimum(wire[simple], room[simple]), snaplen or LARGEST_BLOCK)
        wrong = np.flatnonzero((captured > room) | (interface >= len(self._state.interfaces)))
        good = slice(int(wrong[0]) if len(wrong) else len(starts))
        if len(wrong):
            why = "holds a packet longer than its block, or of an interface that it does not describe"
            self._pending = self._damaged(int(starts[wrong[0]]), why)
        return Chunk(
            place=place,
            data=self._data,
            base=self._base,
            record=starts[good],
            end=0,
            frames=frames[good],
            start=start[good],
            captured=captured[good],
            wire=wire[good],
            time_ns=_times((high << 32 | low)[good], interface[good], self._state.interfaces),
            interface=interface[good],
            interfaces=tuple(self._state.interfaces),
        )

    def _describe(self, at: int) -> None:
        """An interface description block."""
        order = self._state.order
        length, link, _, snaplen = struct.unpack_from(order + "IHHI", self._data, at + 4)
        if length < 20:
            raise self._damaged(at, "an interface description without sense")
        numerator, denominator, offset_s = 1000, 1, 0
        for code, value in _options(bytes(self._data[at + 16 : at + length - 4]), order):
            if code == 9 and len(value) == 1:  # if_tsresol
                base, exponent = (2, value[0] & 0x7F) if value[0] & 0x80 else (10, value[0])
                numerator, denominator = 10**9, base ** min(exponent, 62)
            elif code == 14 and len(value) == 8:  # if_tsoffset
                (offset_s,) = struct.unpack(order + "q", value)
        self._state.interfaces.append(
            Interface(link, numerator, denominator, max(-(10**9), min(offset_s, 10**10)) * 10**9, snaplen)
        )


def _options(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        code, length = struct.unpack_from(order + "2H", data, at)
        if not code:
            return
        yield code, data[at + 4 : at + 4 + length]
        at += 4 + (length + 3 & ~3)


def rows_at(data: bytearray, starts: Offsets, size: int) -> npt.NDArray[np.uint8]:
    """`size` bytes from each start on, a row each: copied by numpy as one item, 10 times faster than byte by byte."""
    items = np.ndarray((len(data) - size + 1,), f"V{size}", data, strides=(1,))
    return items[starts].view(np.uint8)


def _times(ticks: Integers, interface: Integers, interfaces: list[Interface]) -> Integers:
    """In nanoseconds. Ticks of 2^-n s and of less than a nanosecond are computed one by one, in exact integers."""
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
