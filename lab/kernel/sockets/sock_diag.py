"""Asks the kernel for sockets of a network namespace: one TCP socket by its addresses, in 10 us, or all of a kind.

pyroute2 0.9 can only dump, lacks tcpi_rcv_wnd and mixes up the window scales; hence this reader.
Layouts: linux/inet_diag.h, linux/unix_diag.h, linux/sock_diag.h, linux/tcp.h; all in host byte order but the ports and
addresses.
"""

import errno
import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from lab.errors import TestbedError
from lab.evidence import SocketSample
from lab.kernel.place.netns import Namespace
from lab.kernel.sockets.netlink import NLM_F_REQUEST, NLMSG, NLMSG_ERROR, attributes_of, error_of, opened
from lab.spec import Role
from lab.tcp.address import port

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_DUMP, NLM_F_DUMP_INTR, NLMSG_DONE = 0x300, 0x10, 3
INET_DIAG_INFO, INET_DIAG_CONG, INET_DIAG_SKMEMINFO, INET_DIAG_ULP_INFO = 2, 4, 7, 19
INET_ULP_INFO_NAME = 1
EXTENSIONS = 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_CONG - 1) | 1 << (INET_DIAG_SKMEMINFO - 1)
NO_COOKIE = b"\xff" * 8
LISTEN, TIME_WAIT, SYN_SENT, SYN_RECV, REQUEST_SOCK = 10, 6, 2, 3, 12
ESTABLISHED, CLOSE_WAIT = 1, 8
WITH_A_FILE = 0xFFFFFFFF & ~(1 << TIME_WAIT | 1 << REQUEST_SOCK)
"""The states that a dump asks for. A socket in TIME-WAIT, or one not yet accepted, belongs to no program."""
UDIAG_SHOW_PEER, UNIX_DIAG_PEER = 4, 2
DUMP_ATTEMPTS = 5
"""If the table changes during a dump, the dump is repeated, at most so often."""
DUMP_BYTES = 1 << 18
ANSWER_BYTES = 1024
SEND_QUEUE, NOTHING_TO_SEND = 76, bytes(4)
"""The offset of idiag_wqueue in an answer; an error message has part of an address there."""
TOGETHER = 32
"""Questions in one datagram. All answers must fit the receive buffer: the kernel charges 1.3 KiB for each."""

STATES = {
    1: "ESTABLISHED",
    2: "SYN-SENT",
    3: "SYN-RECEIVED",
    4: "FIN-WAIT-1",
    5: "FIN-WAIT-2",
    6: "TIME-WAIT",
    7: "CLOSED",
    8: "CLOSE-WAIT",
    9: "LAST-ACK",
    10: "LISTEN",
    11: "CLOSING",
    12: "SYN-RECEIVED",
}
TIMERS = {0: "none", 1: "on", 2: "keepalive", 3: "timewait", 4: "persist"}

_MESSAGE = struct.Struct("=4B4s32sI8s5I")  # state timer retrans; ports, addresses, interface, cookie; five counters
_TCP_INFO = struct.Struct("=8B24I4Q6I4Q2I2Q6I")  # up to tcpi_rehash; an older kernel sends less
_SKMEMINFO = struct.Struct("=9I")
_QUEUES = struct.Struct("=56x2I")  # idiag_rqueue and idiag_wqueue of an inet_diag_msg
_INODE = struct.Struct("=68xI")  # idiag_inode
_ACKED_RECEIVED = struct.Struct("=120x2Q")  # tcpi_bytes_acked and tcpi_bytes_received


@dataclass(frozen=True, slots=True)
class TcpEntry:
    """A TCP socket as a dump lists it; addresses are `ip:port`."""

    inode: int
    cookie: int
    local: str
    remote: str
    listens: bool
    interface: int = 0
    """The index of the interface that it is bound to (SO_BINDTODEVICE, IPv6 link-local); 0: none."""
    established: bool = False
    """Both ends know of it, and its own program, if any, has not ended its side. Without an inode: not yet accepted."""


Motion = tuple[int, tuple[int, int], tuple[int, int]]
"""The inode, `app_progress` and `tcp_progress` of a SocketSample. Bytes that move change one of them; a socket that its
program has closed has no inode any more."""


@dataclass(frozen=True, slots=True)
class UnixEntry:
    """A Unix socket; `peer` is the inode of the one that it is connected to."""

    inode: int
    listens: bool
    peer: int | None
    datagrams: bool


class SocketDiag:
    """Asks for sockets of one network namespace, over a netlink socket in it. Close it."""

    def __init__(self, namespace: Namespace) -> None:
        self._netlink = opened(namespace, NETLINK_SOCK_DIAG)
        self._answer = bytearray(ANSWER_BYTES)
        self._sequence = 0

    def close(self) -> None:
        self._netlink.close()

    def sample(
        self, role: Role | None, local: str, remote: str, cookie: int | None = None, interface: int = 0
    ) -> SocketSample | None:
        """The TCP socket with this local and this remote address (`ip:port`); None if there is none.

        With a cookie, from an earlier sample, only that socket is meant. A socket in TIME-WAIT counts as none: it has
        no buffers and no program any more.
        """
        now = time.time_ns()
        reply = self._ask(local, remote, interface, NO_COOKIE if cookie is None else struct.pack("=Q", cookie))
        return None if reply is None else _parse(reply, role, now)

    def answers(self, questions: Sequence[bytes]) -> list[bytes]:
        """One answer for each question, in their order. The kernel answers before send(2) returns: 3 us each."""
        try:
            self._netlink.send(b"".join(questions))
            return [self._netlink.recv(ANSWER_BYTES) for _ in questions]
        except OSError as error:
            raise _silent(error) from None

    def any_sends(self, questions: bytes, number: int) -> bool:
        """Whether one of so many sockets has data to send; a socket that is gone may count as one.

        This runs fifty times a second, with cold caches. It touches little memory, and is twice as fast as `answers`.
        """
        netlink, answer, found = self._netlink, self._answer, False
        try:
            netlink.send(questions)
            for _ in range(number):
                netlink.recv_into(answer)
                if not answer.startswith(NOTHING_TO_SEND, SEND_QUEUE):
                    found = True
        except OSError as error:
            raise _silent(error) from None
        return found

    def samples(self) -> list[SocketSample]:
        """All TCP sockets of the namespace but listening ones, IPv4 and IPv6: 9 us each."""
        now = time.time_ns()
        replies = self._tcp(EXTENSIONS, WITH_A_FILE & ~(1 << LISTEN))
        return [sample for sample in (_parse(reply, None, now) for reply in replies) if sample is not None]

    def entries(self) -> list[TcpEntry]:
        """All TCP sockets of the namespace that a program has, listening ones too: 4 us each."""
        return [_entry(reply) for reply in self._tcp(0, WITH_A_FILE)]

    def requested_ports(self) -> set[int]:
        """The local ports to which a connection has begun that is not yet established: 50 us with no such request."""
        return {port(_entry(reply).local) for reply in self._tcp(0, 1 << SYN_RECV | 1 << REQUEST_SOCK)}

    def called_ports(self) -> set[int]:
        """The remote ports to which a program here opens a connection that nobody has answered yet (SYN-SENT)."""
        return {port(_entry(reply).remote) for reply in self._tcp(0, 1 << SYN_SENT)}

    def unix_entries(self) -> list[UnixEntry]:
        """All Unix sockets of the namespace. Of a peer in another namespace only the inode is known."""
        request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, UDIAG_SHOW_PEER, 0xFFFFFFFF, 0xFFFFFFFF)
        return [_unix_entry(reply) for reply in self._dump(request)]

    def _tcp(self, extensions: int, states: int) -> list[bytes]:
        """One dump for each family. A socket with v4-mapped addresses is in the dump of IPv6."""
        replies = []
        for family in (socket.AF_INET, socket.AF_INET6):
            request = struct.pack("=BBBxI48x", family, socket.IPPROTO_TCP, extensions, states)
            replies += self._dump(request)
        return replies

    def _ask(self, local: str, remote: str, interface: int, cookie: bytes) -> bytes | None:
        self._send(_request(local, remote, interface, EXTENSIONS) + cookie, NLM_F_REQUEST)
        while True:
            reply = self._receive(8192)
            if NLMSG.unpack_from(reply)[3] == self._sequence:
                return _checked(reply)

    def _dump(self, request: bytes) -> list[bytes]:
        """All messages of one dump (netlink(7)); again if the table changed meanwhile (NLM_F_DUMP_INTR)."""
        replies: list[bytes] = []
        for _ in range(DUMP_ATTEMPTS):
            replies, interrupted = self._dump_once(request)
            if not interrupted:
                break
        return replies

    def _dump_once(self, request: bytes) -> tuple[list[bytes], bool]:
        self._send(request, NLM_F_REQUEST | NLM_F_DUMP)
        replies: list[bytes] = []
        interrupted = False
        while True:
            block = self._receive(DUMP_BYTES)
            for message in _messages(block):
                _, kind, flags, sequence, _ = NLMSG.unpack_from(message)
                if sequence != self._sequence:
                    continue
                interrupted |= bool(flags & NLM_F_DUMP_INTR)
                if kind == NLMSG_DONE:
                    return replies, interrupted
                if kind == NLMSG_ERROR:
                    raise TestbedError(f"sock_diag refuses the dump: {os.strerror(error_of(message))}")
                replies.append(message)

    def _send(self, request: bytes, flags: int) -> None:
        self._sequence += 1
        header = NLMSG.pack(NLMSG.size + len(request), SOCK_DIAG_BY_FAMILY, flags, self._sequence, 0)
        try:
            self._netlink.send(header + request)
        except OSError as error:
            raise _silent(error) from None

    def _receive(self, size: int) -> bytes:
        try:
            return self._netlink.recv(size)
        except OSError as error:
            raise _silent(error) from None


def _silent(error: OSError) -> TestbedError:
    why = "timed out" if error.errno == errno.EAGAIN else error.strerror or error
    return TestbedError(f"sock_diag does not answer: {why}")


def question(entry: TcpEntry, *, tell_motion: bool = False) -> bytes:
    """A question about one socket, header included: it can be sent again and again."""
    extensions = 1 << (INET_DIAG_INFO - 1) if tell_motion else 0
    request = _request(entry.local, entry.remote, entry.interface, extensions) + struct.pack("=Q", entry.cookie)
    return NLMSG.pack(NLMSG.size + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0) + request


@dataclass(frozen=True, slots=True)
class Located:
    """A TCP socket, and the SocketDiag of its namespace."""

    diag: SocketDiag
    entry: TcpEntry


@lru_cache(maxsize=4096)
def _request(local: str, remote: str, interface: int, extensions: int) -> bytes:
    """The request for one socket, without its cookie."""
    (source, sport), (destination, dport) = split_address(local), split_address(remote)
    family = socket.AF_INET if len(source) == 4 else socket.AF_INET6
    request = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, extensions, 0xFFFFFFFF)
    request += struct.pack(">HH", sport, dport) + source.ljust(16, b"\0") + destination.ljust(16, b"\0")
    return request + struct.pack("=I", interface)


def _messages(block: bytes) -> Iterator[bytes]:
    offset = 0
    while offset + NLMSG.size <= len(block):
        length = NLMSG.unpack_from(block, offset)[0]
        yield block[offset : offset + length]
        offset += (length + 3) & ~3


def queues(answer: bytes) -> tuple[int, int] | None:
    """Recv-Q and Send-Q; None if the socket is gone."""
    if _checked(answer) is None:
        return None
    rqueue, wqueue = _QUEUES.unpack_from(answer, NLMSG.size)
    return rqueue, wqueue


def motion(answer: bytes) -> Motion | None:
    """What a question with `tell_motion` asks for; None if the socket is gone."""
    now = queues(answer)
    if now is None:
        return None
    rqueue, wqueue = now
    information = dict(attributes_of(answer, NLMSG.size + _MESSAGE.size)).get(INET_DIAG_INFO)
    if information is None:
        return None
    acked, received = _ACKED_RECEIVED.unpack_from(information)
    (inode,) = _INODE.unpack_from(answer, NLMSG.size)
    return inode, (acked + wqueue, received - rqueue), (acked, received)


def _checked(reply: bytes) -> bytes | None:
    """The answer about one socket; None if there is no such socket."""
    if NLMSG.unpack_from(reply)[1] != NLMSG_ERROR:
        return reply
    code = error_of(reply)
    if code in (errno.ENOENT, errno.ESTALE):
        return None
    raise TestbedError(f"inet_diag refuses the lookup: {os.strerror(code)}")


def _entry(reply: bytes) -> TcpEntry:
    family, state, _, _, ports, addresses, interface, cookie, *rest = _MESSAGE.unpack_from(reply, NLMSG.size)
    local, remote = _addresses(family, ports, addresses)
    return TcpEntry(
        rest[-1],
        int.from_bytes(cookie, "little"),
        local,
        remote,
        state == LISTEN,
        interface,
        state in (ESTABLISHED, CLOSE_WAIT),
    )


def _unix_entry(reply: bytes) -> UnixEntry:
    _, kind, state, inode = struct.unpack_from("=3BxI", reply, NLMSG.size)
    attributes = dict(attributes_of(reply, NLMSG.size + 16))
    peer = attributes.get(UNIX_DIAG_PEER)
    found = None if peer is None else int(struct.unpack("=I", peer)[0])
    return UnixEntry(inode, state == LISTEN, found, kind == socket.SOCK_DGRAM)


def _addresses(family: int, ports: bytes, addresses: bytes) -> tuple[str, str]:
    sport, dport = struct.unpack(">HH", ports)
    size = 4 if family == socket.AF_INET else 16
    return join_address(addresses[:size], sport), join_address(addresses[16 : 16 + size], dport)


def split_address(text: str) -> tuple[bytes, int]:
    """`ip:port` or `[ip]:port` as packed address and port."""
    host, _, port = text.rpartition(":")
    return ip_address(host.strip("[]")).packed, int(port)


@lru_cache(maxsize=4096)
def join_address(packed: bytes, port: int) -> str:
    """The reverse, as in the JSON contract: IPv6 as `[ip]:port`.

    A v4-mapped address (RFC 4291, 2.5.5.2) is written as IPv4, which it is for the peer and on the wire.
    """
    address = ip_address(packed)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"


def _parse(reply: bytes, role: Role | None, now_ns: int) -> SocketSample | None:
    family, state, timer, retrans, ports, addresses, _, cookie, *rest = _MESSAGE.unpack_from(reply, NLMSG.size)
    expires, rqueue, wqueue, _, inode = rest
    attributes = dict(attributes_of(reply, NLMSG.size + _MESSAGE.size))
    if INET_DIAG_INFO not in attributes or INET_DIAG_SKMEMINFO not in attributes:
        return None
    raw = attributes[INET_DIAG_INFO]
    (
        _, ca_state, _, probes, backoff, _, scales, _,
        rto, _, snd_mss, rcv_mss, unacked, _, _, _, _, last_data_sent, _, last_data_recv, last_ack_recv,
        _, _, rtt, rttvar, _, snd_cwnd, advmss, reordering, _, _, _,
        pacing_rate, _, bytes_acked, bytes_received, _, segs_in, notsent_bytes, _, _, _,
        _, _, _, _, _, _, _, _, _, _, _, snd_wnd, rcv_wnd, _,
    ) = _TCP_INFO.unpack_from(raw.ljust(_TCP_INFO.size, b"\0"))  # fmt: skip
    rmem_alloc, rcvbuf, _, sndbuf, _, wmem_queued, _, backlog, drops = _SKMEMINFO.unpack_from(
        attributes[INET_DIAG_SKMEMINFO]
    )
    congestion = attributes.get(INET_DIAG_CONG)
    local, remote = _addresses(family, ports, addresses)
    return SocketSample(
        time_ns=now_ns,
        role=role,
        cookie=int.from_bytes(cookie, "little"),
        inode=inode,
        local=local,
        remote=remote,
        state=STATES[state],
        timer=TIMERS.get(timer, str(timer)),
        expires_ms=expires,
        rqueue=rqueue,
        wqueue=wqueue,
        backoff=backoff,
        probes=max(probes, retrans if timer == 4 else 0),
        unacked=unacked,
        notsent_bytes=notsent_bytes,
        bytes_acked=bytes_acked,
        bytes_received=bytes_received,
        snd_wnd=snd_wnd if len(raw) >= _SND_WND_END else None,
        rcv_wnd=rcv_wnd if len(raw) >= _RCV_WND_END else None,
        snd_mss=snd_mss,
        rcv_mss=rcv_mss,
        snd_cwnd=snd_cwnd,
        reordering=reordering,
        rto_us=rto,
        rtt_us=rtt,
        rttvar_us=rttvar,
        last_data_sent_ms=last_data_sent,
        last_ack_recv_ms=last_ack_recv,
        rmem_alloc=rmem_alloc,
        rcvbuf=rcvbuf,
        sndbuf=sndbuf,
        wmem_queued=wmem_queued,
        backlog=backlog,
        drops=drops,
        rcv_wscale=scales >> 4,  # tcpi_snd_wscale is the lower half, where bit-fields begin at the low end
        congestion=congestion.rstrip(b"\0").decode() if congestion is not None else None,
        advmss=advmss,
        ca_state=ca_state,
        pacing_rate=pacing_rate,
        segs_in=segs_in,
        last_data_recv_ms=last_data_recv,
        ulp=_ulp(attributes.get(INET_DIAG_ULP_INFO)),
    )


def _ulp(nested: bytes | None) -> str | None:
    """The name in a nested attribute. The kernel adds it unasked if the socket has an upper layer protocol."""
    if nested is None:
        return None
    size, kind = struct.unpack_from("=HH", nested)
    return nested[4:size].rstrip(b"\0").decode() if kind & 0x3FFF == INET_ULP_INFO_NAME else "something"


_SND_WND_END = _TCP_INFO.size - 8
_RCV_WND_END = _TCP_INFO.size - 4
