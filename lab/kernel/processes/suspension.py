"""Tells whether a thread is suspended: stopped by a signal, by a debugger, or by a cgroup freezer of either version.

A suspended thread shows the system call that it was in. It is not blocked in it: when the thread goes on, the call may
return at once, with fewer bytes than were asked for.
"""

import os
from functools import cache
from pathlib import Path

from lab.kernel.processes.threads import TrackedThread
from lab.kernel.procfs import text_of

STOPPED = {"T": "stopped", "t": "traced"}
FROZEN_IN = {"__refrigerator", "do_freezer_trap"}
"""Kernel functions in which a frozen thread sleeps: version 1's and version 2's. Since Linux 6.1, version 1 leaves a
thread that sleeps in a freezable wait (epoll, futex, poll) where it is, in state D. Then its cgroup tells."""


def suspended(thread: TrackedThread) -> str | None:
    """'stopped', 'traced', 'frozen' or None."""
    if thread.line.state in STOPPED:
        return STOPPED[thread.line.state]
    wchan = thread.wchan()
    if wchan in FROZEN_IN or ((thread.line.state == "D" or not wchan) and _in_frozen_cgroup(thread)):
        return "frozen"
    return None


def _in_frozen_cgroup(thread: TrackedThread) -> bool:
    try:
        lines = text_of(Path(thread.folder, "cgroup")).splitlines()
    except OSError:
        return False
    return any(_is_frozen(*line.split(":", 2)[1:]) for line in lines)


def _is_frozen(controllers: str, path: str) -> bool:
    """Both files show the effective state: a group is frozen if its parent is."""
    version_1, version_2 = _mounts()
    try:
        if "freezer" in controllers.split(",") and version_1:
            return (Path(version_1 + path) / "freezer.state").read_text().strip() != "THAWED"
        if not controllers and version_2:
            return "frozen 1" in (Path(version_2 + path) / "cgroup.events").read_text().splitlines()
    except OSError:
        return False
    return False


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
