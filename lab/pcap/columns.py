"""From packets as columns to TCP segments as columns: for a chunk what `lab.tcp.frame` does for one frame.

Link layers: Ethernet with VLAN and QinQ tags, Linux cooked v1 and v2, raw IP, BSD loopback. A segment needs the first
16 bytes of its TCP header; payload lengths come from the IP header.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lab.pcap.chunk import Chunk, Integers, rows_at, words
from lab.pcap.walk import Offsets
from lab.tcp.frame import DESTINATION, FRAGMENT, HOP_BY_HOP, IPV4, IPV6, ROUTING, TCP, VLAN_TAGS

Mask = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]

NULL, ETHERNET, RAW_BSD, RAW_OPENBSD, RAW, LOOP, COOKED, ONLY_IPV4, ONLY_IPV6, COOKED_2 = (
    0, 1, 12, 14, 101, 108, 113, 228, 229, 276,
)  # fmt: skip
"""LINKTYPE_ values of the registry at tcpdump.org."""


class _Link(NamedTuple):
    """Offsets of the EtherType and of the packet. No type: the first four bits of the packet are its IP version."""

    kind: int | None
    packet: int


LINKS = {
    ETHERNET: _Link(12, 14),
    COOKED: _Link(14, 16),
    COOKED_2: _Link(0, 20),
    NULL: _Link(None, 4),
    LOOP: _Link(None, 4),
    **dict.fromkeys((RAW_BSD, RAW_OPENBSD, RAW, ONLY_IPV4, ONLY_IPV6), _Link(None, 0)),
}

TAGS = np.array(sorted(VLAN_TAGS), np.int64)
MAX_TAGS = 4
MAX_EXTENSIONS = 8


@dataclass(slots=True)
class Segments:
    """TCP segments as columns. `index` counts packets in the chunk; `network` and `tcp` are where the headers start.

    `source` and `destination` are numbers for address and port: the 48 bits themselves for IPv4, a hash for IPv6.
    """

    index: Integers
    network: Offsets
    tcp: Offsets
    version6: Mask
    source: Words
    destination: Words
    seq: npt.NDArray[np.uint32]
    ack: npt.NDArray[np.uint32]
    wnd: npt.NDArray[np.uint16]
    bits: npt.NDArray[np.uint8]
    length: Integers

    def only(self, rows: Mask) -> "Segments":
        return Segments(*(getattr(self, each.name)[rows] for each in fields(self)))


def segments(chunk: Chunk, hashing: tuple[int, int]) -> Segments:
    """The segments of a chunk; `hashing` are two random odd numbers of 64 bits."""
    data, end = chunk.data, chunk.start + chunk.captured
    network, version = _networks(chunk)
    index: Integers = np.flatnonzero(version)
    if len(index) < len(network):
        network, version, end = network[index], version[index], end[index]
    top = rows_at(data, network, 60).reshape(-1, 60)
    six = version == 6
    tcp, length = _carried_by_4(chunk, index, network, top)
    if six.any():
        tcp[six], length[six] = _carried_by_6(chunk, index[six], network[six], top[six], end[six])
    good = (tcp > 0) & (tcp + 16 <= end)
    if not good.all():
        index, network, tcp, length, six, top = (
            index[good],
            network[good],
            tcp[good],
            length[good],
            six[good],
            top[good],
        )
    return _segments(data, index=index, network=network, tcp=tcp, length=length, six=six, top=top, hashing=hashing)


def _segments(
    data: bytearray,
    *,
    index: Integers,
    network: Offsets,
    tcp: Offsets,
    length: Integers,
    six: Mask,
    top: npt.NDArray[np.uint8],
    hashing: tuple[int, int],
) -> Segments:
    header = rows_at(data, tcp, 16)
    bytes_, short, long = header.reshape(-1, 16), header.view(">u2").reshape(-1, 8), header.view(">u4").reshape(-1, 4)
    size = (bytes_[:, 12] >> 4).astype(np.int64) * 4
    length = length - size
    good = (size >= 20) & (length >= 0)
    source, destination = _ends(top, short, six, hashing)
    found = Segments(
        index=index,
        network=network,
        tcp=tcp,
        version6=six,
        source=source,
        destination=destination,
        seq=long[:, 1].astype(np.uint32),
        ack=long[:, 2].astype(np.uint32),
        wnd=short[:, 7].astype(np.uint16),
        bits=bytes_[:, 13],
        length=length,
    )
    return found if good.all() else found.only(good)


def _ends(
    top: npt.NDArray[np.uint8], ports: npt.NDArray[np.uint16], six: Mask, hashing: tuple[int, int]
) -> tuple[Words, Words]:
    quads = top.view(">u4").reshape(-1, 15)
    ends = []
    for side in (0, 1):
        port = ports[:, side].astype(np.uint64)
        end = quads[:, 3 + side].astype(np.uint64) << np.uint64(16) | port
        if six.any():
            mixed = port[six]
            for word in range(2 + 4 * side, 6 + 4 * side):
                mixed = (mixed ^ quads[six, word].astype(np.uint64)) * np.uint64(hashing[0])
                mixed ^= mixed >> np.uint64(29)
            end[six] = mixed
        ends.append(end)
    return ends[0], ends[1]


def _networks(chunk: Chunk) -> tuple[Offsets, Integers]:
    """Where each packet's IP header starts, and its version. 0: no IP header, or too little of it was captured."""
    if len({each.link for each in chunk.interfaces}) == 1:
        return _network(chunk, chunk.start, chunk.captured, chunk.interfaces[0].link if chunk.interfaces else -1)
    network, version = np.zeros_like(chunk.start), np.zeros_like(chunk.start)
    for number in np.unique(chunk.interface):
        mask = chunk.interface == number
        network[mask], version[mask] = _network(
            chunk, chunk.start[mask], chunk.captured[mask], chunk.interfaces[number].link
        )
    return network, version


def _network(chunk: Chunk, start: Offsets, captured: Integers, link: int) -> tuple[Offsets, Integers]:
    if link not in LINKS:
        return start, np.zeros_like(start)
    at, data = LINKS[link], np.frombuffer(chunk.data, np.uint8)
    network, end = start + at.packet, start + captured
    if at.kind is None:
        version = (data[network] >> 4).astype(np.int64)
        version[(version != 4) & (version != 6)] = 0
    else:
        shorts = words(chunk.data, ">u2")
        kind = shorts[start + at.kind].astype(np.int64)
        plain = kind == IPV4
        if plain.all():
            version = np.full(len(start), 4, np.int64)
        else:
            network = _untag(shorts, kind, network, end)
            version = np.where(kind == IPV4, 4, np.where(kind == IPV6, 6, 0))
    version[network + np.where(version == 6, 40, 20) > end] = 0
    return np.minimum(network, len(chunk.data) - 64), version


def _untag(shorts: npt.NDArray[np.integer], kind: Integers, network: Offsets, end: Offsets) -> Offsets:
    """Skips VLAN tags. Changes `kind` to the EtherType behind them, and returns where the packet starts."""
    for _ in range(MAX_TAGS):
        tagged = np.isin(kind, TAGS) & (network + 4 <= end)
        if not tagged.any():
            break
        network = network.copy()
        kind[tagged] = shorts[network[tagged] + 2]
        network[tagged] += 4
    return network


def _carried_by_4(
    chunk: Chunk, index: Integers, network: Offsets, top: npt.NDArray[np.uint8]
) -> tuple[Offsets, Integers]:
    """Where TCP starts (0: nowhere), and the length of its segment, header included."""
    shorts = top.view(">u2").reshape(-1, 30)
    first = top[:, 0]
    header = (first & 0x0F).astype(np.int64) * 4
    good = (first >> 4 == 4) & (header >= 20) & (top[:, 9] == TCP) & (shorts[:, 3] & 0x1FFF == 0)
    total = shorts[:, 1].astype(np.int64)
    if not total.all():
        # BIG TCP, as in lab.tcp.frame: the length on the wire tells.
        bare = total == 0
        total[bare] = (chunk.wire[index] + chunk.start[index] - network)[bare]
    return np.where(good, network + header, 0), total - header


def _carried_by_6(
    chunk: Chunk, index: Integers, network: Offsets, top: npt.NDArray[np.uint8], end: Offsets
) -> tuple[Offsets, Integers]:
    shorts = top.view(">u2").reshape(-1, 30)
    length, following, at = shorts[:, 2].astype(np.int64), top[:, 6].astype(np.int64), network + 40
    ending = np.where(length > 0, at + length, chunk.start[index] + chunk.wire[index])
    at = np.where(top[:, 0] >> 4 == 6, at, 0)
    data = np.frombuffer(chunk.data, np.uint8)
    for _ in range(MAX_EXTENSIONS):
        more = (following != TCP) & (at > 0)
        if not more.any():
            break
        place = at[more]
        known = np.isin(following[more], (HOP_BY_HOP, ROUTING, DESTINATION, FRAGMENT)) & (place + 8 <= end[more])
        fragment = following[more] == FRAGMENT
        later = fragment & ((data[place + 2].astype(np.int64) << 8 | data[place + 3]) & 0xFFF8 > 0)
        size = np.where(fragment, 8, 8 + data[place + 1].astype(np.int64) * 8)
        following[more] = data[place]
        at[more] = np.where(known & ~later, place + size, 0)
        at[at + 20 > len(chunk.data)] = 0
    at[following != TCP] = 0
    return at, ending - at
