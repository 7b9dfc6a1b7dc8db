"""Dissects a captured frame into its TCP segment: headers only. No input raises an exception.

The payload length comes from the IP header, never from the number of captured bytes: a capture cuts frames at 96 or
128 bytes, and Ethernet pads short ones to 60.
"""

import struct
from typing import NamedTuple

from lab.tcp.address import endpoint
from lab.tcp.segment import SYN, ControlBits, Segment

IPV4, IPV6 = 0x0800, 0x86DD
VLAN_TAGS = frozenset((0x8100, 0x88A8, 0x9100))
"""IEEE 802.1Q, 802.1ad (QinQ), and the QinQ tag in use before that standard."""

TCP = 6
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60
"""The extension headers (RFC 8200 section 4) that may precede TCP, encryption excepted."""

END_OF_OPTIONS, NO_OPERATION, WINDOW_SCALE = 0, 1, 3

_IPV4_HEADER = struct.Struct("!BxHxxHxBxx4s4s")
_IPV6_HEADER = struct.Struct("!B3xHBx16s16s")
_TCP_HEADER = struct.Struct("!HHIIBBH")
_PLAIN = struct.Struct("!12xHBxHxxHxBxx4s4sHHIIBBH")
"""Ethernet, IPv4 without options and TCP in one step: nearly every frame that the lab captures itself."""

_BITS = tuple(ControlBits(byte) for byte in range(256))
"""Made once: to make one takes 0.3 us, a tenth of the whole dissection."""


class Frame(NamedTuple):
    """One Ethernet frame as captured. `number` counts from 1; `wire_length` is its length before it was cut."""

    number: int
    time_ns: int
    wire_length: int
    data: bytes


class _Carried(NamedTuple):
    """The IP payload: where it starts in the frame, its length by the IP header, and the two addresses."""

    start: int
    length: int
    source: bytes
    destination: bytes


def dissect(frame: Frame) -> Segment | None:
    """The TCP segment in the frame. None: another protocol, a later IP fragment, a frame too short or malformed."""
    try:
        (
            kind, first, total, fragment, protocol, source, destination,
            source_port, destination_port, seq, ack, offset, bits, wnd,
        ) = _PLAIN.unpack_from(frame.data)  # fmt: skip
        length = total - 20 - (offset >> 4) * 4
        if (
            kind == IPV4 and first == 0x45 and protocol == TCP and not fragment & 0x1FFF
            and offset >= 0x50 and length >= 0 and not bits & SYN
        ):  # fmt: skip
            return Segment(
                frame.number,
                frame.time_ns,
                endpoint(source, source_port),
                endpoint(destination, destination_port),
                seq,
                ack,
                wnd,
                length,
                _BITS[bits],
                None,
            )
        kind, start = _ethernet(frame.data)
        if kind == IPV4:
            carried = _ipv4(frame, start)
        elif kind == IPV6:
            carried = _ipv6(frame, start)
        else:
            return None
        return None if carried is None else _tcp(frame, carried)
    except (struct.error, IndexError):
        return None


def _ethernet(data: bytes) -> tuple[int, int]:
    """The EtherType behind all VLAN tags, and where its packet starts."""
    kind, start = data[12] << 8 | data[13], 14
    while kind in VLAN_TAGS:
        kind, start = data[start + 2] << 8 | data[start + 3], start + 4
    return kind, start


def _ipv4(frame: Frame, start: int) -> _Carried | None:
    first, total, fragment, protocol, source, destination = _IPV4_HEADER.unpack_from(frame.data, start)
    header = (first & 0x0F) * 4
    if first >> 4 != 4 or header < 20 or protocol != TCP or fragment & 0x1FFF:
        return None
    if not total:
        # BIG TCP: the length of a packet of 64 KiB or more does not fit the field; Linux writes 0 (since 6.3).
        total = frame.wire_length - start
    return _Carried(start + header, total - header, source, destination)


def _ipv6(frame: Frame, start: int) -> _Carried | None:
    data = frame.data
    first, length, following, source, destination = _IPV6_HEADER.unpack_from(data, start)
    at = start + 40
    # BIG TCP: 0 says that the length is in the jumbo option (RFC 2675). Newer kernels do not write that option.
    end = at + length if length else frame.wire_length
    while following != TCP:
        if following == FRAGMENT:
            if (data[at + 2] << 8 | data[at + 3]) & 0xFFF8:
                return None
            following, at = data[at], at + 8
        elif following in (HOP_BY_HOP, ROUTING, DESTINATION):
            following, at = data[at], at + 8 + data[at + 1] * 8
        else:
            return None
    return _Carried(at, end - at, source, destination) if first >> 4 == 6 else None


def _tcp(frame: Frame, carried: _Carried) -> Segment | None:
    start = carried.start
    source, destination, seq, ack, offset, bits, wnd = _TCP_HEADER.unpack_from(frame.data, start)
    header = (offset >> 4) * 4
    if not 20 <= header <= carried.length:
        return None
    return Segment(
        frame.number,
        frame.time_ns,
        endpoint(carried.source, source),
        endpoint(carried.destination, destination),
        seq,
        ack,
        wnd,
        carried.length - header,
        _BITS[bits],
        window_scale(frame.data[start + 20 : start + header]) if bits & SYN else None,
    )


def bits_of(byte: int) -> ControlBits:
    """The control bits in the 14th byte of a TCP header."""
    return _BITS[byte]


def window_scale(options: bytes) -> int | None:
    """The shift count of the window scale option (RFC 7323 section 2.2), as sent. None: absent, or not captured."""
    at = 0
    while at + 2 < len(options) and options[at] != END_OF_OPTIONS:
        if options[at] == NO_OPERATION:
            at += 1
        elif options[at] == WINDOW_SCALE and options[at + 1] == 3:
            return options[at + 2]
        else:
            at += max(options[at + 1], 2)
    return None
