"""What will read the pair lies where no table of its owner shows it: in a queue, or in a ring of another process."""

import ctypes
import mmap
import os
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import replace

from tests.corpus.case import LATE_S, LATER_S, Case, Truth, accepting, connecting
from tests.corpus.cases.hidden import LIBC
from tests.corpus.cases.uring import SETUP, SQE_SIZE, Ring
from tests.corpus.programs import echo, read_all, write_only

CLONE_NEWNET = 0x40000000
NO_MMAP, NO_SQARRAY = 1 << 14, 1 << 16
OP_TIMEOUT, OP_RECV, LINKED, TIMEOUT_IS_SUCCESS = 11, 27, 1 << 2, 1 << 5
PAGE = 4096


def in_a_queue_of_new_connections(connection: socket.socket, abroad: bool) -> None:
    """It lies in a Unix connection that nobody has accepted yet; the other end of that is closed already."""
    if abroad:
        assert LIBC.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("")
    listener.listen(1)
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(listener.getsockname())
        socket.send_fds(other, [b"!"], [connection.fileno()])
        if os.fork() == 0:
            connection.close()
            other.close()
            time.sleep(LATE_S)
            _, (fd, *_), _, _ = socket.recv_fds(listener.accept()[0], 1, 1)
            read_all(socket.socket(fileno=fd))
    listener.close()
    write_only(connection)


def _reads_late(connection: socket.socket, room: ctypes.Array[ctypes.c_char]) -> tuple[bytes, bytes]:
    """Two requests: a timer, and a receive after it."""
    limit = ctypes.create_string_buffer(struct.pack("=2q", int(LATE_S), 0), 16)
    _kept.append(limit)
    timer = struct.pack("=BBHiQQII", OP_TIMEOUT, LINKED, 0, -1, 0, ctypes.addressof(limit), 1, TIMEOUT_IS_SUCCESS)
    receive = struct.pack("=BBHiQQII", OP_RECV, 0, 0, connection.fileno(), 0, ctypes.addressof(room), len(room), 0)
    return timer.ljust(SQE_SIZE, b"\0"), receive.ljust(SQE_SIZE, b"\0")


_kept: list[object] = []
"""What the kernel reads or writes later."""


def ring_of_a_child(connection: socket.socket) -> None:
    """Requests lie in a ring of which this process has neither descriptor nor mapping any more; its child has one."""
    ring, room = Ring(), ctypes.create_string_buffer(1 << 16)
    if os.fork() == 0:
        connection.close()
        time.sleep(60)
    for at, request in enumerate(_reads_late(connection, room)):
        ring._requests[at * SQE_SIZE : (at + 1) * SQE_SIZE] = request
        struct.pack_into("=I", ring._ring, ring._array + 4 * at, at)
    struct.pack_into("=I", ring._ring, ring._tail, 2)
    ring._call(426, ring.fd, 2, 0, 0, None, 0)
    ring._ring.close()
    ring._requests.close()
    os.close(ring.fd)
    write_only(connection)


def ring_in_own_memory(connection: socket.socket) -> None:
    """IORING_SETUP_NO_MMAP (Linux 6.5): no mapping of it shows, but a descriptor does."""
    pages = [mmap.mmap(-1, PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE) for _ in range(2)]
    rings, requests = pages
    at = [ctypes.addressof(ctypes.c_char.from_buffer(each)) for each in pages]
    parameters = ctypes.create_string_buffer(120)
    struct.pack_into("=I", parameters, 8, NO_MMAP | NO_SQARRAY)
    struct.pack_into("=Q", parameters, 72, at[1])
    struct.pack_into("=Q", parameters, 112, at[0])
    fd = LIBC.syscall(SETUP, 8, parameters)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    room = ctypes.create_string_buffer(1 << 16)
    requests[: 2 * SQE_SIZE] = b"".join(_reads_late(connection, room))
    (tail,) = struct.unpack_from("=I", parameters, 44)
    struct.pack_into("=I", rings, tail, 2)
    assert LIBC.syscall(426, fd, 2, 0, 0, None, 0) == 2, os.strerror(ctypes.get_errno())
    write_only(connection)


def _case(name: str, summary: str, client: Callable[..., None], named: str = "", **options: object) -> Case:
    case = Case(name, summary, Truth.LATER, accepting(echo), connecting(client, **options), watch_s=LATER_S)
    return replace(case, grades=frozenset({"qualified"}), named=named) if named else case


IN_FLIGHT = "in no table"

CASES = (
    _case("in-a-new-connection", "It lies in a queue.", in_a_queue_of_new_connections, IN_FLIGHT, abroad=False),
    _case("in-a-connection-abroad", "Of another namespace.", in_a_queue_of_new_connections, IN_FLIGHT, abroad=True),
    _case("ring-of-a-child", "Requests lie in a ring that a child has.", ring_of_a_child, "io_uring of process"),
    _case("ring-in-own-memory", "A ring of which no mapping shows.", ring_in_own_memory),
)
