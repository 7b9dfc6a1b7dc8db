"""Reads the memory of other processes, where a system call's arguments point to: no ptrace, nothing is attached."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path


class UnreadableError(Exception):
    """Why a wait is not understood."""


def memory(pid: int, address: int, size: int) -> bytes:
    """Bytes of a process's memory. Needs PTRACE_MODE_ATTACH, attaches nothing."""
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
    """A timespec, or a timeval with a unit of 1000 ns."""
    seconds, parts = struct.unpack("=qq", memory(pid, address, 16))
    return int(seconds) * 1_000_000_000 + int(parts) * unit_ns


def members(fd_set: bytes, count: int) -> Iterator[int]:
    bits = int.from_bytes(fd_set, "little")
    return (fd for fd in range(count) if bits >> fd & 1)


def in_private_memory(pid: int, address: int) -> bool:
    """Whether the mapping is private and may be written (/proc/PID/maps): others cannot see what is written there.

    One that may only be read is the file's own page, and a futex in it is everybody's who maps that.
    """
    with Path(f"/proc/{pid}/maps").open(encoding="ascii", errors="replace") as maps:
        for line in maps:
            low, _, high = line.split(None, 1)[0].partition("-")
            if int(low, 16) <= address < int(high, 16):
                access = line.split()[1]
                return access[1] == "w" and access[3] == "p"
    return False
