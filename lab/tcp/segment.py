"""One TCP segment as it was captured, in the words of RFC 9293."""

from enum import IntFlag
from typing import NamedTuple


class ControlBits(IntFlag):
    """RFC 9293 section 3.1; the two of RFC 3168 included."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10
    URG = 0x20
    ECE = 0x40
    CWR = 0x80


class Segment(NamedTuple):
    """`frame` counts from 1 as Wireshark does; `wnd` is the 16-bit field as sent, not scaled.

    `length` is the payload by the IP header, however short the capture was cut. `scale` is the window scale option's
    shift count on a SYN that carries one, else None. Addresses are `ip:port`, IPv6 `[ip]:port`.
    """

    frame: int
    time_ns: int
    source: str
    destination: str
    seq: int
    ack: int
    wnd: int
    length: int
    bits: ControlBits
    scale: int | None
