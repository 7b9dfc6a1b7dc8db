"""What this machine has to spare, and how a process gets ready to be forked many times."""

import os
from pathlib import Path

from lab.kernel import capture


def warm() -> None:
    """Import what is imported late elsewhere: 0.5 s and 40 MB, once instead of in each forked child."""
    import pyroute2  # noqa: F401, PLC0415

    capture.load()


def cores() -> int:
    """That this process may run on."""
    return len(os.sched_getaffinity(0))


def ticks() -> tuple[int, int]:
    """Idle, and in all, of all cores since the machine started (proc_stat(5))."""
    first, _, _ = Path("/proc/stat").read_text().partition("\n")
    numbers = [int(each) for each in first.split()[1:9]]  # what comes after is in user and nice already
    return numbers[3] + numbers[4], sum(numbers)


def available_memory() -> int:
    """Bytes (MemAvailable of proc_meminfo(5))."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) * 1024
