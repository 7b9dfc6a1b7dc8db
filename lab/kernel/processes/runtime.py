"""Recognises runtimes with known housekeeping threads, by the program file and its libraries, not by its name."""

import os
import struct
from pathlib import Path

GO_SECTIONS = {b".go.buildinfo", b".gopclntab"}
MAX_SECTIONS, MAX_NAMES, MAX_REMEMBERED = 512, 1 << 16, 256


def runtime_of(pid: int) -> str | None:
    """'go', 'jvm' or 'node'; None for any other program. 0.1 ms; less if the program file is known already."""
    try:
        exe = os.readlink(f"/proc/{pid}/exe")
        status = Path(f"/proc/{pid}/exe").stat()
        if Path(exe).name in ("node", "nodejs"):
            return "node"
        if _is_go(pid, (status.st_dev, status.st_ino, status.st_mtime_ns)):
            return "go"
        maps = Path(f"/proc/{pid}/maps").read_text(errors="replace")
    except OSError:
        return None
    return "jvm" if "/libjvm.so" in maps else None


def _is_go(pid: int, file: tuple[int, int, int]) -> bool:
    """By the sections of its program file. The answer is remembered for each file."""
    if file not in _go:
        if len(_go) >= MAX_REMEMBERED:
            _go.clear()
        _go[file] = _has_go_sections(f"/proc/{pid}/exe")
    return _go[file]


_go: dict[tuple[int, int, int], bool] = {}


def _has_go_sections(path: str) -> bool:
    with Path(path).open("rb") as program:
        try:
            return bool(GO_SECTIONS & set(_section_names(program.fileno())))
        except struct.error:
            return False  # truncated, or not an ELF file


def _section_names(fd: int) -> list[bytes]:
    """The section names of a 64-bit ELF file (elf(5)); none for any other file."""
    header = os.pread(fd, 64, 0)
    if header[:5] != b"\x7fELF\x02":
        return []
    (offset,) = struct.unpack_from("<Q", header, 40)
    size, count, names_index = struct.unpack_from("<3H", header, 58)
    sections = os.pread(fd, size * min(count, MAX_SECTIONS), offset)
    names_at, names_size = struct.unpack_from("<2Q", sections, names_index * size + 24)
    names = os.pread(fd, min(names_size, MAX_NAMES), names_at)
    starts = (struct.unpack_from("<I", sections, at)[0] for at in range(0, len(sections), size))
    return [names[start:].split(b"\0", 1)[0] for start in starts]
