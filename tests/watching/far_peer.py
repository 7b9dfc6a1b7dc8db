"""A TCP end that no tool of this machine can look into, as on another host: a program behind a TUN device.

`python far_peer.py MODE` takes connections to 198.18.67.2 in its network namespace, prints `ready`, and ends with its
standard input. Each connection gets a window of TAKES bytes in all. MODE: `stops` answers probes of its closed window;
`mutual` also sends until the other's window is closed, and probes that; `dies` answers nothing once its window is used
up; `sends` takes everything, sends likewise and probes; `nobody` answers nothing at all.
"""

import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from dataclasses import dataclass

NEAR, FAR = "198.18.67.1", "198.18.67.2"
TAKES = 20_000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x1, 0x1000
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
SEGMENT = 500


def checksum(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


def packed(address: str) -> bytes:
    return bytes(map(int, address.split(".")))


@dataclass
class Segment:
    ports: tuple[int, int]
    seq: int
    ack: int
    flags: int
    window: int
    data: bytes = b""

    @classmethod
    def of(cls, packet: bytes) -> "Segment | None":
        """None: it is no TCP over IPv4."""
        if packet[0] >> 4 != 4 or packet[9] != 6:
            return None
        start = (packet[0] & 15) * 4
        source, target, seq, ack, offset, flags, window = struct.unpack_from("!HHIIBBH", packet, start)
        end = struct.unpack_from("!H", packet, 2)[0]
        return cls((source, target), seq, ack, flags, window, packet[start + (offset >> 4) * 4 : end])

    def packet(self) -> bytes:
        options = b"\x02\x04\x05\xb4" if self.flags & SYN else b""
        offset = (20 + len(options)) // 4 << 4
        head = struct.pack("!HHIIBBHHH", *self.ports, self.seq, self.ack, offset, self.flags, self.window, 0, 0)
        pseudo = packed(FAR) + packed(NEAR) + struct.pack("!HH", 6, len(head + options + self.data))
        total = struct.pack("!H", checksum(pseudo + head + options + self.data))
        body = head[:16] + total + head[18:] + options + self.data
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, 64, 6, 0) + packed(FAR) + packed(NEAR)
        return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + body


class End:
    """Of one connection."""

    def __init__(self, mode: str, tun: int, syn: Segment) -> None:
        self.mode, self.tun = mode, tun
        self.ports = syn.ports[1], syn.ports[0]
        self.rcv_nxt, self.snd_nxt, self.snd_una, self.snd_wnd = syn.seq + 1, 1001, 1001, 0
        self.taken = 0
        self.probe_at, self.gap_s = 0.0, 0.2
        self.send(SYN | ACK, seq=1000)

    @property
    def room(self) -> int:
        return 8192 if self.mode == "sends" else min(8192, max(0, TAKES - self.taken))

    def send(self, flags: int, data: bytes = b"", seq: int | None = None) -> None:
        if self.mode == "dies" and not self.room:
            return
        at = self.snd_nxt if seq is None else seq
        os.write(self.tun, Segment(self.ports, at, self.rcv_nxt & 0xFFFFFFFF, flags, self.room, data).packet())

    def take(self, segment: Segment) -> None:
        self.snd_una, self.snd_wnd = max(self.snd_una, segment.ack), segment.window
        if segment.data and segment.seq == self.rcv_nxt:
            size = min(len(segment.data), self.room)
            self.rcv_nxt, self.taken = self.rcv_nxt + size, self.taken + size
        if segment.data or segment.seq == self.rcv_nxt - 1:
            self.send(ACK)

    def go_on(self) -> None:
        """Send what the other takes, else probe, after ever longer gaps."""
        if self.mode not in ("mutual", "sends") or self.snd_una != self.snd_nxt:
            return
        if size := min(SEGMENT, self.snd_wnd):
            self.send(ACK | PSH, b"y" * size)
            self.snd_nxt += size
        elif time.monotonic() > self.probe_at:
            self.send(ACK, seq=self.snd_nxt - 1)
            self.gap_s = min(2 * self.gap_s, 30)
            self.probe_at = time.monotonic() + self.gap_s


def device() -> int:
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", b"far", IFF_TUN | IFF_NO_PI))
    for words in ((f"address add {NEAR}/24 dev far"), ("link set far up")):
        subprocess.run(["ip", *words.split()], check=True)
    return tun


def main() -> None:
    mode, tun, ends = sys.argv[1], device(), dict[tuple[int, int], End]()
    print("ready", flush=True)
    while True:
        ready = select.select([tun, sys.stdin], [], [], 0.02)[0]
        if sys.stdin in ready:
            return
        if tun in ready and (segment := Segment.of(os.read(tun, 65536))) and mode != "nobody":
            if segment.flags & SYN:
                ends[segment.ports] = End(mode, tun, segment)
            elif segment.ports in ends:
                ends[segment.ports].take(segment)
        for end in ends.values():
            end.go_on()


if __name__ == "__main__":
    main()
