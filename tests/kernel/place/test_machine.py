"""What the machine can spare is the kernel's figure, and what is slow to import is imported without side effects."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.kernel.place import machine

ROOT = Path(__file__).parents[3]


def test_only_the_cores_that_this_process_may_run_on_count() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert machine.cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert machine.cores() == len(before)


def test_ticks_pass_and_work_is_not_idle() -> None:
    idle, total = machine.ticks()
    assert 0 < idle < total
    while machine.ticks()[1] < total + 10:  # this loop is work
        pass
    later_idle, later_total = machine.ticks()
    assert later_total - total > later_idle - idle


def test_available_memory_is_a_part_of_all() -> None:
    assert 0 < machine.available_memory() < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("call", "imported", "not_imported"),
    [
        ("load_rtnetlink", "pyroute2.iproute.linux", "scapy"),
        ("load_scapy", "scapy.arch.linux", "pyroute2.iproute"),
        ("warm", "scapy.arch.linux", "pyroute2.ndb"),
    ],
)
def test_what_is_loaded_is_that_alone_and_the_process_stays_in_its_namespace(
    call: str, imported: str, not_imported: str
) -> None:
    code = (
        "import os, sys, threading; from lab.kernel.place import machine\n"
        "before = os.readlink('/proc/self/ns/net'), os.listdir('/proc/self/fd')\n"
        f"machine.{call}()\n"
        "print(before == (os.readlink('/proc/self/ns/net'), os.listdir('/proc/self/fd')), threading.active_count())\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    as_before, modules = done.stdout.splitlines()
    assert as_before == "True 1"
    assert imported in modules.split()
    assert not_imported not in modules.split()
