"""Captures frames through scapy's packet socket, without loss: a kernel filter of ours and a ring in shared memory.

scapy opens the socket. Its own reader dissects each frame as it comes and loses nine of ten at full speed. So the
frames are taken raw from a TPACKET_V3 ring (packet(7), Documentation/networking/packet_mmap.rst) with the kernel's
nanosecond time stamps. The ring needs CAP_NET_RAW only, and does not depend on net.core.rmem_max.
"""

import ctypes
import mmap
import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from lab.errors import EnvironmentLacksError
from lab.evidence import CaptureCount
from lab.kernel.capture import packet_socket
from lab.kernel.place.helper_process import HelperProcess
from lab.kernel.place.netns import Namespace
from lab.spec import CaptureMode
from lab.tcp.frame import Frame

SO_ATTACH_FILTER = 26
ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION = 5, 6, 10
TPACKET_V3 = 2
TP_STATUS_USER = 1

RING_SIZE, LARGE_RING_SIZE = 1 << 24, 1 << 26
"""Bytes. The first holds 80 000 frames cut at 128 bytes; the larger one is for frames that are kept nearly whole."""
BLOCK_SIZE = 1 << 15
"""The minimum size of a block, in bytes; a frame must fit into one."""
LARGE_SNAPLEN = 1 << 10
"""From here on the ring is the larger one."""
AT_ONCE, FRAMES_AT_ONCE = 1 << 20, 1000
"""The maximum that one call of `drain` hands over, in bytes of blocks and about in frames, even if the reader is far
behind. Reading a thousand frames takes 10 ms, and a proof must not wait longer for its turn."""
PATIENCE_S = 0.5
"""How long a patient reader leaves frames in the ring."""
FULL_ENOUGH = 4
"""A patient reader lets a quarter of the ring fill: 20 000 frames cut at 128 bytes."""
RETIRE_MS = 8
"""After this time the kernel hands over a block that is not full (two ticks at HZ=250). If nobody reads, 512 blocks
last 4 s."""

_STATUS = struct.Struct("=I")
_BLOCK = struct.Struct("=8x3I")  # block_status, num_pkts, offset_to_first_pkt
_PACKET = struct.Struct("=6I2H")  # next_offset, sec, nsec, snaplen, len, status, mac, net


class Capture:
    """An open capture on one interface of one namespace. `drain()` it at least once a second, `close()` it."""

    def __init__(
        self,
        namespace: Namespace,
        interface: str,
        mode: CaptureMode,
        port: int,
        snaplen: int,
        *,
        helper: HelperProcess | None = None,
    ) -> None:
        """If there is a helper process, it opens the socket, so that scapy need not be imported here."""
        self.interface = interface
        self._seen = self._dropped = self._number = self._block = 0
        self._drained_s = time.monotonic()
        opened = packet_socket.opened
        self._socket = helper.call(opened, namespace, interface) if helper else opened(namespace, interface)
        try:
            _attach(self._socket, packet_filter(mode, port, snaplen, loopback=interface == "lo"))
            self._block_size, self._blocks = _layout(snaplen)
            self._ring = _ring(self._socket, self._block_size, self._blocks)
            self._socket.bind((interface, ETH_P_ALL))  # from here on it sees frames
        except OSError as error:
            self._socket.close()
            raise EnvironmentLacksError(f"cannot capture on {interface}: {error.strerror}") from None

    def drain(self, *, patient: bool = False) -> list[Frame]:
        """The frames that the kernel has handed over since the last call; of very many, only the first blocks.

        With `patient`, once there was a first frame, the others stay in the ring for PATIENCE_S, unless the ring is
        filling. On a busy machine, reading them would take a processor from the programs that send them.
        """
        if patient and self._number and time.monotonic() < self._drained_s + PATIENCE_S and not self._is_filling():
            return []
        frames: list[Frame] = []
        for _ in range(AT_ONCE // self._block_size):
            start = self._block * self._block_size
            status, packets, first = _BLOCK.unpack_from(self._ring, start)
            if not status & TP_STATUS_USER:
                self._drained_s = time.monotonic()
                break
            if len(frames) >= FRAMES_AT_ONCE:
                break
            at = start + first
            for _ in range(packets):
                following, seconds, nanoseconds, captured, length, _, mac, _ = _PACKET.unpack_from(self._ring, at)
                self._number += 1
                data = self._ring[at + mac : at + mac + captured]
                frames.append(Frame(self._number, seconds * 1_000_000_000 + nanoseconds, length, data))
                at += following
            _STATUS.pack_into(self._ring, start + 8, 0)
            self._block = (self._block + 1) % self._blocks
        return frames

    def _is_filling(self) -> bool:
        ahead = (self._block + self._blocks // FULL_ENOUGH) % self._blocks
        return bool(_BLOCK.unpack_from(self._ring, ahead * self._block_size)[0] & TP_STATUS_USER)

    def settle(self, limit_s: float = 0.5) -> Iterator[list[Frame]]:
        """Drain until every frame that the kernel has counted so far has come, or none has come for `limit_s`."""
        self._count()
        expected = self._seen - self._dropped
        deadline = time.monotonic() + limit_s
        while self._number < expected and time.monotonic() < deadline:
            if frames := self.drain():
                yield frames
                deadline = time.monotonic() + limit_s
            else:
                select.select([self._socket], [], [], RETIRE_MS / 1000)

    def count(self) -> CaptureCount:
        """Frames that passed the filter and were drained, and those that the kernel dropped for lack of room."""
        self._count()
        return CaptureCount(self.interface, self._number, self._dropped)

    def close(self) -> None:
        self._ring.close()
        self._socket.close()

    def _count(self) -> None:
        # Reading resets the kernel's counters, hence the sums.
        packets, dropped, _ = struct.unpack("=III", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12))
        self._seen += packets
        self._dropped += dropped


def _layout(snaplen: int) -> tuple[int, int]:
    """Bytes of a block, and the number of blocks. In the ring a frame has 48 bytes of header and some of padding."""
    size = max(BLOCK_SIZE, 1 << (snaplen + 512).bit_length())
    return size, (RING_SIZE if snaplen < LARGE_SNAPLEN else LARGE_RING_SIZE) // size


def _ring(packet_socket: socket.socket, size: int, blocks: int) -> mmap.mmap:
    packet_socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
    request = struct.pack("=7I", size, blocks, size, blocks, RETIRE_MS, 0, 0)
    packet_socket.setsockopt(SOL_PACKET, PACKET_RX_RING, request)
    return mmap.mmap(packet_socket.fileno(), size * blocks)


def _attach(packet_socket: socket.socket, program: list[tuple[int, int, int, int]]) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    packet_socket.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code))
    )


# Classic BPF (bpf(4) of BSD, linux/filter.h): opcodes that the filter uses.
LD_W, LD_H, LD_B = 0x20, 0x28, 0x30
LD_H_X, LD_B_X = 0x48, 0x50
LD_M, LDX_M, ST_M = 0x60, 0x61, 0x02
LDX_IMM, LDX_MSH = 0x01, 0xB1
ADD_K, ADD_X, SUB_X, AND_K, RSH_K = 0x04, 0x0C, 0x1C, 0x54, 0x74
JEQ, JSET, RET = 0x15, 0x45, 0x06
SKF_AD_PKTTYPE = 0xFFFFF000 + 4
PACKET_OUTGOING = 4
ETHERTYPE_IPV4, ETHERTYPE_IPV6 = 0x0800, 0x86DD


@dataclass(frozen=True, slots=True)
class _Op:
    """One instruction of a packet filter (linux/filter.h); a jump names its targets."""

    code: int
    k: int = 0
    true: str = ""
    false: str = ""
    label: str = ""


def packet_filter(
    mode: CaptureMode, port: int, snaplen: int, *, loopback: bool = False
) -> list[tuple[int, int, int, int]]:
    """Classic BPF for Ethernet frames of TCP over IPv4 or IPv6 with this port, as (code, jt, jf, k).

    `proof` keeps SYN, FIN and RST, every segment with window 0, and every segment without payload; `full` keeps all.
    On `lo` each frame passes twice, as sent and as received: with `loopback` only the received one is kept.
    """
    ops = [
        *([_Op(LD_W, SKF_AD_PKTTYPE), _Op(JEQ, PACKET_OUTGOING, "drop")] if loopback else []),
        _Op(LD_H, 12),
        _Op(JEQ, ETHERTYPE_IPV4, "ipv4"),
        _Op(JEQ, ETHERTYPE_IPV6, "ipv6", "drop"),
        _Op(LD_B, 23, label="ipv4"),
        _Op(JEQ, socket.IPPROTO_TCP, "", "drop"),
        _Op(LD_H, 20),
        _Op(JSET, 0x1FFF, "drop"),  # a later fragment has no TCP header
        _Op(LD_H, 16),
        _Op(ST_M, 0),  # M[0]: bytes of the whole IP packet
        _Op(LDX_MSH, 14),  # X: bytes of the IP header
        _Op(JSET, 0, "", "tcp"),
        _Op(LD_B, 20, label="ipv6"),
        _Op(JEQ, socket.IPPROTO_TCP, "", "drop"),
        _Op(LD_H, 18),
        _Op(ADD_K, 40),
        _Op(ST_M, 0),
        _Op(LDX_IMM, 40),
        _Op(LD_H_X, 14, label="tcp"),
        _Op(JEQ, port, "port"),
        _Op(LD_H_X, 16),
        _Op(JEQ, port, "port", "drop"),
        *_wanted(mode),
        _Op(RET, snaplen, label="keep"),
        _Op(RET, 0, label="drop"),
    ]
    return _assemble(ops)


def _wanted(mode: CaptureMode) -> list[_Op]:
    if mode is CaptureMode.FULL:
        return [_Op(JSET, 0, "", "keep", label="port")]
    return [
        _Op(LD_B_X, 27, label="port"),
        _Op(JSET, 0x07, "keep"),  # FIN, SYN, RST
        _Op(LD_H_X, 28),
        _Op(JEQ, 0, "keep"),  # window
        _Op(LD_B_X, 26),
        _Op(AND_K, 0xF0),
        _Op(RSH_K, 2),  # bytes of the TCP header
        _Op(ADD_X),
        _Op(ST_M, 1),
        _Op(LDX_M, 1),
        _Op(LD_M, 0),
        _Op(SUB_X),
        _Op(JEQ, 0, "keep", "drop"),  # payload
    ]


def _assemble(ops: list[_Op]) -> list[tuple[int, int, int, int]]:
    at = {op.label: index for index, op in enumerate(ops) if op.label}

    def jump(label: str, index: int) -> int:
        return at[label] - index - 1 if label else 0

    return [(op.code, jump(op.true, i), jump(op.false, i), op.k) for i, op in enumerate(ops)]
