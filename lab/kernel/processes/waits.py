"""Reads what a thread inside a system call waits for: descriptors, other threads, children, a deadline.

The kernel copied its arguments when the call began; what is read here from the program's memory (pollfd, fd_set,
timespec, futex words) is what stands there now, which another thread of the program may have overwritten since; it may
also have closed the descriptor of a call that sleeps, and used its number again.
Numbers and structures: the man page of each call, linux/futex.h, linux/eventpoll.h.
"""

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

from lab.evidence import Resource, ResourceKind, Wait, Wants
from lab.kernel.processes.deadlines import TIMER_ABSTIME, Deadlines
from lab.kernel.processes.descriptors import Descriptors
from lab.kernel.processes.memory import UnreadableError, in_private_memory, members, memory, timespec
from lab.kernel.processes.threads import Thread
from lab.kernel.processes.wait_builder import MAX_ITEMS, POLL_CHANGES, POLL_IN, POLL_OUT, WaitBuilder
from lab.kernel.procfs import children_of, descendants, numbers_of, text_of, traced

MS = 1_000_000

POLL_ALWAYS = 0x8 | 0x10
"""ERR and HUP, reported wanted or not."""

FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_PRIVATE, FUTEX_REALTIME = 0, 9, 128, 256
FUTEX2_PRIVATE = 128
P_ALL, P_PID = 0, 1

ON_THE_WAY = {
    "handle_userfault": "its memory is being brought in",
    "request_wait_answer": "its memory is being brought in",
    "folio_wait_bit_common": "its memory is being brought in",
    "wait_on_page_bit_common": "its memory is being brought in",
    "seccomp_do_user_notification": "a supervisor decides what becomes of the call",
    "__seccomp_filter": "a supervisor decides what becomes of the call",
}
"""Where a call sleeps on the way to its own wait: somebody else lets it go on, or fail."""

READS = {"read", "readv", "pread64", "preadv2", "recvfrom", "recvmsg", "recvmmsg"}
WRITES = {"write", "writev", "pwrite64", "pwritev2", "sendto", "sendmsg", "sendmmsg"}
STREAMS = frozenset({ResourceKind.PIPE, ResourceKind.SOCKET, ResourceKind.UNIX})
"""What a call that copies may wait to read from."""


class Waits:
    """Reads waits of threads that sleep."""

    def __init__(self, descriptors: Descriptors, deadlines: Deadlines) -> None:
        self._descriptors, self._deadlines = descriptors, deadlines
        self._traced: dict[int, set[int]] | None = None

    def begin(self) -> None:
        """A new snapshot: who traces whom is read again when that is asked for."""
        self._traced = None

    def of(self, thread: Thread) -> tuple[Wait | None, bool]:
        """The wait, and whether others may change it while the thread sleeps. None where its call cannot be read.

        A thread that has ended in the meantime raises FileNotFoundError or ProcessLookupError.
        """
        line = thread.line
        if line.syscall is None:
            return None, False
        draft = WaitBuilder(thread, self._descriptors, self._deadlines, self._tracees)
        if line.syscall == "running" or line.state == "R":
            draft.fail("it runs")
        elif line.state == "D" and thread.suspended is None:
            draft.fail(f"in the kernel, uninterruptible: {thread.wchan() or '?'}")
        elif thread.dumps_core:
            draft.fail("it dumps its core, and ends")
        elif (wchan := thread.wchan()) in ON_THE_WAY:
            draft.fail(f"{ON_THE_WAY[wchan]}: {wchan}")
        else:
            self._read(draft)
        thread.rests_on = tuple(draft.rests_on)
        return draft.finish(), draft.dynamic

    def _tracees(self, pid: int) -> list[int]:
        if self._traced is None:
            self._traced = traced()
        return sorted({each for tid in os.listdir(f"/proc/{pid}/task") for each in self._traced.get(int(tid), ())})

    def _read(self, draft: WaitBuilder) -> None:
        call = draft.thread.line.syscall or ""
        try:
            if call in READS:
                _transfer(draft, Wants.READ)
            elif call in WRITES:
                _transfer(draft, Wants.WRITE)
            elif call in _READERS:
                _READERS[call](draft, *draft.thread.line.args)
            else:
                draft.fail(f"{call}: not understood")
        except PermissionError as error:
            draft.fail(f"{call}: {error.filename or 'its memory'} is not readable: needs CAP_SYS_PTRACE")
        except UnreadableError as error:
            draft.fail(f"{call}: {error}")


def _transfer(draft: WaitBuilder, wants: Wants) -> None:
    fd = _int32(draft.thread.line.args[0])
    draft.blocked_on(fd, wants)
    if draft.thread.line.syscall == "recvmmsg" and draft.thread.line.args[4]:
        draft.ends_at(None)


# One reader a call; the arguments are the call's own six.


def accept(draft: WaitBuilder, fd: int, *_: int) -> None:
    draft.blocked_on(_int32(fd), Wants.READ)


def connect(draft: WaitBuilder, fd: int, *_: int) -> None:
    draft.blocked_on(_int32(fd), Wants.WRITE)


def sendfile(draft: WaitBuilder, out: int, source: int, *_: int) -> None:
    draft.blocked_on(_int32(out), Wants.WRITE)
    if draft.descriptors.resource(draft.thread.tid, _int32(source)).kind in STREAMS:
        draft.blocked_on(_int32(source), Wants.READ)


def splice(draft: WaitBuilder, source: int, _: int, out: int, *__: int) -> None:
    """Which of the two it sleeps on is not told: either would end it."""
    draft.blocked_on(_int32(source), Wants.READ)
    draft.blocked_on(_int32(out), Wants.WRITE)


def poll(draft: WaitBuilder, fds: int, count: int, timeout_ms: int, *_: int) -> None:
    _pollfds(draft, fds, count)
    _milliseconds(draft, timeout_ms)


def ppoll(draft: WaitBuilder, fds: int, count: int, timeout: int, *_: int) -> None:
    _pollfds(draft, fds, count)
    _polled(draft, timeout)


def _pollfds(draft: WaitBuilder, fds: int, count: int) -> None:
    count &= 0xFFFFFFFF
    if count > MAX_ITEMS:
        raise UnreadableError(f"{count} descriptors")
    for fd, events, _ in struct.iter_unpack("=ihh", memory(draft.thread.tid, fds, 8 * count)):
        if fd >= 0:
            draft.ready(fd, events & 0xFFFF | POLL_ALWAYS)


def select(draft: WaitBuilder, *args: int) -> None:
    _fd_sets(draft, *args[:4])
    _polled(draft, args[4], unit_ns=1000)


def pselect6(draft: WaitBuilder, *args: int) -> None:
    _fd_sets(draft, *args[:4])
    _polled(draft, args[4])


def _fd_sets(draft: WaitBuilder, count: int, *sets: int) -> None:
    count = _int32(count)
    if count > MAX_ITEMS:
        raise UnreadableError(f"{count} descriptors")
    for address, events in zip(sets, (POLL_IN, POLL_OUT, POLL_CHANGES), strict=True):
        if address:
            for fd in members(memory(draft.thread.tid, address, (count + 63) // 64 * 8), count):
                draft.ready(fd, events)


def epoll_wait(draft: WaitBuilder, fd: int, _: int, __: int, timeout_ms: int, *___: int) -> None:
    _epoll(draft, fd)
    _milliseconds(draft, timeout_ms)


def epoll_pwait2(draft: WaitBuilder, fd: int, _: int, __: int, timeout: int, *___: int) -> None:
    _epoll(draft, fd)
    _polled(draft, timeout)


def _epoll(draft: WaitBuilder, fd: int) -> None:
    if draft.descriptors.resource(draft.thread.tid, _int32(fd)).kind is not ResourceKind.EPOLL:
        raise UnreadableError("its epoll descriptor is closed")
    draft.expand(_int32(fd))


def futex(draft: WaitBuilder, word: int, operation: int, _: int, timeout: int, *__: int) -> None:
    command = operation & 0x7F
    if command not in (FUTEX_WAIT, FUTEX_WAIT_BITSET):
        raise UnreadableError(f"operation {command}")
    _woken_by_own_process(draft, word, bool(operation & FUTEX_PRIVATE))
    if command == FUTEX_WAIT:
        _relative(draft, timeout)
    else:
        _absolute(draft, timeout, 0 if operation & FUTEX_REALTIME else 1)


def futex_waitv(draft: WaitBuilder, waiters: int, count: int, _: int, timeout: int, clock: int, *__: int) -> None:
    for __, word, flags, ___ in struct.iter_unpack("=QQII", memory(draft.thread.tid, waiters, 24 * min(count, 128))):
        _woken_by_own_process(draft, word, bool(flags & FUTEX2_PRIVATE))
    _absolute(draft, timeout, _int32(clock))


def _woken_by_own_process(draft: WaitBuilder, word: int, private: bool) -> None:
    """A futex that is not private is so all the same where its memory is: its key is the process's then."""
    if not private and not in_private_memory(draft.thread.tid, word):
        raise UnreadableError("in shared memory: any process that maps it may wake it")
    draft.dynamic = True
    draft.wait_for(Resource.process(draft.thread.pid), Wants.WAKE)


def wait4(draft: WaitBuilder, pid: int, *_: int) -> None:
    pid = _int32(pid)
    _children(draft, pid if pid > 0 else None)


def waitid(draft: WaitBuilder, kind: int, number: int, *_: int) -> None:
    if _int32(kind) not in (P_ALL, P_PID):
        _children(draft, None)
    else:
        _children(draft, number if _int32(kind) == P_PID else None)


def _children(draft: WaitBuilder, pid: int | None) -> None:
    """`pid` as the waiter's namespace numbers it. All where it is none's number: one too many is safe.

    Who waits for any child may get a descendant for one: PR_SET_CHILD_SUBREAPER, and the first of a PID namespace.
    Whom it traces counts as a child.
    """
    draft.dynamic = True
    tracees = draft.tracees(draft.thread.pid)
    children = children_of(draft.thread.pid) + tracees
    if not children:
        raise UnreadableError("waits for a process that is not its child")
    meant = [child for child in children if pid in numbers_of(child)]
    for child in meant or dict.fromkeys((*descendants(draft.thread.pid)[1:], *tracees)):
        draft.wait_for(Resource.process(child), Wants.END)


def nanosleep(draft: WaitBuilder, request: int, *_: int) -> None:
    _relative(draft, request)


def clock_nanosleep(draft: WaitBuilder, clock: int, flags: int, request: int, *_: int) -> None:
    if flags & TIMER_ABSTIME:
        _absolute(draft, request, _int32(clock))
    elif _int32(clock) in (0, 1, 7):
        _relative(draft, request)
    else:
        draft.ends_at(None)


def pause(draft: WaitBuilder, *_: int) -> None:
    """Waits for a signal that has a handler. Where there is no handler at all it waits for ever: no items."""
    caught = re.search(r"^SigCgt:\s*(\w+)", text_of(Path(draft.thread.folder, "status")), re.MULTILINE)
    if caught is None or int(caught[1], 16):
        raise UnreadableError("waits for a signal, whoever sends it")


def rt_sigtimedwait(draft: WaitBuilder, _: int, __: int, timeout: int, *___: int) -> None:
    _relative(draft, timeout)
    raise UnreadableError("waits for a signal, whoever sends it")


def _milliseconds(draft: WaitBuilder, timeout_ms: int) -> None:
    if (timeout := _int32(timeout_ms)) >= 0:
        draft.polls_for(timeout * MS)


def _polled(draft: WaitBuilder, address: int, unit_ns: int = 1) -> None:
    if address:
        draft.polls_for(timespec(draft.thread.tid, address, unit_ns))


def _relative(draft: WaitBuilder, address: int) -> None:
    if address:
        draft.ends_at(draft.deadlines.after(draft.thread, timespec(draft.thread.tid, address, 1)))


def _absolute(draft: WaitBuilder, address: int, clock: int) -> None:
    if address:
        draft.ends_at(draft.deadlines.at(draft.thread, clock, timespec(draft.thread.tid, address, 1)))


_READERS: dict[str, Callable[..., None]] = {
    "accept": accept,
    "accept4": accept,
    "connect": connect,
    "sendfile": sendfile,
    "splice": splice,
    "poll": poll,
    "ppoll": ppoll,
    "select": select,
    "pselect6": pselect6,
    "epoll_wait": epoll_wait,
    "epoll_pwait": epoll_wait,
    "epoll_pwait2": epoll_pwait2,
    "futex": futex,
    "futex_waitv": futex_waitv,
    "wait4": wait4,
    "waitid": waitid,
    "nanosleep": nanosleep,
    "clock_nanosleep": clock_nanosleep,
    "pause": pause,
    "rt_sigsuspend": pause,
    "rt_sigtimedwait": rt_sigtimedwait,
}
"""restart_syscall is not here: what it goes on with, and until when, is in the kernel only."""


def _int32(value: int) -> int:
    """An argument that the kernel takes as int: the upper half of the register means nothing."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value
