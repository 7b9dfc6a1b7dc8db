"""A piece of a capture file in memory, its packets as columns: where each one lies, when it was captured, how long."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lab.pcap.walk import Offsets

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Interface:
    """The link layer and the clock of packets: a tick is `numerator / denominator` nanoseconds."""

    link: int
    numerator: int = 1000
    denominator: int = 1
    offset_ns: int = 0
    snaplen: int = 0


@dataclass(slots=True)
class ChunkStart:
    """Where a chunk starts, and what the file has declared before: enough to read the chunk again."""

    offset: int
    """The byte of the file, uncompressed."""
    frame: int
    """The number of the frame before the chunk's first."""
    order: str
    """The byte order, `<` or `>`."""
    interfaces: tuple[Interface, ...]


@dataclass(slots=True)
class Chunk:
    """The packets. Offsets count bytes in `data`; `captured` and `wire` are the two lengths of a packet."""

    place: ChunkStart
    data: bytearray
    base: int
    """The byte of the file at which `data` starts."""
    record: Offsets
    """Where the record of each packet starts."""
    end: int
    """Where the record after the last one starts."""
    frames: Integers
    """The number of each packet in Wireshark."""
    start: Offsets
    """Where the captured bytes of each packet start."""
    captured: Integers
    wire: Integers
    time_ns: Integers
    interface: Integers
    """An index of `interfaces`."""
    interfaces: tuple[Interface, ...]


def words(data: bytearray, kind: str) -> npt.NDArray[np.integer]:
    """The data as numbers of this numpy type (`<u4`, `>u2`), one from every byte on."""
    return np.ndarray((len(data) - int(kind[2]) + 1,), kind, data, strides=(1,))


def rows_at(data: bytearray, starts: Offsets, size: int) -> npt.NDArray[np.uint8]:
    """The `size` bytes from each start on, one row each. numpy copies a row as one item, 10 times faster than bytes."""
    items = np.ndarray((len(data) - size + 1,), f"V{size}", data, strides=(1,))
    return items[starts].view(np.uint8)
