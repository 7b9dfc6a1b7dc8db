"""Tells whether a thread is suspended: stopped by a signal, by a debugger, or by a cgroup freezer of either version.

A suspended thread shows the system call that it was in. It is not blocked in it: when the thread goes on, the call may
return at once, with fewer bytes than were asked for.
"""

import os
from functools import cache

from lab.kernel.processes.threads import TrackedThread
from lab.kernel.procfs import text_of, tracer_of

FROZEN_IN = frozenset({"__refrigerator", "do_freezer_trap", "get_signal"})
"""Where the freezers keep a thread that they had to wake: version 1, version 2, and version 2 where the compiler has
made one function of two (measured on 5.10, 6.1, 6.12 and 7.2)."""


def suspended(thread: TrackedThread) -> str | None:
    """'stopped', 'traced by PID COMM', 'frozen' or None.

    Version 1 leaves a thread that sleeps in a freezable wait (epoll, futex, poll) where it is: in state D since Linux
    6.1, in state S before. So the cgroup of every sleeping thread is asked.
    """
    if thread.line.state == "T":
        return "stopped"
    if thread.line.state == "t":
        return f"traced by {_tracer(thread)}".removesuffix(" by ")
    if thread.line.state == "R":
        return None
    return "frozen" if thread.sleeps_in() in FROZEN_IN or _in_frozen_cgroup(thread) else None


def _tracer(thread: TrackedThread) -> str:
    """Empty where it cannot be read, or has let go meanwhile."""
    try:
        pid = tracer_of(thread.folder)
        return f"{pid} {text_of(f'/proc/{pid}/comm').strip()}" if pid else ""
    except OSError:
        return ""


def _in_frozen_cgroup(thread: TrackedThread) -> bool:
    try:
        lines = text_of(f"{thread.folder}/cgroup").splitlines()
    except PermissionError:
        return False
    return any(_is_frozen(*line.split(":", 2)[1:]) for line in lines)


def _is_frozen(controllers: str, path: str) -> bool:
    """Of version 1 the effective state, a parent's included. Of version 2 the wish, of its own or of a parent: the
    kernel reports `frozen 1` only when every task has arrived."""
    version_1, version_2 = _mounts()
    if "freezer" in controllers.split(",") and version_1:
        return _says(f"{version_1}{path}/freezer.state") not in ("THAWED", None)
    if not controllers and version_2:
        folders = [version_2 + path[:end] for end, each in enumerate(f"{path}/") if each == "/" and end]
        return any(_says(f"{folder}/cgroup.freeze") == "1" for folder in folders)
    return False


def _says(file: str) -> str | None:
    """None where this namespace does not show the file."""
    try:
        return text_of(file).strip()
    except OSError:
        return None


@cache
def _mounts() -> tuple[str | None, str | None]:
    """Where the freezer of version 1 is mounted, and where version 2 is."""
    version_1 = version_2 = None
    for line in text_of("/proc/self/mounts").splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup2":
            version_2 = version_2 or os.fsdecode(where)
        elif kind == "cgroup" and "freezer" in options.split(","):
            version_1 = version_1 or os.fsdecode(where)
    return version_1, version_2
