"""What the threads of a process are doing, from /proc, read through descriptors that stay open."""

import contextlib
import os
import re
import time
from pathlib import Path

from lab.evidence import ThreadSample
from lab.spec import Role

SYSCALLS = {
    "x86_64": {
        0: "read", 1: "write", 7: "poll", 17: "pread64", 18: "pwrite64", 19: "readv", 20: "writev", 23: "select",
        34: "pause", 35: "nanosleep", 40: "sendfile", 42: "connect", 43: "accept", 44: "sendto", 45: "recvfrom",
        46: "sendmsg", 47: "recvmsg", 61: "wait4", 128: "rt_sigtimedwait", 130: "rt_sigsuspend", 202: "futex",
        219: "restart_syscall", 230: "clock_nanosleep", 232: "epoll_wait", 247: "waitid", 270: "pselect6",
        271: "ppoll", 275: "splice", 281: "epoll_pwait", 288: "accept4", 299: "recvmmsg", 307: "sendmmsg",
        327: "preadv2", 328: "pwritev2", 426: "io_uring_enter", 441: "epoll_pwait2", 449: "futex_waitv",
    },
    "aarch64": {
        22: "epoll_pwait", 63: "read", 64: "write", 65: "readv", 66: "writev", 67: "pread64", 68: "pwrite64",
        71: "sendfile", 72: "pselect6", 73: "ppoll", 76: "splice", 95: "waitid", 98: "futex", 101: "nanosleep",
        115: "clock_nanosleep", 128: "restart_syscall", 133: "rt_sigsuspend", 137: "rt_sigtimedwait", 202: "accept",
        203: "connect", 206: "sendto", 207: "recvfrom", 211: "sendmsg", 212: "recvmsg", 242: "accept4",
        243: "recvmmsg", 260: "wait4", 269: "sendmmsg", 286: "preadv2", 287: "pwritev2", 426: "io_uring_enter",
        441: "epoll_pwait2", 449: "futex_waitv",
    },
}  # fmt: skip
"""Numbers of asm/unistd_64.h and asm-generic/unistd.h; what is not named here becomes `syscall-N`."""

_NAMES = SYSCALLS.get(os.uname().machine, {})
_FIRST_IS_DESCRIPTOR = {
    "read", "write", "readv", "writev", "pread64", "pwrite64", "connect", "accept", "accept4", "sendto", "recvfrom",
    "sendmsg", "recvmsg",
}  # fmt: skip
_SWITCHES = re.compile(rb"ctxt_switches:\s*(\d+)")
_STATE = re.compile(rb"^State:\s*(\w)", re.MULTILINE)


class Program:
    """All that an endpoint's host process has forked; the host itself opens no connection and is left out.

    A process or thread that ends meanwhile is simply gone from the next sample.
    """

    def __init__(self, role: Role, host_pid: int) -> None:
        self.role = role
        self.host_pid = host_pid
        self._threads: dict[tuple[int, int], _Thread] = {}

    def threads(self) -> tuple[ThreadSample, ...]:
        """One sample of each thread. About 15 us a thread."""
        return tuple(sample for pid in descendants(self.host_pid)[1:] for sample in self._threads_of(pid))

    def close(self) -> None:
        for thread in self._threads.values():
            thread.close()
        self._threads.clear()

    def _threads_of(self, pid: int) -> list[ThreadSample]:
        samples = []
        try:
            tids = os.listdir(f"/proc/{pid}/task")
        except FileNotFoundError:
            return []
        for tid in map(int, tids):
            try:
                thread = self._threads.get((pid, tid))
                if thread is None:
                    thread = self._threads[pid, tid] = _Thread(pid, tid)
                samples.append(self._sample(thread))
            except (FileNotFoundError, ProcessLookupError):
                gone = self._threads.pop((pid, tid), None)
                if gone is not None:
                    gone.close()
        return samples

    def _sample(self, thread: "_Thread") -> ThreadSample:
        now = time.time_ns()
        status = thread.status()
        state = _STATE.search(status)
        syscall, args = thread.syscall()
        return ThreadSample(
            time_ns=now,
            role=self.role,
            pid=thread.pid,
            tid=thread.tid,
            comm=thread.comm,
            state=state[1].decode() if state else None,
            syscall=syscall,
            args=args,
            socket_inode=self._inode(thread.pid, args[0]) if args and syscall in _FIRST_IS_DESCRIPTOR else None,
            switches=sum(map(int, _SWITCHES.findall(status))) if state else None,
        )

    def _inode(self, pid: int, fd: int) -> int | None:
        """Read anew each time: a descriptor's number may be used again."""
        try:
            match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            return None
        return int(match[1]) if match else None


class _Thread:
    def __init__(self, pid: int, tid: int) -> None:
        folder = f"/proc/{pid}/task/{tid}"
        self.pid, self.tid = pid, tid
        self.comm = Path(folder, "comm").read_text().rstrip("\n")
        self._status = os.open(f"{folder}/status", os.O_RDONLY | os.O_CLOEXEC)
        self._syscall: int | None = None
        with contextlib.suppress(PermissionError):
            self._syscall = os.open(f"{folder}/syscall", os.O_RDONLY | os.O_CLOEXEC)

    def status(self) -> bytes:
        return os.pread(self._status, 8192, 0)

    def syscall(self) -> tuple[str | None, tuple[int, ...]]:
        """Name and arguments; (None, ()) where /proc/T/syscall may not be read (PTRACE_MODE_ATTACH)."""
        if self._syscall is None:
            return None, ()
        try:
            words = os.pread(self._syscall, 256, 0).split()
        except PermissionError:
            return None, ()
        if not words or not words[0].lstrip(b"-").isdigit():
            return "running", ()
        number = int(words[0])
        return _NAMES.get(number, f"syscall-{number}"), tuple(int(word, 16) for word in words[1:7])

    def close(self) -> None:
        os.close(self._status)
        if self._syscall is not None:
            os.close(self._syscall)


def descendants(pid: int) -> list[int]:
    """The process and all that it forked, parents first. Needs CONFIG_PROC_CHILDREN (every distribution has it)."""
    found = [pid]
    for each in found:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for tid in os.listdir(f"/proc/{each}/task"):
                found += map(int, Path(f"/proc/{each}/task/{tid}/children").read_text().split())
    return found


def children_of(pid: int) -> list[int]:
    found: list[int] = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        found += map(int, Path(f"/proc/{pid}/task/{tid}/children").read_text().split())
    return found


def numbers_of(pid: int) -> list[int]:
    """The numbers of a process in its namespaces, ours first."""
    try:
        found = re.search(r"^NSpid:\s*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(number) for number in found[1].split()] if found else [pid]


def peak_resident(pid: int) -> int | None:
    """Bytes: the most memory that was ever resident in a process (VmHWM); None if there is no such process."""
    try:
        match = re.search(r"^VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
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
    return start_of(pid) in (None, start) and _stat(pid)[:1] != ["Z"]


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


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on (proc_pid_stat(5)): the second may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
