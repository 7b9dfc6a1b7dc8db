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


FIN, SYN, RST, ACK = (int(bit) for bit in (ControlBits.FIN, ControlBits.SYN, ControlBits.RST, ControlBits.ACK))
"""As plain numbers: an operation on enum members takes 0.3 us, and every segment needs several."""


class Segment(NamedTuple):
    """`frame` counts from 1 as Wireshark does; `wnd` is the 16-bit window field as sent, not scaled.

    `length` counts payload bytes by the IP header, not by what was captured. `scale` is the shift count of the window
    scale option, on a SYN that carries one; else None. Addresses are texts as in `lab.tcp.address`.
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
