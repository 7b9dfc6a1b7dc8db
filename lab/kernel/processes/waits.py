"""Reads what a thread in a system call waits for: descriptors, other threads, children, a time limit.

The kernel copied the call's arguments when the call began. What this module reads from the program's memory (pollfd,
fd_set, timespec, futex words) is what is there now: another thread of the program may have overwritten it since. That
thread may also have closed the descriptor that the call waits for, and opened another file under the same number.
Numbers and structures: the man page of each call, linux/futex.h, linux/eventpoll.h.
"""

import os
import re
import struct
from collections.abc import Callable

from lab.evidence import Resource, ResourceKind, Wait, Wants
from lab.kernel.processes.deadlines import TIMER_ABSTIME, Deadlines
from lab.kernel.processes.descriptors import Descriptors
from lab.kernel.processes.memory import UnreadableError, in_private_memory, members, memory, timespec
from lab.kernel.processes.sleep import asleep_elsewhere
from lab.kernel.processes.threads import TrackedThread
from lab.kernel.processes.wait_builder import MAX_ITEMS, POLL_CHANGES, POLL_IN, POLL_OUT, WaitBuilder
from lab.kernel.procfs import children_of, descendants, numbers_of, text_of, traced
from lab.syscalls import BY_NAME, Form, Syscall, TimeLimit

MS = 1_000_000

POLL_ALWAYS = 0x8 | 0x10
"""ERR and HUP: poll(2) reports them even if nobody asked for them."""

FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_PRIVATE, FUTEX_REALTIME = 0, 9, 128, 256
FUTEX2_PRIVATE = 128
P_ALL, P_PID = 0, 1

STREAMS = frozenset({ResourceKind.PIPE, ResourceKind.SOCKET, ResourceKind.UNIX})
"""What sendfile(2) may wait to read from."""


class Waits:
    """Reads the waits of threads that sleep."""

    def __init__(self, descriptors: Descriptors, deadlines: Deadlines) -> None:
        self._descriptors, self._deadlines = descriptors, deadlines
        self._traced: dict[int, set[int]] | None = None

    def begin(self) -> None:
        """Start a new snapshot: /proc is asked again who traces whom, if a wait depends on it."""
        self._traced = None
        self._descriptors.begin()

    def of(self, thread: TrackedThread) -> tuple[Wait | None, bool]:
        """The wait, and whether other threads may change it while this one sleeps. None if its call is unreadable.

        Raises FileNotFoundError or ProcessLookupError if the thread has ended.
        """
        line = thread.line
        if line.syscall is None:
            return None, False
        builder = WaitBuilder(thread, self._descriptors, self._deadlines, self.tracees)
        if line.syscall == "running" or line.state == "R":
            builder.fail("it runs")
        elif line.state == "D" and thread.suspended is None:
            builder.fail(f"in the kernel, uninterruptible: {thread.sleeps_in() or '?'}")
        elif thread.dumps_core:
            builder.fail("it dumps its core, and ends")
        else:
            _read(builder, line.syscall)
        thread.rests_on = tuple(builder.rests_on)
        return builder.finish(), builder.dynamic

    def tracees(self, pid: int) -> list[int]:
        """The processes of which it traces a thread."""
        if self._traced is None:
            self._traced = traced()
        return sorted({each for tid in os.listdir(f"/proc/{pid}/task") for each in self._traced.get(int(tid), ())})


def _read(builder: WaitBuilder, name: str) -> None:
    call = BY_NAME.get(name)
    if call is None or call.form not in _READERS:
        builder.fail(f"{name}: not understood")
        return
    try:
        if elsewhere := asleep_elsewhere(builder.thread, call):
            builder.fail(f"{name}: {elsewhere}")
        _READERS[call.form](builder, call, *builder.thread.line.args)
        _limit(builder, call)
    except PermissionError as error:
        builder.fail(f"{name}: {error.filename or 'its memory'} is not readable: needs CAP_SYS_PTRACE")
    except UnreadableError as error:
        builder.fail(f"{name}: {error}")


def _limit(builder: WaitBuilder, call: Syscall) -> None:
    """The time limit of a call whose row in the table says where it is."""
    if call.limit is None:
        return
    where, kind = call.limit
    value = builder.thread.line.args[where]
    if kind is TimeLimit.MILLISECONDS:
        if (timeout := _int32(value)) >= 0:
            builder.polls_for(timeout * MS)
    elif not value:
        return
    elif kind is TimeLimit.BETWEEN:
        builder.ends_at(None)
    else:
        unit_ns = 1000 if kind is TimeLimit.TIMEVAL else 1
        builder.polls_for(timespec(builder.thread.tid, value, unit_ns))


# One reader a form. It gets the call's six arguments.


def _descriptors(builder: WaitBuilder, call: Syscall, *args: int) -> None:
    """Of two descriptors nobody knows for which one it sleeps now: either would end the wait."""
    if call.reads is not None:
        builder.blocked_on(_int32(args[call.reads]), Wants.READ)
    if call.writes is not None:
        builder.blocked_on(_int32(args[call.writes]), Wants.WRITE)


def _sendfile(builder: WaitBuilder, _: Syscall, out: int, source: int, *__: int) -> None:
    builder.blocked_on(_int32(out), Wants.WRITE)
    if builder.descriptors.resource(builder.thread.tid, _int32(source)).kind in STREAMS:
        builder.blocked_on(_int32(source), Wants.READ)


def _poll(builder: WaitBuilder, _: Syscall, fds: int, count: int, *__: int) -> None:
    count &= 0xFFFFFFFF
    if count > MAX_ITEMS:
        raise UnreadableError(f"{count} descriptors")
    for fd, events, _returned in struct.iter_unpack("=ihh", memory(builder.thread.tid, fds, 8 * count)):
        if fd >= 0:
            builder.ready(fd, events & 0xFFFF | POLL_ALWAYS)


def _select(builder: WaitBuilder, _: Syscall, count: int, *args: int) -> None:
    count = _int32(count)
    if count > MAX_ITEMS:
        raise UnreadableError(f"{count} descriptors")
    for address, events in zip(args[:3], (POLL_IN, POLL_OUT, POLL_CHANGES), strict=True):
        if address:
            for fd in members(memory(builder.thread.tid, address, (count + 63) // 64 * 8), count):
                builder.ready(fd, events)


def _epoll(builder: WaitBuilder, _: Syscall, fd: int, *__: int) -> None:
    if builder.descriptors.resource(builder.thread.tid, _int32(fd)).kind is not ResourceKind.EPOLL:
        raise UnreadableError("its epoll descriptor is closed")
    builder.expand(_int32(fd))


def _futex(builder: WaitBuilder, _: Syscall, word: int, operation: int, __: int, timeout: int, *___: int) -> None:
    command = operation & 0x7F
    if command not in (FUTEX_WAIT, FUTEX_WAIT_BITSET):
        raise UnreadableError(f"operation {command}")
    _woken_by_own_process(builder, word, bool(operation & FUTEX_PRIVATE))
    if command == FUTEX_WAIT:
        _relative(builder, timeout)
    else:
        _absolute(builder, timeout, 0 if operation & FUTEX_REALTIME else 1)


def _futex_wait(builder: WaitBuilder, _: Syscall, word: int, *args: int) -> None:
    _value, _mask, flags, timeout, clock = args
    _woken_by_own_process(builder, word, bool(flags & FUTEX2_PRIVATE))
    _absolute(builder, timeout, _int32(clock))


def _futex_waitv(builder: WaitBuilder, _: Syscall, waiters: int, count: int, *args: int) -> None:
    _flags, timeout, clock, *__ = args
    words = memory(builder.thread.tid, waiters, 24 * min(count, 128))
    for _value, word, flags, _reserved in struct.iter_unpack("=QQII", words):
        _woken_by_own_process(builder, word, bool(flags & FUTEX2_PRIVATE))
    _absolute(builder, timeout, _int32(clock))


def _woken_by_own_process(builder: WaitBuilder, word: int, private: bool) -> None:
    """A futex without the private flag is private all the same if its memory is: its key is the process's then."""
    if not private and not in_private_memory(builder.thread.tid, word):
        raise UnreadableError("in shared memory: any process that maps it may wake it")
    builder.dynamic = True
    builder.wait_for(Resource.process(builder.thread.pid), Wants.WAKE)


def _wait4(builder: WaitBuilder, _: Syscall, pid: int, *__: int) -> None:
    pid = _int32(pid)
    _children(builder, pid if pid > 0 else None)


def _waitid(builder: WaitBuilder, _: Syscall, kind: int, number: int, *__: int) -> None:
    if _int32(kind) not in (P_ALL, P_PID):
        _children(builder, None)
    else:
        _children(builder, number if _int32(kind) == P_PID else None)


def _children(builder: WaitBuilder, pid: int | None) -> None:
    """Waits for the child `pid`, as the waiter's PID namespace numbers it, or for any child if no child has it.

    One child too many is safe. A descendant may become a child: of a subreaper (PR_SET_CHILD_SUBREAPER), and of the
    first process of a PID namespace. A process that the waiter traces counts as its child.
    """
    builder.dynamic = True
    tracees = builder.tracees(builder.thread.pid)
    children = children_of(builder.thread.pid) + tracees
    if not children:
        raise UnreadableError("waits for a process that is not its child")
    meant = [child for child in children if pid in numbers_of(child)]
    for child in meant or dict.fromkeys((*descendants(builder.thread.pid)[1:], *tracees)):
        builder.wait_for(Resource.process(child), Wants.END)


def _nanosleep(builder: WaitBuilder, _: Syscall, request: int, *__: int) -> None:
    _relative(builder, request)


def _clock_nanosleep(builder: WaitBuilder, _: Syscall, clock: int, flags: int, request: int, *__: int) -> None:
    if flags & TIMER_ABSTIME:
        _absolute(builder, request, _int32(clock))
    elif _int32(clock) in (0, 1, 7):
        _relative(builder, request)
    else:
        builder.ends_at(None)


def _pause(builder: WaitBuilder, *_: object) -> None:
    """Waits for a signal that has a handler. If the process has no handler at all, nothing ends the wait: no items."""
    caught = re.search(r"^SigCgt:\s*(\w+)", text_of(f"{builder.thread.folder}/status"), re.MULTILINE)
    if caught is None or int(caught[1], 16):
        raise UnreadableError("waits for a signal, whoever sends it")


def _sigtimedwait(builder: WaitBuilder, _: Syscall, __: int, ___: int, timeout: int, *____: int) -> None:
    _relative(builder, timeout)
    raise UnreadableError("waits for a signal, whoever sends it")


def _relative(builder: WaitBuilder, address: int) -> None:
    if address:
        builder.ends_at(builder.deadlines.after(builder.thread, timespec(builder.thread.tid, address, 1)))


def _absolute(builder: WaitBuilder, address: int, clock: int) -> None:
    if address:
        builder.ends_at(builder.deadlines.at(builder.thread, clock, timespec(builder.thread.tid, address, 1)))


_READERS: dict[Form, Callable[..., None]] = {
    Form.TRANSFER: _descriptors,
    Form.SENDFILE: _sendfile,
    Form.HANDSHAKE: _descriptors,
    Form.POLL: _poll,
    Form.SELECT: _select,
    Form.EPOLL: _epoll,
    Form.FUTEX: _futex,
    Form.FUTEX_WAIT: _futex_wait,
    Form.FUTEX_WAITV: _futex_waitv,
    Form.WAIT4: _wait4,
    Form.WAITID: _waitid,
    Form.NANOSLEEP: _nanosleep,
    Form.CLOCK_NANOSLEEP: _clock_nanosleep,
    Form.PAUSE: _pause,
    Form.SIGTIMEDWAIT: _sigtimedwait,
}


def _int32(value: int) -> int:
    """An argument that the kernel takes as int: the upper half of the register means nothing."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value
