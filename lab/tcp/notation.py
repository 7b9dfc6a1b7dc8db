"""Segments as text, one line each, much as tcpdump prints them: for flow files and for messages.

    0.012 > P. 1:1001(1000) ack 1 win 250

Time in seconds, `>` from the client or `<` from the server, control bits (`.` is ACK), first:next(length) of sequence
numbers relative to the initial one of each side, ack, win as sent, and `wscale` on a SYN. A `#` begins a comment.
"""

import re
from collections.abc import Iterable, Iterator

from lab.tcp.segment import ControlBits, Segment
from lab.tcp.seq import distance, forward

LETTERS = {
    "F": ControlBits.FIN, "S": ControlBits.SYN, "R": ControlBits.RST, "P": ControlBits.PSH, ".": ControlBits.ACK,
    "U": ControlBits.URG, "E": ControlBits.ECE, "W": ControlBits.CWR,
}  # fmt: skip

LINE = re.compile(
    r"(?P<time>\d+(?:\.\d{1,9})?) (?P<way>[<>]) (?P<bits>[FSRP.UEW]+|-) (?P<seq>\d+):(?P<next>\d+)\((?P<length>\d+)\)"
    r"(?: ack (?P<ack>\d+))?(?: win (?P<win>\d+))?(?: wscale (?P<scale>\d+))?"
)


def parse(text: str, client: str, server: str, isns: tuple[int, int] = (0, 0)) -> Iterator[Segment]:
    """The segments of the lines; `isns` are the initial sequence numbers of client and server. Raises ValueError."""
    number = 0
    for line in text.splitlines():
        bare = line.partition("#")[0].strip()
        if not bare:
            continue
        number += 1
        match = LINE.fullmatch(bare)
        if match is None or int(match["next"]) - int(match["seq"]) != int(match["length"]):
            raise ValueError(f"segment '{bare}': needs the form '0.012 > P. 1:1001(1000) ack 1 win 250'")
        sent = match["way"] == ">"
        own, peer = isns if sent else isns[::-1]
        seconds, _, fraction = match["time"].partition(".")
        yield Segment(
            frame=number,
            time_ns=int(seconds) * 10**9 + int(fraction.ljust(9, "0") or 0),
            source=client if sent else server,
            destination=server if sent else client,
            seq=forward(int(match["seq"]), own),
            ack=forward(int(match["ack"]), peer) if match["ack"] else 0,
            wnd=int(match["win"] or 0),
            length=int(match["length"]),
            bits=ControlBits(sum(LETTERS[letter] for letter in match["bits"] if letter != "-")),
            scale=int(match["scale"]) if match["scale"] else None,
        )


def lines(segments: Iterable[Segment], client: str) -> Iterator[str]:
    """One line for each segment of one connection; times count from the first."""
    began_ns: int | None = None
    first: dict[str, int] = {}
    for segment in segments:
        began_ns = segment.time_ns if began_ns is None else began_ns
        first.setdefault(segment.source, segment.seq)
        if segment.bits & ControlBits.ACK:
            first.setdefault(segment.destination, segment.ack)
        yield _line(segment, segment.time_ns - began_ns, first, ">" if segment.source == client else "<")


def _line(segment: Segment, after_ns: int, first: dict[str, int], way: str) -> str:
    seq = distance(first[segment.source], segment.seq)
    bits = "".join(letter for letter, bit in LETTERS.items() if segment.bits & bit) or "-"
    words = [f"{after_ns / 1e9:.6f} {way} {bits} {seq}:{seq + segment.length}({segment.length})"]
    if segment.bits & ControlBits.ACK:
        words.append(f"ack {distance(first[segment.destination], segment.ack)}")
    words.append(f"win {segment.wnd}")
    if segment.scale is not None:
        words.append(f"wscale {segment.scale}")
    return " ".join(words)
