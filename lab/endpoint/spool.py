"""A queue of bytes, first in, first out: up to a limit they are in memory, the rest is in a file."""

import os
import tempfile
from collections import deque
from types import TracebackType

IN_MEMORY = 1 << 20
"""Bytes; beyond it the file takes over."""

PIECE = 1 << 16
"""Bytes that go out in one call, even if they came in small. A reader's kernel charges each small segment with its own
overhead. Flooded with small segments, it takes back window that it has offered. It drops what comes beyond the window
and, since Linux 6.17, the acknowledgments in it. Then its own data are never acknowledged, and nothing moves although
this server reads.
"""


class Spool:
    """What was put in comes out in the same order. The file is made when it is needed, and has no name."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._in_memory = in_memory
        self._pieces: deque[bytearray] = deque()
        self.held_bytes = 0
        self._offset = 0
        self._file: int | None = None
        self._read_at = self._write_at = 0

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            os.close(self._file)

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def put(self, data: bytes) -> None:
        spilled = self._write_at > self._read_at
        if not spilled and (not self._pieces or self.held_bytes + len(data) <= self._in_memory):
            if self._pieces and len(self._pieces[-1]) + len(data) <= PIECE:
                self._pieces[-1] += data
            else:
                self._pieces.append(bytearray(data))
            self.held_bytes += len(data)
            return
        if self._file is None:
            self._file = nameless_file()
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file, view, self._write_at)
            self._write_at += written
            view = view[written:]

    def front(self) -> memoryview:
        """What goes out next."""
        return memoryview(self._pieces[0])[self._offset :]

    def drop(self, count: int) -> None:
        """This many bytes of the front have gone out."""
        self._offset += count
        if self._offset < len(self._pieces[0]):
            return
        self._offset = 0
        self.held_bytes -= len(self._pieces.popleft())
        if not self._pieces and self._file is not None and self._read_at < self._write_at:
            piece = os.pread(self._file, min(PIECE, self._write_at - self._read_at), self._read_at)
            self._read_at += len(piece)
            self._pieces.append(bytearray(piece))
            self.held_bytes += len(piece)
            if self._read_at == self._write_at:
                os.ftruncate(self._file, 0)
                self._read_at = self._write_at = 0


def nameless_file() -> int:
    """A descriptor of a file on disk; in memory if no folder is writable, as in a read-only container."""
    try:
        with tempfile.TemporaryFile(buffering=0) as file:
            return os.dup(file.fileno())
    except OSError:
        return os.memfd_create("spool")
