"""Reads the options that another process has set on a socket, through a copy of its descriptor.

The copy is closed at once. pidfd_getfd(2) needs PTRACE_MODE_ATTACH permission and attaches to nothing. This module
calls getsockopt(2) itself: Python's socket class may set O_NONBLOCK, and the owner shares that flag.
"""

import ctypes
import os
import socket
import struct
import sys
from dataclasses import dataclass

from lab.kernel.processes.kcmp import KcmpType, same
from lab.kernel.procfs import process_of

SYS_PIDFD_GETFD = 438
"""The same on every architecture (asm-generic/unistd.h)."""
PIDFD_THREAD = os.O_EXCL
TCP_USER_TIMEOUT = 18
SO_BUF_LOCK, SOCK_SNDBUF_LOCK, SOCK_RCVBUF_LOCK = 72, 1, 2
TCP_WINDOW_CLAMP, TCP_NOTSENT_LOWAT, TCP_ULP, ULP_NAME_MAX = 10, 25, 31, 16
ERROR_QUEUE = {
    "SO_TIMESTAMPING": (socket.SOL_SOCKET, 37),
    "SO_ZEROCOPY": (socket.SOL_SOCKET, 60),
    "IP_RECVERR": (socket.IPPROTO_IP, 11),
    "IPV6_RECVERR": (socket.IPPROTO_IPV6, 25),
}
"""asm-generic/socket.h, linux/in.h, linux/in6.h."""

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class ProgramOptions:
    """0 is none."""

    send_timeout_ns: int
    receive_timeout_ns: int
    user_timeout_ms: int
    """Of TCP; 0 for other sockets."""
    sndbuf_locked: bool | None
    """Whether SO_SNDBUF was set, so that the kernel leaves the size alone; None before Linux 5.15 (SO_BUF_LOCK)."""
    rcvbuf_locked: bool | None
    """Likewise SO_RCVBUF."""
    window_clamp: int
    """TCP_WINDOW_CLAMP, in bytes; 0 for other sockets."""
    notsent_lowat: int
    """TCP_NOTSENT_LOWAT, in bytes; 0: as the sysctl says."""
    ulp: str
    """TCP_ULP: tls, mptcp, ...; empty: nothing, or no TCP socket."""
    error_queue: str
    """The options by which something may come to its error queue; empty: none."""


def _pidfd_of(task: int) -> int | str:
    """Or why there is none.

    Before Linux 6.9 (PIDFD_THREAD) only a process can be asked, by its first thread: another thread's table is the same
    one there, or is not read.
    """
    try:
        return os.pidfd_open(task, PIDFD_THREAD)
    except OSError:
        process = process_of(task)
        if process is None or (process != task and not same(KcmpType.TABLE, task, process)):
            return f"socket options of task {task}: its descriptors are not its process's"
        try:
            return os.pidfd_open(process)
        except OSError as error:
            return f"socket options of process {process}: {error.strerror}"


def copy_of(task: int, fd: int) -> int | str:
    """A copy of a thread's descriptor, to be closed; or why it cannot be had (pidfd_getfd(2))."""
    pidfd = _pidfd_of(task)
    if isinstance(pidfd, str):
        return pidfd
    try:
        copy = int(_libc.syscall(SYS_PIDFD_GETFD, pidfd, fd, 0))
        if copy < 0:
            return f"socket options of task {task}: {os.strerror(ctypes.get_errno())}; needs CAP_SYS_PTRACE"
        return copy
    finally:
        os.close(pidfd)


def options_of(task: int, fd: int) -> ProgramOptions | str:
    """The options of the socket behind a thread's descriptor, or why they cannot be read. 10 us."""
    copy = copy_of(task, fd)
    if isinstance(copy, str):
        return copy
    try:
        locks = _get(copy, socket.SOL_SOCKET, SO_BUF_LOCK, 4)
        return ProgramOptions(
            send_timeout_ns=_timeval(copy, socket.SO_SNDTIMEO),
            receive_timeout_ns=_timeval(copy, socket.SO_RCVTIMEO),
            user_timeout_ms=_number(copy, socket.IPPROTO_TCP, TCP_USER_TIMEOUT),
            sndbuf_locked=_has(locks, SOCK_SNDBUF_LOCK),
            rcvbuf_locked=_has(locks, SOCK_RCVBUF_LOCK),
            window_clamp=_number(copy, socket.IPPROTO_TCP, TCP_WINDOW_CLAMP),
            notsent_lowat=_number(copy, socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT),
            ulp=(_get(copy, socket.IPPROTO_TCP, TCP_ULP, ULP_NAME_MAX) or b"").partition(b"\0")[0].decode(),
            error_queue=", ".join(name for name, where in ERROR_QUEUE.items() if _number(copy, *where)),
        )
    finally:
        os.close(copy)


def _timeval(fd: int, option: int) -> int:
    seconds, microseconds = struct.unpack("=qq", _get(fd, socket.SOL_SOCKET, option, 16) or bytes(16))
    return int(seconds) * 1_000_000_000 + int(microseconds) * 1000


def _number(fd: int, level: int, option: int) -> int:
    return int.from_bytes(_get(fd, level, option, 4) or b"", sys.byteorder)


def _has(flags: bytes | None, flag: int) -> bool | None:
    return None if flags is None else bool(int.from_bytes(flags, sys.byteorder) & flag)


def _get(fd: int, level: int, option: int, size: int) -> bytes | None:
    """None where the socket, or this kernel, has no such option."""
    value = ctypes.create_string_buffer(size)
    length = ctypes.c_uint32(size)
    if _libc.getsockopt(fd, level, option, value, ctypes.byref(length)) != 0:
        return None
    return value.raw[: length.value]
