"""Finds the pipes into which the kernel itself writes: autofs asks for a mount when a program looks up a name.

The kernel's end is in no descriptor table. `pipe_ino` is an option of the mount (autofs_show_options()).
"""

import contextlib
import os
import re

from lab.kernel.procfs import mounts_of

_PIPE = re.compile(r" - autofs .*\bpipe_ino=(\d+)")


def autofs_pipes() -> frozenset[int]:
    """The inodes of the pipes of all mount namespaces that a process is in: 4 us a process, 50 us a namespace."""
    seen: set[str] = set()
    found: set[int] = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        # What is hidden from us is not searched: the unread tables qualify every proof.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            namespace = os.readlink(f"/proc/{name}/ns/mnt")
            if namespace not in seen:
                found |= {int(pipe[1]) for line in mounts_of(int(name)) if (pipe := _PIPE.search(line))}
                seen.add(namespace)
    return frozenset(found)
