"""Nothing but the deadlock itself: both sides write, neither reads, in every plain way to write."""

import os
import socket
import tempfile
from typing import NoReturn

from tests.corpus.case import ADDRESSES, DEFAULT, Case, Truth, accepting, connecting
from tests.corpus.programs import echo, upper, write_only, write_then_read


def write_vectors(connection: socket.socket) -> NoReturn:
    while True:
        os.writev(connection.fileno(), [b"a" * 700, b"b" * 300])


def write_messages(connection: socket.socket) -> NoReturn:
    while True:
        connection.sendmsg([b"a" * 700, b"b" * 300])


def send_file(connection: socket.socket) -> NoReturn:
    with tempfile.TemporaryFile() as file:
        file.truncate(1 << 20)
        while True:
            os.sendfile(connection.fileno(), file.fileno(), 0, 1 << 20)


def small_buffers(connection: socket.socket) -> None:
    """Options, not sysctls; after connect() they still hold for the sending side."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    write_only(connection)


CASES = (
    Case(
        "upper-squeezed",
        "The published pair: a server that answers each 1024 bytes, a client that writes 16 at a time.",
        Truth.DEADLOCK,
        server=accepting(upper),
        client=connecting(write_only, size=16),
    ),
    Case(
        "upper-default",
        "The same with the kernel's own buffers.",
        Truth.DEADLOCK,
        server=accepting(upper),
        client=connecting(write_only, size=16),
        buffers=DEFAULT,
    ),
    Case(
        "echo-squeezed",
        "An echo in 4096-byte reads; TCP itself moves the last bytes 0.4 s after the seal.",
        Truth.DEADLOCK,
        server=accepting(echo),
        client=connecting(write_only),
    ),
    Case(
        "echo-default",
        "The same with the kernel's own buffers: megabytes in each.",
        Truth.DEADLOCK,
        server=accepting(echo),
        client=connecting(write_only, size=65536),
        buffers=DEFAULT,
    ),
    Case(
        "blast-both-ways",
        "Neither side ever reads.",
        Truth.DEADLOCK,
        server=accepting(write_only, size=4096),
        client=connecting(write_only, size=1000),
    ),
    Case(
        "one-big-write",
        "A client that will read when its 64 MiB are written.",
        Truth.DEADLOCK,
        server=accepting(echo, block=1 << 16),
        client=connecting(write_then_read),
        buffers=DEFAULT,
    ),
    Case(
        "writev-and-sendmsg",
        "Both sides write by vectors.",
        Truth.DEADLOCK,
        server=accepting(write_messages),
        client=connecting(write_vectors),
    ),
    Case(
        "sendfile",
        "The client is blocked in sendfile(2).",
        Truth.DEADLOCK,
        server=accepting(echo),
        client=connecting(send_file),
    ),
    Case(
        "socket-options",
        "Small buffers by SO_SNDBUF and SO_RCVBUF, no sysctls.",
        Truth.DEADLOCK,
        server=accepting(small_buffers),
        client=connecting(small_buffers),
        buffers=DEFAULT,
    ),
    Case(
        "ipv6",
        "Over IPv6.",
        Truth.DEADLOCK,
        server=accepting(echo),
        client=connecting(write_only),
        listen=ADDRESSES["server"][1],
        connect=ADDRESSES["server"][1],
    ),
    Case(
        "server-mapped",
        "The server's socket is AF_INET6, the client's AF_INET.",
        Truth.DEADLOCK,
        server=accepting(echo),
        client=connecting(write_only),
        listen="::",
    ),
    Case(
        "both-mapped",
        "Both sockets are AF_INET6 with v4-mapped addresses, as Java makes them.",
        Truth.DEADLOCK,
        server=accepting(echo),
        client=connecting(write_only),
        listen="::",
        connect=f"::ffff:{ADDRESSES['server'][0]}",
    ),
)
