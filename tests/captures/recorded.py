"""The recorded captures as tests want them: where they lie, what is true of them, and the same frames wrapped anew."""

import gzip
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import zstandard

HERE = Path(__file__).parent
ALL = sorted(HERE.glob("*.pcap.gz"))

Frame = tuple[int, int, bytes]
"""Time in nanoseconds, length on the wire, and the frame as it was captured."""


def name(path: Path) -> str:
    return path.name.removesuffix(".pcap.gz")


def truth(path: Path) -> dict[frozenset[str], bool]:
    """Whether a connection deadlocked, by its ends. One that lived too briefly to be looked at did not."""
    facts = json.loads((HERE / "truth" / f"{name(path)}.json").read_text())
    return {frozenset(each["ends"]): each["deadlock"] for each in facts["connections"]}


def program(path: Path) -> str:
    text: str = json.loads((HERE / "truth" / f"{name(path)}.json").read_text())["program"]
    return text


def raw(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def frames(path: Path) -> tuple[int, list[Frame]]:
    """The link type and all frames."""
    data = raw(path)
    (link,) = struct.unpack_from("<I", data, 20)
    return link & 0xFFFF, list(_frames(data))


def _frames(data: bytes) -> Iterator[Frame]:
    at = 24
    while at < len(data):
        seconds, micros, captured, wire = struct.unpack_from("<4I", data, at)
        yield seconds * 10**9 + micros * 1000, wire, data[at + 16 : at + 16 + captured]
        at += 16 + captured


def pcap(frames: list[Frame], link: int, *, order: str = "<", nano: bool = False) -> bytes:
    tick, magic = (1, 0xA1B23C4D) if nano else (1000, 0xA1B2C3D4)
    pieces = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link)]
    for time_ns, wire, data in frames:
        pieces.append(struct.pack(order + "4I", time_ns // 10**9, time_ns % 10**9 // tick, len(data), wire) + data)
    return b"".join(pieces)


def pcapng(
    frames: list[Frame], links: list[int], *, order: str = "<", resolution: int = 9, simple: bool = False
) -> bytes:
    """Interface 0 has the frames with an even number, interface 1 the others, where there are two."""
    pieces = [_block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))]
    for link in links:
        option = struct.pack(order + "HHBxxx", 9, 1, resolution) + bytes(4)
        pieces.append(_block(order, 1, struct.pack(order + "HHI", link, 0, 0) + option))
    for number, (time_ns, wire, data) in enumerate(frames):
        base = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
        ticks = time_ns * base // 10**9
        padded = data + bytes(-len(data) % 4)
        head = struct.pack(order + "5I", number % len(links), ticks >> 32, ticks & 0xFFFFFFFF, len(data), wire)
        if simple:
            pieces.append(_block(order, 3, struct.pack(order + "I", len(data)) + padded))
        else:
            pieces.append(_block(order, 6, head + padded))
        if number % 50 == 49:
            pieces.append(_block(order, 5, bytes(12)))  # Interface statistics, in between.
    return b"".join(pieces)


def _block(order: str, kind: int, body: bytes) -> bytes:
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def relinked(frames: list[Frame], change: Callable[[bytes], bytes]) -> list[Frame]:
    """Ethernet frames with another link header."""
    found = []
    for time_ns, wire, data in frames:
        changed = change(data)
        found.append((time_ns, wire + len(changed) - len(data), changed))
    return found


LINKS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "raw": (101, lambda data: data[14:]),
    "raw-bsd": (12, lambda data: data[14:]),
    "null": (0, lambda data: (b"\x02\0\0\0" if data[12] == 8 else b"\x1e\0\0\0") + data[14:]),
    "loop": (108, lambda data: (b"\0\0\0\x02" if data[12] == 8 else b"\0\0\0\x1e") + data[14:]),
    "cooked": (113, lambda data: b"\0\0\0\1\0\6" + bytes(8) + data[12:]),
    "cooked-2": (276, lambda data: data[12:14] + b"\0\0\0\0\0\1\0\1\0\6" + bytes(8) + data[14:]),
    "vlan": (1, lambda data: data[:12] + b"\x81\0\0\x2a" + data[12:]),
    "qinq": (1, lambda data: data[:12] + b"\x88\xa8\0\x07\x81\0\0\x2a" + data[12:]),
    "old-qinq": (1, lambda data: data[:12] + b"\x91\0\0\x07\x81\0\0\x2a" + data[12:]),
}

FORMATS: dict[str, Callable[[list[Frame]], bytes]] = {
    "pcap": lambda frames: pcap(frames, 1),
    "pcap-big-endian": lambda frames: pcap(frames, 1, order=">"),
    "pcap-nano": lambda frames: pcap(frames, 1, nano=True),
    "pcap-nano-big-endian": lambda frames: pcap(frames, 1, order=">", nano=True),
    "pcapng": lambda frames: pcapng(frames, [1]),
    "pcapng-big-endian": lambda frames: pcapng(frames, [1], order=">"),
    "pcapng-micro": lambda frames: pcapng(frames, [1], resolution=6),
    "pcapng-binary-fractions": lambda frames: pcapng(frames, [1], resolution=0x80 | 30),
    "pcapng-two-interfaces": lambda frames: pcapng(frames, [1, 1]),
    "pcapng-two-sections": lambda frames: pcapng(frames[:99], [1]) + pcapng(frames[99:], [1], order=">"),
    "gzip": lambda frames: gzip.compress(pcap(frames, 1)),
    "zstd": lambda frames: zstandard.compress(pcapng(frames, [1])),
    "zstd-two-frames": lambda frames: (
        zstandard.compress(pcap(frames, 1)[:5000]) + zstandard.compress(pcap(frames, 1)[5000:])
    ),
}
