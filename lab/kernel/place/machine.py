"""What this machine can spare, and the imports that take long, done once and early."""

import os
from pathlib import Path

from lab.errors import EnvironmentLacksError
from lab.kernel.place.netns import Namespace
from lab.kernel.place.pyroute2_parts import import_parts_only


def warm() -> None:
    """Import what is imported late elsewhere: 0.3 s and 40 MB, spent once instead of in each forked child."""
    load_rtnetlink()
    load_scapy()


def load_rtnetlink() -> None:
    """What `link` needs of pyroute2."""
    import_parts_only()
    import pyroute2.iproute.linux  # noqa: F401, PLC0415


def load_scapy() -> None:
    """scapy asks for all interfaces when it is imported, 10 ms each. So it is imported in a namespace without any."""
    try:
        with Namespace.create() as empty:
            empty.call(_load_scapy)
    except EnvironmentLacksError:
        _load_scapy()


def _load_scapy() -> None:
    import scapy.arch.linux  # noqa: F401, PLC0415


def cores() -> int:
    """The number of cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def ticks() -> tuple[int, int]:
    """Idle ticks and all ticks, summed over all cores, since the machine started (proc_stat(5))."""
    first, _, _ = Path("/proc/stat").read_text().partition("\n")
    numbers = [int(each) for each in first.split()[1:9]]  # the fields after these are in user and nice already
    return numbers[3] + numbers[4], sum(numbers)


def available_memory() -> int:
    """Bytes (MemAvailable of proc_meminfo(5))."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) * 1024
