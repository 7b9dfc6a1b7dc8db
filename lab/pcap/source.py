"""The bytes of a capture: from a file, plain or compressed with gzip or zstd, or from standard input.

A capture is read twice: to find the connections that matter, and to follow those. So standard input is first copied to
a temporary file, on disk, not in memory.
"""

import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from lab.errors import BadInputError

STDIN = Path("-")

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"

LARGEST_ZSTD_WINDOW = 128 << 20
"""Bytes: the window of `zstd --long`, and the maximum of memory that a file may ask for."""

ZSTD_PIECE = 512
"""Bytes given to zstd at a time: 4 of them may expand to 128 KiB, which come all at once."""


class CaptureSource:
    """An open capture. `read_into` fills a buffer; `skip_to` goes to an offset of the uncompressed bytes."""

    def __init__(self, path: Path, raw: BinaryIO) -> None:
        self.path = path
        self._raw = raw
        raw.seek(0, 2)
        self.size = raw.tell()
        """Bytes on disk."""
        self.rewind()

    def rewind(self) -> None:
        self._raw.seek(0)
        magic = self._raw.read(4)
        self._raw.seek(0)
        self.offset = 0
        self.compressed = magic[:2] == GZIP or magic == ZSTD
        if magic[:2] == GZIP:
            self._stream: _Decompressed | BinaryIO = _Decompressed(self._raw, _gzip, 1 << 16)
        elif magic == ZSTD:
            self._stream = _Decompressed(self._raw, _zstd, ZSTD_PIECE)
        else:
            self._stream = self._raw

    def done(self) -> int:
        """How many of the bytes on disk have been read."""
        return self._raw.tell()

    def read_into(self, room: memoryview) -> int:
        """Returns the number of bytes read: fewer than there is room for only at the end. Raises BrokenError."""
        filled = 0
        try:
            while filled < len(room):
                count = self._stream.readinto(room[filled:])  # type: ignore[union-attr]
                if not count:
                    break
                filled += count
                self.offset += count
        except BrokenError as error:
            raise BrokenError(filled, str(error)) from None
        except OSError as error:
            raise BrokenError(filled, error.strerror or str(error)) from None
        return filled

    def skip_to(self, offset: int) -> None:
        if not self.compressed:
            self._raw.seek(offset)
            self.offset = offset
            return
        scratch = memoryview(bytearray(1 << 20))
        while self.offset < offset and self.read_into(scratch[: offset - self.offset]):
            pass


class BrokenError(Exception):
    """The source gave `filled` more bytes, and then failed."""

    def __init__(self, filled: int, why: str) -> None:
        super().__init__(why)
        self.filled = filled


@contextmanager
def opened(path: Path) -> Iterator[CaptureSource]:
    """The capture at `path`, `-` for standard input. Raises BadInputError."""
    with ExitStack() as stack:
        try:
            if path == STDIN:
                raw: BinaryIO = stack.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(sys.stdin.buffer, raw, 1 << 20)
            else:
                raw = stack.enter_context(path.open("rb"))
            source = CaptureSource(path, raw)
        except OSError as error:
            raise BadInputError(f"cannot read {path}: {error.strerror}") from None
        yield source


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


class _Decompressed:
    """A decompressed stream; one gzip member or zstd frame may follow another."""

    def __init__(self, raw: BinaryIO, start: Callable[[], _Decompressor], piece: int) -> None:
        self._raw, self._start, self._piece = raw, start, piece
        self._frame: _Decompressor | None = None
        self._compressed = b""
        self._ready = memoryview(b"")

    def readinto(self, room: memoryview) -> int:
        while not self._ready:
            if not self._compressed:
                self._compressed = self._raw.read(self._piece)
            if not self._compressed:
                if self._frame is not None:
                    raise BrokenError(0, "the compressed file is cut short")
                return 0
            self._ready = memoryview(self._decompress())
        count = min(len(room), len(self._ready))
        room[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _decompress(self) -> bytes:
        frame = self._frame or self._start()
        try:
            data = frame.decompress(self._compressed)
        except Exception as error:
            # zlib.error, or the error of zstandard, which is not imported only to name it.
            if type(error).__name__ not in ("error", "ZstdError"):
                raise
            raise BrokenError(0, f"the compressed file is damaged ({error})") from None
        self._compressed = frame.unused_data if frame.eof else b""
        self._frame = None if frame.eof else frame
        return data


def _gzip() -> _Decompressor:
    return zlib.decompressobj(zlib.MAX_WBITS | 16)


def _zstd() -> _Decompressor:
    import zstandard  # noqa: PLC0415 - only where a file needs it

    return zstandard.ZstdDecompressor(max_window_size=LARGEST_ZSTD_WINDOW).decompressobj()
