"""Flow files: lines of `lab.tcp.notation`, each with the marks that it must get behind a `#`, a sentence on top."""

import struct
from dataclasses import dataclass
from pathlib import Path

from lab.tcp.notation import parse
from lab.tcp.segment import Segment

ALL = sorted((Path(__file__).parent / "flows").glob("*.flow"))
CLIENT, SERVER = "198.18.20.20:40000", "198.18.20.10:1060"
ISNS = (4_294_967_000, 2_147_483_000)
"""Both wrap: the client's numbers past 2^32, the server's past 2^31."""


@dataclass(frozen=True)
class Flow:
    segments: tuple[Segment, ...]
    marks: tuple[set[str], ...]

    def pcap(self) -> bytes:
        pieces = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 101)]
        for segment in self.segments:
            packet = _packet(segment)
            pieces.append(
                struct.pack("<4I", *divmod(segment.time_ns, 10**9), len(packet), len(packet) + segment.length)
            )
            pieces.append(packet)
        return b"".join(pieces)


def read(path: Path) -> Flow:
    lines = [line for line in path.read_text().splitlines() if line.partition("#")[0].strip()]
    segments = tuple(parse("\n".join(lines), CLIENT, SERVER, ISNS))
    return Flow(segments, tuple(set(line.partition("#")[2].split()) for line in lines))


def _packet(segment: Segment) -> bytes:
    """Raw IP with the payload cut off, as a capture with a short snaplen has it."""
    options = b"" if segment.scale is None else bytes((3, 3, segment.scale, 1))
    size = 20 + len(options)
    (source, sport), (destination, dport) = (_address(end) for end in (segment.source, segment.destination))
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + size + segment.length, 0, 0, 64, 6, 0, source, destination)
    tcp = struct.pack(
        "!HHIIBBHHH", sport, dport, segment.seq, segment.ack, size << 2, int(segment.bits), segment.wnd, 0, 0
    )
    return ip + tcp + options


def _address(end: str) -> tuple[bytes, int]:
    host, _, port = end.rpartition(":")
    return bytes(int(octet) for octet in host.split(".")), int(port)
