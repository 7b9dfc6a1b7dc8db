"""Facts of a process from /proc: its family, its numbers, its memory, whether it still lives."""

import contextlib
import errno
import os
import re
import time
from collections.abc import Iterator
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
    """The process and all that it forked, parents first. Needs CONFIG_PROC_CHILDREN (every distribution has it).

    Of one that /proc hides (hidepid) nobody knows what it forked.
    """
    found = [pid]
    for each in found:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            for tid in os.listdir(f"/proc/{each}/task"):
                found += map(int, text_of(f"/proc/{each}/task/{tid}/children").split())
    return found


def those_in_namespace_of(pid: int) -> list[int]:
    """All other processes of the PID namespace of which it is the first process (init); none if it is not."""
    if numbers_of(pid)[1:][-1:] != [1]:
        return []
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        own = os.readlink(f"/proc/{pid}/ns/pid")
        for other in map(int, filter(str.isdigit, os.listdir("/proc"))):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                if other != pid and os.readlink(f"/proc/{other}/ns/pid") == own:
                    found.append(other)
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


_TRACER = re.compile(r"^TracerPid:\s*([1-9]\d*)", re.MULTILINE)


def tracer_of(folder: str) -> int | None:
    """The pid of the process that traces the thread with this folder in /proc; None if none does."""
    found = _TRACER.search(text_of(f"{folder}/status"))
    return int(found[1]) if found else None


def traced() -> dict[int, set[int]]:
    """By the thread that traces (ptrace(2)), the processes of which it traces one: 15 us a thread of this host."""
    found: dict[int, set[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        # What /proc hides from us (hidepid) is not searched: the unread tables qualify every proof.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            for task in os.listdir(f"/proc/{name}/task"):
                if tracer := tracer_of(f"/proc/{name}/task/{task}"):
                    found.setdefault(tracer, set()).add(int(name))
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


def has_terminal(pid: int) -> bool:
    """Whether it has a controlling terminal, or may have one."""
    fields = _stat(pid)
    return fields is None or fields[4:5] not in ([], ["0"])


def are_related(one: int, other: int) -> bool:
    """Whether two processes are of one session, or one has the other among its forebears: then one may have forked the
    other."""
    try:
        same_session = os.getsid(one) == os.getsid(other)
    except ProcessLookupError:
        return False
    return same_session or one in _forebears(other) or other in _forebears(one)


def _forebears(pid: int) -> Iterator[int]:
    while pid := parent_of(pid) or 0:
        yield pid


def mounts_of(task: int) -> list[str]:
    """The lines of its mountinfo; none if it has ended. Raises PermissionError."""
    try:
        return text_of(f"/proc/{task}/mountinfo").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return []
    except OSError as error:
        if error.errno == errno.EINVAL:  # a zombie is in no mount namespace
            return []
        raise


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


def has_memory_thresholds() -> bool:
    """Whether the memory controller is one of cgroup version 1, whose thresholds signal eventfds (cgroups(7)).

    A thread that registers one (cgroup.event_control) may close every file of it but the eventfd.
    """
    try:
        lines = text_of("/proc/cgroups").splitlines()
    except OSError:
        return False  # none of version 1, or hidden by ProcSubset, which qualifies every proof
    return any(line.split()[0] == "memory" and line.split()[1] != "0" for line in lines)


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
