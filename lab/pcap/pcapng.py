"""Writes frames to pcapng as they come: that format has nanoseconds, and a comment for each packet.

Format: draft-ietf-opsawg-pcapng. A file always ends with a whole block: only whole blocks are written, and a block that
a full disk has cut is removed.
"""

import os
import platform
import struct
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from itertools import count
from pathlib import Path

from lab.errors import StoreError
from lab.tcp.frame import Frame

ETHERNET = 1
"""LINKTYPE_ETHERNET of the registry at tcpdump.org."""

NANOSECONDS = b"\x09"
"""if_tsresol: times count 10^-9 s."""

BYTE_ORDER = 0x1A2B3C4D
"""The magic number of a section header, in the byte order of its section."""


class Block(IntEnum):
    SECTION = 0x0A0D0D0A
    INTERFACE = 1
    OBSOLETE_PACKET = 2
    SIMPLE_PACKET = 3
    PACKET = 6


END, COMMENT, HARDWARE, SYSTEM, APPLICATION, NAME, RESOLUTION = 0, 1, 2, 3, 4, 2, 9
"""Option codes: opt_endofopt, opt_comment, shb_hardware, shb_os, shb_userappl, if_name, if_tsresol."""

TAIL = 8 << 20
"""A frame can be given a comment later if it starts within this many bytes before the end of the file."""

_PACKET = struct.Struct("<7I")
"""Type, length, interface, time (high, low), captured, wire."""
_LENGTH = struct.Struct("<I")
_AROUND = _PACKET.size + _LENGTH.size
_IS_PACKET = int(Block.PACKET)


class Writer:
    """A capture file that grows as frames come. Before it exceeds `size` bytes, it continues in `wire.1.pcapng`."""

    def __init__(self, path: Path, interface: str, snaplen: int = 0, size: int | None = None) -> None:
        """`snaplen`: frames were cut at this many bytes; 0: not at all. Raises StoreError."""
        self._path, self._size = path, size
        self._header = _header(interface, snaplen)
        self.files: list[Path] = []
        self.frames = 0
        """How many are on disk."""
        self._descriptor = -1
        self._end = 0
        self._begin()

    def write(self, frames: Iterable[Frame], comments: Mapping[int, str]) -> None:
        """Appends the frames, with the comments for their numbers. Raises StoreError; the file still ends whole."""
        blocks: list[bytes] = []
        end = self._end
        for frame in frames:
            block = packet(frame, comments.get(frame.number))
            if self._size is not None and end + len(block) > self._size:
                self._append(blocks)
                self._begin()
                blocks, end = [], self._end
            blocks.append(block)
            end += len(block)
        self._append(blocks)

    def remark(self, text: str, chosen: Callable[[Frame], bool]) -> None:
        """Adds a comment to the last frame that is chosen, if one lies within TAIL. Raises StoreError.

        Write nothing afterwards.
        """
        for path in reversed(self.files):
            try:
                if _remark(path, text, chosen):
                    return
            except OSError as error:
                raise StoreError(f"cannot write {path}: {error.strerror}") from None

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _begin(self) -> None:
        self.close()
        path = nth(self._path, len(self.files))
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                _put(self._descriptor, self._header)
            except OSError:
                path.unlink()
                raise
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from None
        self._end = len(self._header)
        self.files.append(path)

    def _append(self, blocks: list[bytes]) -> None:
        data = b"".join(blocks)
        try:
            _put(self._descriptor, data)
        except OSError as error:
            self._take_back(blocks)
            raise StoreError(f"cannot write {self.files[-1]}: {error.strerror}") from None
        self._end += len(data)
        self.frames += len(blocks)

    def _take_back(self, blocks: list[bytes]) -> None:
        """Cuts the file after the last of these blocks that was written whole."""
        there = os.fstat(self._descriptor).st_size
        for block in blocks:
            if self._end + len(block) > there:
                break
            self._end += len(block)
            self.frames += 1
        os.ftruncate(self._descriptor, self._end)


def nth(path: Path, number: int) -> Path:
    """The files of a capture in order: `wire.pcapng`, `wire.1.pcapng`, `wire.2.pcapng` ..."""
    return path.with_suffix(f".{number}{path.suffix}") if number else path


def files(path: Path) -> list[Path]:
    """All files of a capture, in order. The first is listed even if it does not exist."""
    found = [path]
    for number in count(1):
        following = nth(path, number)
        if not following.is_file():
            return found
        found.append(following)
    raise AssertionError


def packet(frame: Frame, comment: str | None = None) -> bytes:
    """An enhanced packet block of the first interface in the section."""
    _, ticks, wire, data = frame
    captured = len(data)
    options = b"" if comment is None else option(COMMENT, comment.encode()) + option(END)
    length = captured + -captured % 4 + len(options) + _AROUND
    fixed = _PACKET.pack(_IS_PACKET, length, 0, ticks >> 32, ticks & 0xFFFFFFFF, captured, wire)
    return fixed + data + bytes(-captured % 4) + options + _LENGTH.pack(length)


def option(code: int, value: bytes = b"") -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def block(kind: int, body: bytes | bytearray) -> bytes:
    length = _LENGTH.pack(len(body) + 12)
    return _LENGTH.pack(kind) + length + body + length


def section(*options: bytes) -> bytes:
    return block(Block.SECTION, struct.pack("<IHHq", BYTE_ORDER, 1, 0, -1) + b"".join(options) + option(END))


def _header(interface: str, snaplen: int) -> bytes:
    description = struct.pack("<HHI", ETHERNET, 0, snaplen) + option(NAME, interface.encode())
    return section(
        option(HARDWARE, platform.machine().encode()),
        option(SYSTEM, f"{platform.system()} {platform.release()}".encode()),
        option(APPLICATION, b"zero-window lab"),
    ) + block(Block.INTERFACE, description + option(RESOLUTION, NANOSECONDS) + option(END))


def _put(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _remark(path: Path, text: str, chosen: Callable[[Frame], bool]) -> bool:
    """Walks the file backwards, for a block has its length at its end too. Moves what follows the chosen frame."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        start = max(0, size - TAIL)
        stream.seek(start)
        tail = stream.read()
        end = len(tail)
        while end >= _PACKET.size + _LENGTH.size:
            (length,) = _LENGTH.unpack_from(tail, end - _LENGTH.size)
            at = end - length
            if at < 0 or _LENGTH.unpack_from(tail, at)[0] != Block.PACKET:
                return False
            frame, options = _unpacked(tail, at)
            if chosen(frame):
                # Options that are there already have an end; else one is added.
                comment = option(COMMENT, text.encode()) + (b"" if options < length - _LENGTH.size else option(END))
                longer = length + len(comment)
                # Reserve the space first, so that a full disk cuts nothing.
                os.posix_fallocate(stream.fileno(), size, len(comment))
                stream.seek(start + at)
                stream.write(
                    tail[at : at + 4] + _LENGTH.pack(longer) + tail[at + 8 : at + options]
                    + comment + tail[at + options : end - 4] + _LENGTH.pack(longer) + tail[end:]
                )  # fmt: skip
                return True
            end = at
    return False


def _unpacked(data: bytes, at: int) -> tuple[Frame, int]:
    """The frame in the packet block at `at`, numbered 0, and where in the block its options start."""
    _, _, _, high, low, captured, wire = _PACKET.unpack_from(data, at)
    start = at + _PACKET.size
    frame = Frame(0, high << 32 | low, wire, data[start : start + captured])
    return frame, _PACKET.size + captured + -captured % 4
