"""Facts of a process from /proc: its family, its numbers, its memory, whether it still lives."""

import contextlib
import os
import re
import time
from pathlib import Path

PF_KTHREAD = 0x00200000
BLOCK = 1 << 15
"""Bytes asked for at once. Most files of /proc give a page at most, and the end only by a read of nothing."""
INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""PROC_PID_INIT_INO of linux/proc_ns.h."""


def text_of(path: str | Path) -> str:
    """A file of /proc, whatever bytes are in the names that it holds: comm, cgroups, mounts are anybody's.

    A snapshot reads hundreds of them: 5 us, a quarter of what Path.read_text() takes.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.read(descriptor, BLOCK)
        while block := os.read(descriptor, BLOCK):
            content += block
    finally:
        os.close(descriptor)
    return content.decode(errors="backslashreplace")


def newest() -> str:
    """The number of the thread that was made last (proc_loadavg(5)): if it is the same, none was made since. 10 us.

    Another one each time where /proc does not show it (systemd's ProcSubset).
    """
    try:
        return text_of("/proc/loadavg").rpartition(" ")[2]
    except FileNotFoundError:
        return str(time.monotonic_ns())


def descendants(pid: int) -> list[int]:
    """The process and all that it forked, parents first. Needs CONFIG_PROC_CHILDREN (every distribution has it)."""
    found = [pid]
    for each in found:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for tid in os.listdir(f"/proc/{each}/task"):
                found += map(int, text_of(f"/proc/{each}/task/{tid}/children").split())
    return found


def children_of(pid: int) -> list[int]:
    found: list[int] = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        folder = Path(f"/proc/{pid}/task/{tid}")
        try:
            found += map(int, text_of(folder / "children").split())
        except (FileNotFoundError, ProcessLookupError):
            if folder.exists():
                raise
    return found


def end_signal_of(pid: int) -> int | None:
    """What its parent gets when it ends: SIGCHLD, or what clone(2) was told; 0 if nothing, or if it has ended.

    None if /proc hides it.
    """
    fields = _stat(pid)
    return None if fields is None else int(fields[35]) if fields else 0


def traced() -> dict[int, set[int]]:
    """By the thread that traces (ptrace(2)), the processes of which it traces one: 15 us a thread of this host."""
    found: dict[int, set[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        # What /proc hides from us (hidepid) is not searched: the unread tables qualify every proof.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            for task in os.listdir(f"/proc/{name}/task"):
                tracer = re.search(r"^TracerPid:\s*(\d+)", text_of(f"/proc/{name}/task/{task}/status"), re.MULTILINE)
                if tracer and tracer[1] != "0":
                    found.setdefault(int(tracer[1]), set()).add(int(name))
    return found


def process_of(task: int) -> int | None:
    """The process that a thread is of; None if it has ended."""
    try:
        found = re.search(r"^Tgid:\s*(\d+)", text_of(f"/proc/{task}/status"), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(found[1]) if found else None


def numbers_of(pid: int) -> list[int]:
    """The numbers of a process in its namespaces, ours first."""
    try:
        found = re.search(r"^NSpid:\s*(.*)$", text_of(f"/proc/{pid}/status"), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(number) for number in found[1].split()] if found else [pid]


def peak_resident(pid: int) -> int | None:
    """Bytes: the most memory that was ever resident in a process (VmHWM); None if there is no such process."""
    try:
        match = re.search(r"^VmHWM:\s*(\d+) kB", text_of(f"/proc/{pid}/status"), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(match[1]) * 1024 if match else None


def is_alive(pid: int, start: int) -> bool:
    """Whether the process that began at `start` (`start_of`) still runs: a number alone may have been used again.

    What kill(2) knows and /proc hides (hidepid) counts as alive; a zombie does not, for it undoes nothing any more.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return start_of(pid) in (None, start) and (_stat(pid) or [])[:1] != ["Z"]


def has_ended(pid: int) -> bool:
    """Whether there is no such process, or a zombie of it; one that /proc hides from us (hidepid) has not ended."""
    fields = _stat(pid)
    return fields is not None and fields[:1] in ([], ["Z"])


def start_of(pid: int) -> int | None:
    """Clock ticks since boot at which the process began (field 22 of /proc/PID/stat); None if there is none."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def parent_of(pid: int) -> int | None:
    """None if there is no such process."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def argv(pid: int) -> list[str]:
    """Empty if there is no such process, or it is the kernel's."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def boot_id() -> str:
    """Another one each time that the machine starts; the same in all of its containers."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def stat_of(folder: str) -> list[str]:
    """The fields of the `stat` of a process or thread from the third on: the second may hold anything (proc(5))."""
    return text_of(f"{folder}/stat").rpartition(")")[2].split()


def is_kernel_thread(pid: int) -> bool:
    """One that /proc hides is taken for a program."""
    fields = _stat(pid)
    return fields == [] or (fields is not None and bool(int(fields[6]) & PF_KTHREAD))


def shows_all_processes() -> bool:
    """Whether /proc lists every process of this host to us.

    In a container it lists the container's, unless that has `pid: host`; hidepid and systemd's ProtectProc hide those
    of other users.
    """
    try:
        return os.readlink("/proc/self/ns/pid") == INITIAL_PID_NAMESPACE and bool(stat_of("/proc/1"))
    except OSError:
        return False


def _stat(pid: int) -> list[str] | None:
    """Empty if there is no such process; None if /proc hides it: then it is alive, and nothing is known of it."""
    try:
        return stat_of(f"/proc/{pid}")
    except PermissionError:
        return None
    except (FileNotFoundError, ProcessLookupError):
        return [] if _kill_finds_none(pid) else None


def _kill_finds_none(pid: int) -> bool:
    """kill(2) knows the processes that /proc hides."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False
