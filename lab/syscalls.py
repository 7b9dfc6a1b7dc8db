"""The system calls in which the lab knows what a thread waits for: one table, one row a call.

A call with arguments of a known form needs a row here and nothing else; a new form needs a reader as well
(`lab.kernel.processes.waits`). Numbers: asm/unistd_64.h and asm-generic/unistd.h. Arguments: the man page of each call.
"""

from dataclasses import dataclass
from enum import Enum, auto


class Form(Enum):
    """Where a call's arguments say what it waits for."""

    TRANSFER = auto()
    """In one or two descriptors: it moves bytes."""
    SENDFILE = auto()
    """Likewise, but a file that it reads from is never waited for."""
    HANDSHAKE = auto()
    """In one descriptor: it opens a connection, or takes one that was opened."""
    POLL = auto()
    SELECT = auto()
    EPOLL = auto()
    FUTEX = auto()
    FUTEX_WAIT = auto()
    FUTEX_WAITV = auto()
    WAIT4 = auto()
    WAITID = auto()
    NANOSLEEP = auto()
    CLOCK_NANOSLEEP = auto()
    PAUSE = auto()
    """For a signal with a handler."""
    SIGTIMEDWAIT = auto()
    """For a signal, blocked or not."""
    NOWHERE = auto()
    """Not in them: restart_syscall(2) goes on with what only the kernel knows, io_uring_enter(2) with its ring."""


class TimeLimit(Enum):
    """How a call says how long it waits."""

    MILLISECONDS = auto()
    """In the argument itself; negative is no limit."""
    TIMESPEC = auto()
    """In memory that the argument points to; NULL is no limit."""
    TIMEVAL = auto()
    BETWEEN = auto()
    """Like TIMESPEC, but it is compared only when something has come: nobody knows when the call ends."""


@dataclass(frozen=True, slots=True)
class Syscall:
    """One system call. Arguments count from 0."""

    name: str
    x86_64: int | None
    aarch64: int | None
    form: Form
    reads: int | None = None
    """The argument that is the descriptor from which it waits to read, or to accept."""
    writes: int | None = None
    """The argument that is the descriptor to which it waits to write, or which it connects."""
    size: int | None = None
    """The argument that is the number of bytes to read or write."""
    limit: tuple[int, TimeLimit] | None = None
    """The argument that limits the time, for the forms that do not settle it by themselves."""

    @property
    def polls(self) -> bool:
        """It waits for events of descriptors: SO_SNDTIMEO and SO_RCVTIMEO do not limit it."""
        return self.form in (Form.POLL, Form.SELECT, Form.EPOLL)


_MS, _TIMESPEC, _TIMEVAL, _BETWEEN = TimeLimit.MILLISECONDS, TimeLimit.TIMESPEC, TimeLimit.TIMEVAL, TimeLimit.BETWEEN

TABLE = (
    # name, number on x86_64, on aarch64, form
    Syscall("read", 0, 63, Form.TRANSFER, reads=0, size=2),
    Syscall("readv", 19, 65, Form.TRANSFER, reads=0),
    Syscall("pread64", 17, 67, Form.TRANSFER, reads=0, size=2),
    Syscall("preadv2", 327, 286, Form.TRANSFER, reads=0),
    Syscall("recvfrom", 45, 207, Form.TRANSFER, reads=0, size=2),
    Syscall("recvmsg", 47, 212, Form.TRANSFER, reads=0),
    Syscall("recvmmsg", 299, 243, Form.TRANSFER, reads=0, limit=(4, _BETWEEN)),
    Syscall("write", 1, 64, Form.TRANSFER, writes=0, size=2),
    Syscall("writev", 20, 66, Form.TRANSFER, writes=0),
    Syscall("pwrite64", 18, 68, Form.TRANSFER, writes=0, size=2),
    Syscall("pwritev2", 328, 287, Form.TRANSFER, writes=0),
    Syscall("sendto", 44, 206, Form.TRANSFER, writes=0, size=2),
    Syscall("sendmsg", 46, 211, Form.TRANSFER, writes=0),
    Syscall("sendmmsg", 307, 269, Form.TRANSFER, writes=0),
    Syscall("splice", 275, 76, Form.TRANSFER, reads=0, writes=2),
    Syscall("sendfile", 40, 71, Form.SENDFILE, reads=1, writes=0),
    Syscall("accept", 43, 202, Form.HANDSHAKE, reads=0),
    Syscall("accept4", 288, 242, Form.HANDSHAKE, reads=0),
    Syscall("connect", 42, 203, Form.HANDSHAKE, writes=0),
    Syscall("poll", 7, None, Form.POLL, limit=(2, _MS)),
    Syscall("ppoll", 271, 73, Form.POLL, limit=(2, _TIMESPEC)),
    Syscall("select", 23, None, Form.SELECT, limit=(4, _TIMEVAL)),
    Syscall("pselect6", 270, 72, Form.SELECT, limit=(4, _TIMESPEC)),
    Syscall("epoll_wait", 232, None, Form.EPOLL, limit=(3, _MS)),
    Syscall("epoll_pwait", 281, 22, Form.EPOLL, limit=(3, _MS)),
    Syscall("epoll_pwait2", 441, 441, Form.EPOLL, limit=(3, _TIMESPEC)),
    Syscall("futex", 202, 98, Form.FUTEX),
    Syscall("futex_waitv", 449, 449, Form.FUTEX_WAITV),
    Syscall("futex_wait", 455, 455, Form.FUTEX_WAIT),
    Syscall("wait4", 61, 260, Form.WAIT4),
    Syscall("waitid", 247, 95, Form.WAITID),
    Syscall("nanosleep", 35, 101, Form.NANOSLEEP),
    Syscall("clock_nanosleep", 230, 115, Form.CLOCK_NANOSLEEP),
    Syscall("pause", 34, None, Form.PAUSE),
    Syscall("rt_sigsuspend", 130, 133, Form.PAUSE),
    Syscall("rt_sigtimedwait", 128, 137, Form.SIGTIMEDWAIT),
    Syscall("restart_syscall", 219, 128, Form.NOWHERE),
    Syscall("io_uring_enter", 426, 426, Form.NOWHERE),
)

BY_NAME = {each.name: each for each in TABLE}
BY_NUMBER = {
    "x86_64": {each.x86_64: each for each in TABLE if each.x86_64 is not None},
    "aarch64": {each.aarch64: each for each in TABLE if each.aarch64 is not None},
}
"""By the machine, as uname(2) calls it."""

POLLS = frozenset(each.name for each in TABLE if each.polls)
SENDS = frozenset(each.name for each in TABLE if each.form is Form.TRANSFER and each.reads is None)
"""Calls that wait for room in one descriptor."""
RECEIVES = frozenset(each.name for each in TABLE if each.form is Form.TRANSFER and each.writes is None)
"""Calls that wait for data of one descriptor."""
ON_ONE_DESCRIPTOR = SENDS | RECEIVES | {each.name for each in TABLE if each.form is Form.HANDSHAKE}


def size_to_write(name: str | None, args: tuple[int, ...]) -> int | None:
    """How many bytes a call was given to write, if an argument says it."""
    call = BY_NAME.get(name or "")
    if call is None or call.writes is None or call.size is None or call.size >= len(args):
        return None
    return args[call.size]
