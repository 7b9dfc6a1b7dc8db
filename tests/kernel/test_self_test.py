"""What a run needs is tried for real, in a child: nothing of it is left, and a place that forbids it says so."""

import ctypes
import os
from pathlib import Path

import pytest

from lab.kernel import self_test
from lab.kernel.place import machine

PR_SET_DUMPABLE = 4
NAMES = {"namespaces", "sysctls", "capture", "inet_diag", "rcv_wnd", "waits"}


@pytest.mark.root
def test_as_root_all_works_and_nothing_is_left() -> None:
    namespace, descriptors = Path("/proc/self/ns/net").readlink(), os.listdir("/proc/self/fd")
    tried = self_test.run_needs()
    assert {name for name, each in tried.items() if each.works} == NAMES, tried
    assert Path("/proc/self/ns/net").readlink() == namespace
    assert os.listdir("/proc/self/fd") == descriptors


@pytest.mark.root
def test_without_root_all_works_in_a_user_namespace() -> None:
    # Imported first: the interpreter of these tests may lie where nobody else may read.
    machine.warm()
    "localhost".encode("idna")

    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # else /proc/self stays root's until an exec
            tried = self_test.run_needs()
            works = {name for name, each in tried.items() if each.works}
            status = 0 if works == NAMES and "without root" in tried["namespaces"].found else 1
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
