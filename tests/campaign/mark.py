"""A mark on the campaign's own processes, since others may play labs on this machine at the same time.

The mark is a resource limit. Whatever a process starts inherits it, through fork, exec, setsid and setuid, into every
kind of namespace, and it shows in /proc/PID/limits: no orphan loses it. Nobody uses POSIX message queues here, so their
limit in bytes is the mark. A container's processes are the engine's children, and have labels instead.
"""

import functools
import os
import resource
from collections.abc import Iterator
from pathlib import Path

USUAL = 819_200
"""Bytes: the kernel's own limit (MQ_BYTES_MAX)."""
_LINE = "Max msgqueue size"


@functools.cache
def mark() -> int:
    """Set the mark of this process, which its children inherit.

    It is below the present limit, since raising one takes a privilege. So the mark of a process that was started by a
    marked one is smaller.
    """
    _, most = resource.getrlimit(resource.RLIMIT_MSGQUEUE)
    usual = most == resource.RLIM_INFINITY or most >= USUAL
    number = 100_000 + os.getpid() % 700_000 if usual else most - 1 - os.getpid() % 97
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, (number, number))
    return number


def marked() -> Iterator[int]:
    """All other processes with our mark, zombies too."""
    wanted = f"{mark()}"
    for folder in os.listdir("/proc"):
        if folder.isdecimal() and int(folder) != os.getpid() and _limit(int(folder)) == wanted:
            yield int(folder)


def _limit(pid: int) -> str | None:
    try:
        limits = Path(f"/proc/{pid}/limits").read_text()
    except OSError:
        return None
    return next((line.split()[3] for line in limits.splitlines() if line.startswith(_LINE)), None)
