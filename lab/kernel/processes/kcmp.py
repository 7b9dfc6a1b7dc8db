"""Tells whether two tasks share an open file, their memory or their descriptor table: kcmp(2), 1 us each.

Needs CONFIG_KCMP, which every distribution has, and PTRACE_MODE_READ of both.
"""

import ctypes
import errno
import os
import struct
from enum import IntEnum

_libc = ctypes.CDLL(None, use_errno=True)
_NUMBER = {"x86_64": 312, "aarch64": 272}.get(os.uname().machine)
_REFUSALS = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


class KcmpType(IntEnum):
    """What is compared (linux/kcmp.h)."""

    FILE = 0
    MEMORY = 1
    TABLE = 2
    EPOLL_MEMBER = 7


def same(kind: KcmpType, one: int, other: int, first: int = 0, second: int = 0) -> bool | None:
    """Whether tasks `one` and `other` share it; `first` and `second` are their descriptors. None: the kernel refuses.

    False also if one of them has no such descriptor any more, or has ended.
    """
    if _NUMBER is None:
        return None
    arguments = (ctypes.c_ulong(each) for each in (one, other, kind, first, second))
    found = _libc.syscall(_NUMBER, *arguments)
    if found < 0:
        return None if ctypes.get_errno() in _REFUSALS else False
    return bool(found == 0)


def is_epoll_member(task: int, fd: int, epoll: int, number: int, nth: int) -> bool | None:
    """Whether descriptor `fd` is still the file that an epoll set of the same task has under `number`.

    If a program closes a file and reuses its number, the set has several files under that number: `nth` counts them.
    """
    slot = ctypes.create_string_buffer(struct.pack("=3I", epoll, number, nth), 12)
    return same(KcmpType.EPOLL_MEMBER, task, task, fd, ctypes.addressof(slot))
