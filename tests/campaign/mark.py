"""What tells the campaign's own processes from everybody else's, who may play labs on this machine at the same time.

A resource limit is inherited by whatever a process starts, through fork, exec, setsid and setuid, into every kind of
namespace, and shows in /proc/PID/limits: no orphan loses it. Nobody uses POSIX message queues here, so the number of
their bytes serves as the mark; a container's processes are the engine's children and have their labels instead.
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
    """This process's mark, from now on its children's too. Below the limit that it has: to raise one takes a privilege.

    So who was started by a marked process has a smaller one.
    """
    _, most = resource.getrlimit(resource.RLIMIT_MSGQUEUE)
    usual = most == resource.RLIM_INFINITY or most >= USUAL
    number = 100_000 + os.getpid() % 700_000 if usual else most - 1 - os.getpid() % 97
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, (number, number))
    return number


def marked() -> Iterator[int]:
    """The processes that bear our mark, but for this one, zombies too."""
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
