"""Pairs that stand for some other reason: nobody wants to write, or one side only, or nothing is left to be read."""

import fcntl
import os
import signal
import socket
import struct
import time

from tests.corpus.case import Case, Truth, accepting, connecting, listening
from tests.corpus.programs import (
    echo,
    echo_slowly,
    read_all,
    read_slowly,
    wait_for_ever,
    wait_to_read,
    write_and_read_slowly,
    write_only,
)

SIOCOUTQ = 0x5411
SND_WND_AT = 228
"""The offset of tcpi_snd_wnd in struct tcp_info (linux/tcp.h)."""


def compute(_: socket.socket) -> None:
    """Is busy with something else."""
    os.nice(19)
    number = 1
    while True:
        number = number * 3 % 1_000_003


def sleep_long(_: socket.socket) -> None:
    time.sleep(1000)


def never_accepts(_: socket.socket) -> None:
    """The connection stays in the listener's queue, where it is nobody's."""
    signal.pause()


def reads_a_pipe(_: socket.socket) -> None:
    """Waits for a pipe that stays empty: for a person at the keyboard, say."""
    out, _into = os.pipe()
    os.read(out, 1)


def sends_no_more(connection: socket.socket) -> None:
    """Half-closed: the request is over, and the answer is not read."""
    connection.sendall(b"x" * 512)
    connection.shutdown(socket.SHUT_WR)
    signal.pause()


def answers_a_lot(connection: socket.socket) -> None:
    """Reads to the end, then writes more than anybody takes."""
    read_all(connection)
    write_only(connection)


def waits_half_closed(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)
    wait_to_read(connection)


def ask_nothing(connection: socket.socket) -> None:
    connection.sendall(b"x" * 100)
    connection.recv(100)
    wait_to_read(connection)


def answer_once(connection: socket.socket) -> None:
    connection.sendall(connection.recv(100))
    wait_to_read(connection)


def fills_exactly(connection: socket.socket, *, first: bool) -> None:
    """Writes until the peer's window is 0 and all is acknowledged: nothing is left to send, and nothing is read.

    With keep-alives each second: on the wire these are probes of a zero window, byte for byte.
    """
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    if not first:
        while _unread(connection) == 0:
            time.sleep(0.01)
        time.sleep(0.5)
    deadline = time.monotonic() + 2
    while (room := _window(connection)) and time.monotonic() < deadline:
        connection.send(b"x" * min(room, 512))
        while _unacknowledged(connection):
            time.sleep(0.002)
    signal.pause()


def _window(connection: socket.socket) -> int:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    (window,) = struct.unpack_from("=I", info, SND_WND_AT)
    return int(window)


def _unread(connection: socket.socket) -> int:
    try:
        return len(connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return 0


def _unacknowledged(connection: socket.socket) -> int:
    (count,) = struct.unpack("=i", fcntl.ioctl(connection, SIOCOUTQ, bytes(4)))
    return int(count)


ONE_SIDED = frozenset({"one-sided-stall"})
SLOW = frozenset({"slow-reader", "one-sided-stall", "moving"})


def _stands(name: str, summary: str, server: object, client: object, *outcomes: str) -> Case:
    return Case(name, summary, Truth.STANDS, server, client, watch_s=4, outcomes=frozenset(outcomes))  # type: ignore[arg-type]


CASES = (
    _stands("idle", "Connected, and nothing to say.", accepting(wait_for_ever), connecting(wait_for_ever), "idle"),
    _stands("read-read", "Both wait to read.", accepting(answer_once), connecting(ask_nothing), "read-read"),
    _stands(
        "server-sleeps",
        "The client is blocked, the server sleeps.",
        accepting(sleep_long),
        connecting(write_only),
        *ONE_SIDED,
    ),
    _stands(
        "server-computes",
        "The client is blocked, the server computes.",
        accepting(compute),
        connecting(write_only),
        *ONE_SIDED,
    ),
    _stands(
        "server-never-accepts",
        "The client is blocked, the connection never accepted.",
        listening(never_accepts),
        connecting(write_only),
        *ONE_SIDED,
    ),
    _stands(
        "server-waits-for-a-person",
        "The client is blocked, the server waits for a pipe.",
        accepting(reads_a_pipe),
        connecting(write_only),
        *ONE_SIDED,
    ),
    _stands(
        "client-sleeps",
        "The server is blocked, the client sleeps.",
        accepting(write_only),
        connecting(sleep_long),
        *ONE_SIDED,
    ),
    _stands(
        "half-closed-blocked",
        "The client has shut its side, and does not read the answer.",
        accepting(answers_a_lot),
        connecting(sends_no_more),
        *ONE_SIDED,
    ),
    _stands(
        "half-closed-waiting",
        "The client has shut its side and waits to read; the server sleeps.",
        accepting(sleep_long),
        connecting(waits_half_closed),
    ),
    Case(
        "windows-exactly-filled",
        "Both windows are filled to the byte, nothing is queued, and keep-alives look like probes.",
        Truth.STANDS,
        accepting(fills_exactly, first=False),
        connecting(fills_exactly, first=True),
        ask_s=2.5,
        watch_s=4,
    ),
    Case(
        "server-reads-slowly",
        "The client is blocked again and again; the server reads 512 bytes each 0.3 s.",
        Truth.MOVES,
        accepting(read_slowly),
        connecting(write_only),
        outcomes=SLOW,
    ),
    Case(
        "slow-echo",
        "A client that writes only, and an echo that takes its time: frozen in the end, not yet.",
        Truth.MOVES,
        accepting(echo_slowly),
        connecting(write_only),
        outcomes=SLOW,
    ),
    Case(
        "slow-client",
        "The client writes all the time, and reads 512 bytes each 0.3 s.",
        Truth.MOVES,
        accepting(echo),
        connecting(write_and_read_slowly),
        outcomes=SLOW,
    ),
)
