"""Reads what each thread of a process is doing, again and again, through files of /proc that stay open."""

import contextlib
import os
import re
from dataclasses import dataclass, replace

from lab.evidence import ResourceKind, ThreadSample, Wait
from lab.kernel.procfs import text_of
from lab.spec import Role
from lab.syscalls import BY_NUMBER

LOWEST_STACK = 1 << 32
"""A stack pointer below this is a 32-bit program's. Its system calls have other numbers."""

USUAL_STATUS, LONGEST_STATUS = 1 << 13, 1 << 20
"""Bytes of /proc/T/status. It lists the groups of a thread, up to 65 536 of them (NGROUPS_MAX)."""

_CALLS = BY_NUMBER.get(os.uname().machine, {})
_STATUS = re.compile(
    rb"^State:\s*(\w).*^voluntary_ctxt_switches:\s*(\d+)\s^nonvoluntary_ctxt_switches:\s*(\d+)",
    re.MULTILINE | re.DOTALL,
)
_TOP = re.compile(r"\[<\w+>\] (\w+)")
_DUMPS_CORE = re.compile(rb"^CoreDumping:\s*1", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Line:
    """What /proc shows of a thread. If two lines are equal, switches included, the thread did not run in between."""

    state: str
    switches: int
    syscall: str | None
    """None: not readable."""
    args: tuple[int, ...]


class TrackedThread:
    """One thread, with its files of /proc open. Raises FileNotFoundError or ProcessLookupError if it has ended."""

    def __init__(self, pid: int, tid: int) -> None:
        self.pid, self.tid = pid, tid
        self.folder = f"/proc/{pid}/task/{tid}"
        self.comm = text_of(f"{self.folder}/comm").rstrip("\n")
        with contextlib.ExitStack() as undo:  # the thread may end before all files are open
            self._status = os.open(f"{self.folder}/status", os.O_RDONLY | os.O_CLOEXEC)
            undo.callback(os.close, self._status)
            self._syscall = self._open("syscall")
            undo.callback(_close, self._syscall)
            self._wchan = self._open("wchan")
            undo.pop_all()
        self._raw: tuple[bytes, bytes | None] | None = None
        self.line = Line("R", 0, None, ())
        self.wait: Wait | None = None
        """What it waits for. None: not read since `line` changed."""
        self.dynamic = False
        """Whether other threads may change what it waits for while it sleeps."""
        self.rests_on: tuple[tuple[ResourceKind, int], ...] = ()
        """The epoll instances and timerfds of its wait, by kind and descriptor. Their other holders may change them."""
        self.dumps_core = False
        """It is about to end, although it still shows the call that the fatal signal interrupted."""
        self.suspended: str | None = None
        self.sample: ThreadSample | None = None

    def _open(self, name: str) -> int | None:
        try:
            return os.open(f"{self.folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except PermissionError:
            return None

    def read(self) -> bool:
        """Read its line again. True if the line differs from the one before. 5 us.

        The call comes before the counters. The kernel tells a call only once the thread has left the processor
        (wait_task_inactive()), so counters that are read afterwards include that switch. The other way round, 55 of
        100,000 threads that ran looked as if they had not: __schedule() counts a switch after the state is S.
        """
        call = self._read_call()
        status = os.pread(self._status, USUAL_STATUS, 0)
        if (found := _STATUS.search(status)) is None:
            status = os.pread(self._status, LONGEST_STATUS, 0)
            found = _STATUS.search(status)
        if found is None:
            raise ProcessLookupError
        raw = (found[1] + b" " + found[2] + b" " + found[3], call)
        if raw == self._raw:
            return False
        self._raw = raw
        syscall, args = _call(call)
        self.line = Line(found[1].decode(), int(found[2]) + int(found[3]), syscall, args)
        self.dumps_core = _DUMPS_CORE.search(status) is not None
        self.wait = self.suspended = self.sample = None
        return True

    def _read_call(self) -> bytes | None:
        if self._syscall is None:
            return None
        try:
            return os.pread(self._syscall, 256, 0)
        except PermissionError:
            return None

    def sleeps_in(self) -> str:
        """The kernel function in which it sleeps, as the source calls it; empty if that is not told.

        Linux 5.10 shows `0` for every wchan; there root may read the stack instead.
        """
        return self._wchan_function() or self._top_of_stack()

    def _wchan_function(self) -> str:
        if self._wchan is None:
            return ""
        try:
            return os.pread(self._wchan, 128, 0).decode().strip("0").partition(".")[0]
        except PermissionError:
            return ""

    def _top_of_stack(self) -> str:
        try:
            found = _TOP.match(text_of(f"{self.folder}/stack"))
        except PermissionError:
            return ""
        return found[1] if found else ""

    def as_sample(self, now_ns: int, role: Role | None, socket_inode: int | None) -> ThreadSample:
        """The sample of this moment. If the thread did not run, only the time differs from the one before."""
        if self.sample is not None and self.sample.role is role:
            self.sample = replace(self.sample, time_ns=now_ns)
        else:
            line = self.line
            self.sample = ThreadSample(
                now_ns, role, self.pid, self.tid, self.comm, line.state, line.syscall, line.args, socket_inode,
                line.switches, self.wait, self.suspended,
            )  # fmt: skip
        return self.sample

    def close(self) -> None:
        for descriptor in (self._status, self._syscall, self._wchan):
            _close(descriptor)


class Threads:
    """The threads of some processes. Threads that have ended are forgotten."""

    def __init__(self) -> None:
        self._threads: dict[int, dict[int, TrackedThread]] = {}

    def of(self, pid: int) -> list[TrackedThread]:
        """All threads that the process has now; their lines are not read again. Empty if it has ended."""
        known = self._threads.setdefault(pid, {})
        try:
            tids = {int(tid) for tid in os.listdir(f"/proc/{pid}/task")}
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            tids = set()  # it has ended, or /proc hides it: then the proof takes it for live
        for tid in known.keys() - tids:
            known.pop(tid).close()
        for tid in tids - known.keys():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                known[tid] = TrackedThread(pid, tid)
        if not known:
            del self._threads[pid]
        return list(known.values())

    def known(self, pid: int) -> list[TrackedThread]:
        """The threads that `of` found last."""
        return list(self._threads.get(pid, {}).values())

    def drop(self, thread: TrackedThread) -> None:
        """Forget a thread that has ended. Another thread may already have its number."""
        if self._threads.get(thread.pid, {}).pop(thread.tid, None) is thread:
            thread.close()

    def forget_all_but(self, pids: set[int]) -> None:
        for pid in self._threads.keys() - pids:
            for thread in self._threads.pop(pid).values():
                thread.close()

    def close(self) -> None:
        self.forget_all_but(set())


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _call(raw: bytes | None) -> tuple[str | None, tuple[int, ...]]:
    """'running', or the call's name (`syscall-N` if we have none) and its six arguments (proc_pid_syscall(5))."""
    if raw is None:
        return None, ()
    words = raw.split()
    if len(words) < 9 or not words[0].isdigit():
        # 'running', or '-1 SP PC': blocked, but in no system call (a page fault).
        return "running", ()
    number = int(words[0])
    args = tuple(int(word, 16) for word in words[1:7])
    if int(words[7], 16) < LOWEST_STACK:
        return f"syscall-{number}", args
    known = _CALLS.get(number)
    return known.name if known else f"syscall-{number}", args
