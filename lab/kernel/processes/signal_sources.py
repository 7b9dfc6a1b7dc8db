"""Tells by which descriptors the kernel may signal a process, or another one, for what somebody else does.

What comes to a descriptor with O_ASYNC, what breaks a lease, and what happens in a directory (F_NOTIFY) signals the
owner of the file: fcntl(2), F_SETOWN. A message signals the process that asked for it: mq_notify(3).
"""

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from functools import cache

from lab.kernel.processes.descriptors import TaskDescriptor, fdinfo, links_of, with_tables
from lab.kernel.processes.socket_options import copy_of
from lab.kernel.procfs import has_ended, mounts_of, process_of

_ASYNCHRONOUS = re.compile(r"^flags:\s*[0-7]*[2367][0-7]{4}$|^lock:.* (?:LEASE|DELEG) ", re.MULTILINE)
"""O_ASYNC is 020000."""
_MOUNT = re.compile(r"^mnt_id:\s*(\d+)", re.MULTILINE)
MEMFD = "/memfd:"


def raises_signals(pid: int) -> bool | None:
    """Whether what comes to a descriptor of a process raises a signal. None if that cannot be read."""
    try:
        return any(True for _ in _asynchronous(pid)) or any(True for _ in _notifying(pid))
    except PermissionError:
        return None
    except (FileNotFoundError, ProcessLookupError):
        return False if has_ended(pid) else None


def signal_owners(pid: int) -> Iterator[int]:
    """The processes that get a signal by what comes to a descriptor of this one (F_SETOWN): mostly itself.

    The owner may be a thread (F_SETOWN_EX): then its process is meant. A negative number is a process group. Raises
    PermissionError.
    """
    for place in _asynchronous(pid):
        if owner := _owner(*place):
            yield owner if owner < 0 else process_of(owner) or owner


def _asynchronous(pid: int) -> Iterator[TaskDescriptor]:
    """Its descriptors with O_ASYNC, or with a lease."""
    for task in with_tables(pid):
        for fd in map(int, os.listdir(f"/proc/{task}/fdinfo")):
            if _ASYNCHRONOUS.search(fdinfo(task, fd)):
                yield task, fd


def _notifying(pid: int) -> Iterator[TaskDescriptor]:
    """Its files that have an owner: F_NOTIFY of a directory sets it (fcntl_dirnotify()), and no flag shows that."""
    for task in with_tables(pid):
        for fd, link in links_of(task):
            if link.startswith("/") and _owner(task, fd):
                yield task, fd


def _owner(task: int, fd: int) -> int:
    """Who gets the signals of a file; 0: nobody, or it is closed. Raises PermissionError if it may not be copied."""
    copy = copy_of(task, fd)
    if isinstance(copy, str):
        if os.path.lexists(f"/proc/{task}/fd/{fd}"):
            raise PermissionError(copy)
        return 0
    try:
        return fcntl.fcntl(copy, fcntl.F_GETOWN)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return 0  # of O_PATH, by which nothing can be asked for
    finally:
        os.close(copy)


def has_message_queue(pid: int) -> bool:
    """Whether a descriptor of a process is a POSIX message queue (mq_overview(7)). Raises PermissionError."""
    for task in with_tables(pid):
        kinds = _mounts(task)
        for fd, link in links_of(task):
            if link.startswith("/") and not link.startswith(MEMFD) and is_message_queue(task, fd, link, kinds):
                return True
    return False


def is_message_queue(task: int, fd: int, link: str, kinds: dict[str, str]) -> bool:
    """Whether a file lies in a file system `mqueue`, or in a mount that no mount namespace shows, as queues do.

    The files of memfd_create(2) lie in such a mount as well, which is always the same.
    """
    found = _MOUNT.search(fdinfo(task, fd))
    if found is None:
        return False
    if found[1] in kinds:
        return kinds[found[1]] == "mqueue"
    try:
        return link.count("/") == 1 and os.stat(f"/proc/{task}/fd/{fd}").st_dev != _memfd_device()  # noqa: PTH116
    except (FileNotFoundError, ProcessLookupError):
        return False


def _mounts(task: int) -> dict[str, str]:
    """The file systems of a task's mount namespace, by the number of the mount (proc_pid_mountinfo(5))."""
    return {line.split(" ", 1)[0]: line.partition(" - ")[2].split(" ", 1)[0] for line in mounts_of(task)}


@cache
def _memfd_device() -> int:
    own = os.memfd_create("")
    try:
        return os.fstat(own).st_dev
    finally:
        os.close(own)
