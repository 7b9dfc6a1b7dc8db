"""The client sends by io_uring: its requests are in no system call, and one of them may be a timer."""

import ctypes
import mmap
import os
import socket
import struct

from tests.corpus.case import LATE_S, LATER_S, Case, Truth, accepting, connecting
from tests.corpus.programs import echo, read_all

SETUP, ENTER = 425, 426
OP_TIMEOUT, OP_SEND = 11, 26
GETEVENTS = 1
OFF_SQES = 0x10000000
SQE_SIZE = 64


class Ring:
    """As much of io_uring(7) as two requests need."""

    def __init__(self, entries: int = 8) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        parameters = ctypes.create_string_buffer(120)
        self.fd = self._call(SETUP, entries, parameters)
        # struct io_uring_params: sq_entries at 0; io_sqring_offsets at 40: head, tail, ring_mask, ring_entries, flags,
        # dropped, array.
        (count,) = struct.unpack_from("=I", parameters)
        _, self._tail, self._mask, _, _, _, self._array = struct.unpack_from("=7I", parameters, 40)
        self._ring = mmap.mmap(self.fd, self._array + 4 * count)
        self._requests = mmap.mmap(self.fd, count * SQE_SIZE, offset=OFF_SQES)

    def _call(self, number: int, *arguments: object) -> int:
        result: int = self._libc.syscall(number, *arguments)
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    def submit(self, operation: int, fd: int, address: int, length: int, flags: int = 0) -> None:
        (tail,) = struct.unpack_from("=I", self._ring, self._tail)
        (mask,) = struct.unpack_from("=I", self._ring, self._mask)
        at = tail & mask
        request = struct.pack("=BBHiQQII", operation, 0, 0, fd, 0, address, length, flags)
        self._requests[at * SQE_SIZE : (at + 1) * SQE_SIZE] = request.ljust(SQE_SIZE, b"\0")
        struct.pack_into("=I", self._ring, self._array + 4 * at, at)
        struct.pack_into("=I", self._ring, self._tail, tail + 1)
        self._call(ENTER, self.fd, 1, 0, 0, None, 0)

    def wait(self) -> None:
        """Until one more request is done."""
        self._call(ENTER, self.fd, 0, 1, GETEVENTS, None, 0)


def send_all(connection: socket.socket, wake_after_s: float | None) -> None:
    """One send of 64 MiB, done when all of it is taken; with `wake_after_s` a timer too, after which it reads."""
    data = ctypes.create_string_buffer(1 << 26)
    ring = Ring()
    ring.submit(OP_SEND, connection.fileno(), ctypes.addressof(data), len(data), socket.MSG_WAITALL)
    if wake_after_s is not None:
        limit = ctypes.create_string_buffer(struct.pack("=2q", int(wake_after_s), 0), 16)
        ring.submit(OP_TIMEOUT, -1, ctypes.addressof(limit), 1)
    ring.wait()
    read_all(connection)


CASES = (
    Case(
        "io-uring-send",
        "Dead, but what a ring holds cannot be seen.",
        Truth.DEADLOCK,
        accepting(echo),
        connecting(send_all, wake_after_s=None),
        grades=frozenset(),
    ),
    Case(
        "io-uring-timer",
        "A timer in the ring, after which the client reads.",
        Truth.LATER,
        accepting(echo),
        connecting(send_all, wake_after_s=LATE_S),
        watch_s=LATER_S,
    ),
)
