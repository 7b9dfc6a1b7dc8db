"""A wait on a socket is ended by more than data, room and a hang-up: by its error queue, by ICMP, by a keep-alive."""

import contextlib
import fcntl
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from tests.corpus.case import DEFAULT, LATE_S, LATER_S, Case, Truth, accepting, connecting
from tests.corpus.cases.begun import polls_beside
from tests.corpus.programs import echo, fill, read_all, write_only

SO_TIMESTAMPING, TX_SCHED, SOFTWARE, OPT_TSONLY, MSG_ERRQUEUE = 37, 1 << 8, 1 << 4, 1 << 11, 0x2000
IP_RECVERR = 11
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, TCP_SEND_QUEUE = 19, 20, 21, 2
SIOCOUTQ, SIOCGIFFLAGS, SIOCSIFFLAGS = 0x5411, 0x8913, 0x8914
QUIET_S = 6.0
"""Whoever is woken after this long has not been woken by room."""


def takes_time_stamps(connection: socket.socket, edge: bool) -> None:
    """Each retransmission of a segment that the peer refuses puts a time stamp into the error queue."""
    connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, TX_SCHED | SOFTWARE | OPT_TSONLY)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)
    time.sleep(1)  # the peer has lowered its buffer, and not its window: it will refuse what is sent
    connection.setblocking(False)
    epoll, last = select.epoll(), time.monotonic()
    epoll.register(connection, select.EPOLLOUT | (select.EPOLLET if edge else 0))
    while True:
        epoll.poll()
        with contextlib.suppress(BlockingIOError):
            while True:
                connection.recvmsg(0, 512, MSG_ERRQUEUE)
        if time.monotonic() > last + QUIET_S:
            break
        with contextlib.suppress(BlockingIOError):
            while True:
                connection.send(b"x" * 1400)
                last = time.monotonic()
    connection.setblocking(True)
    read_all(connection)


def smallest_buffer(connection: socket.socket) -> None:
    """Its window closes before a segment that the sender has sent already."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)
    connection.sendall(bytes(1 << 22))
    read_all(connection)


def _unacknowledged(connection: socket.socket) -> int:
    """Its first sequence number that is not acknowledged, as every router on the way has seen it (TCP_REPAIR)."""
    connection.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    connection.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE)
    last = connection.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ)
    connection.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, -1)
    queued = int.from_bytes(fcntl.ioctl(connection, SIOCOUTQ, bytes(4)), sys.byteorder)
    return (last - queued) & 0xFFFFFFFF


def _unreachable(connection: socket.socket, number: int) -> Callable[[], object]:
    """What a router sends that does not reach the peer any more: the beginning of the segment, behind eight bytes."""
    (here, port, *_), (there, other, *_) = connection.getsockname(), connection.getpeername()
    segment = struct.pack("!HHI", port, other, number)
    packet = struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, socket.IPPROTO_TCP, 0)
    packet += socket.inet_aton(here) + socket.inet_aton(there)
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    message = struct.pack("!BBHI", 3, 1, 0, 0) + packet + segment
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    total = (total >> 16) + (total & 0xFFFF)
    message = message[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + message[4:]
    return lambda: raw.sendto(message, (here, 0))


def hears_of_icmp(connection: socket.socket, polls: bool) -> None:
    """IP_RECVERR makes an error of the socket of what a router says. A full buffer is no hindrance."""
    connection.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    fill(connection)
    tell = _unreachable(connection, _unacknowledged(connection))
    if os.fork() == 0:
        connection.close()
        time.sleep(LATE_S)
        tell()
        time.sleep(60)
    if polls:
        poll = select.poll()
        poll.register(connection, select.POLLOUT)
        while not poll.poll()[0][1] & select.POLLERR:
            fill(connection)
    else:
        with contextlib.suppress(OSError):
            write_only(connection)
    read_all(connection)


def asks_in_vain(connection: socket.socket) -> None:
    """A second connection, idle, has a path no more: its keep-alives end it, and wake who polls it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        idle = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    fill(connection)
    idle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 4), (socket.TCP_KEEPCNT, 3)):
        idle.setsockopt(socket.IPPROTO_TCP, option, value)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("=16sh14x", b"lo", 0))
    polls_beside(connection, idle.fileno(), other.close)


def _case(name: str, summary: str, client: Callable[..., None], **options: object) -> Case:
    return Case(name, summary, Truth.LATER, accepting(echo), connecting(client, **options), watch_s=LATER_S)


def _stamped(name: str, summary: str, edge: bool) -> Case:
    case = _case(name, summary, takes_time_stamps, edge=edge)
    return replace(case, server=accepting(smallest_buffer), buffers=DEFAULT, ask_s=3.0)


CASES = (
    _stamped("time-stamps-wake-a-poll", "Time stamps of its own retransmissions wake it.", edge=False),
    _stamped("time-stamps-wake-an-edge", "Likewise, edge-triggered.", edge=True),
    _case("icmp-ends-a-send", "IP_RECVERR: a router's word ends a blocked send.", hears_of_icmp, polls=False),
    _case("icmp-wakes-a-poll", "IP_RECVERR: a router's word wakes a poll.", hears_of_icmp, polls=True),
    replace(
        _case("keep-alive-unanswered", "Keep-alives end a connection that is polled too.", asks_in_vain), ask_s=4.0
    ),
)
