"""Copies a capture to pcapng, with comments on the frames that matter, for Wireshark.

Frames, link layers and interfaces stay as they are; times become nanoseconds. Format: draft-ietf-opsawg-pcapng.
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from lab.errors import BadInputError, StoreError
from lab.pcap.bulk import Bulk
from lab.pcap.chunk import Chunk, Interface
from lab.pcap.pcapng import APPLICATION, COMMENT, END, NANOSECONDS, RESOLUTION, Block, block, option, section
from lab.pcap.source import CaptureSource


def annotate(source: CaptureSource, out: Path, comments: Mapping[int, str]) -> None:
    """Writes the copy, whole or not at all. A damaged capture is copied up to the damage. Raises StoreError."""
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        try:
            with unfinished.open("wb") as stream:
                _copy(source, stream, comments)
            unfinished.replace(out)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write {out}: {error.strerror}") from None


def _copy(source: CaptureSource, stream: BinaryIO, comments: Mapping[int, str]) -> None:
    stream.write(section(option(APPLICATION, b"zero-window lab")))
    source.rewind()
    known: dict[Interface, int] = {}
    try:
        for chunk in Bulk(source).chunks():
            for each in chunk.interfaces:
                if each not in known:
                    known[each] = len(known)
                    body = struct.pack("<HHI", each.link, 0, each.snaplen) + option(RESOLUTION, NANOSECONDS)
                    stream.write(block(Block.INTERFACE, body + option(END)))
            _copy_chunk(chunk, stream, comments, known)
    except BadInputError:
        return


def _copy_chunk(chunk: Chunk, stream: BinaryIO, comments: Mapping[int, str], known: Mapping[Interface, int]) -> None:
    numbers = [known[each] for each in chunk.interfaces]
    rows = zip(
        chunk.frames.tolist(),
        chunk.start.tolist(), chunk.captured.tolist(), chunk.wire.tolist(), chunk.time_ns.tolist(),
        chunk.interface.tolist(), strict=True,
    )  # fmt: skip
    for frame, start, captured, wire, time_ns, interface in rows:
        ticks = time_ns % (1 << 64)
        body = struct.pack("<5I", numbers[interface], ticks >> 32, ticks & 0xFFFFFFFF, captured, wire)
        body += chunk.data[start : start + captured] + bytes(-captured % 4)
        if frame in comments:
            body += option(COMMENT, comments[frame].encode()) + option(END)
        stream.write(block(Block.PACKET, body))
