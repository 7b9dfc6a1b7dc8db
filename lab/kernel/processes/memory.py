"""Reads arguments of system calls from the memory of other processes. It uses no ptrace(2) and attaches to nothing."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path


class UnreadableError(Exception):
    """A wait is not understood; the message says why."""


def memory(pid: int, address: int, size: int) -> bytes:
    """Bytes of a process's memory. Needs PTRACE_MODE_ATTACH permission."""
    descriptor = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = os.pread(descriptor, size, address)
    except (OSError, OverflowError):
        found = b""
    finally:
        os.close(descriptor)
    if len(found) != size:
        raise UnreadableError(f"{size} bytes at {address:#x} are not readable")
    return found


def timespec(pid: int, address: int, unit_ns: int) -> int:
    """Nanoseconds of a timespec (`unit_ns` 1) or of a timeval (1000)."""
    seconds, parts = struct.unpack("=qq", memory(pid, address, 16))
    return int(seconds) * 1_000_000_000 + int(parts) * unit_ns


def members(fd_set: bytes, count: int) -> Iterator[int]:
    """The descriptors below `count` that are set (select(2))."""
    bits = int.from_bytes(fd_set, "little")
    return (fd for fd in range(count) if bits >> fd & 1)


def in_private_memory(pid: int, address: int) -> bool:
    """Whether the mapping at this address is private and writable (/proc/PID/maps): no other process shares its pages.

    A private mapping that is only readable still shares the file's pages: any process that maps the file has the same
    futex in it.
    """
    with Path(f"/proc/{pid}/maps").open(encoding="ascii", errors="replace") as maps:
        for line in maps:
            low, _, high = line.split(None, 1)[0].partition("-")
            if int(low, 16) <= address < int(high, 16):
                access = line.split()[1]
                return access[1] == "w" and access[3] == "p"
    return False
