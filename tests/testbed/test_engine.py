"""Whose a container is: its owner's mark says which process made it, and whether that still lives."""

import os
import signal
import subprocess
from pathlib import Path

from lab.kernel import procfs
from lab.testbed import engine


def mark(pid: int, **changed: str) -> str:
    parts = {
        "pid": str(pid),
        "start": str(procfs.start_of(pid)),
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "namespace": str(Path("/proc/self/ns/pid").stat().st_ino),
    }
    return ":".join((parts | changed).values())


def test_this_lab_lives() -> None:
    assert engine.this_lab() == mark(os.getpid())
    assert engine.lives(engine.this_lab()) is True


def test_a_killed_process_lives_no_more_even_before_it_is_reaped() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        owner = mark(process.pid)
        assert engine.lives(owner) is True
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert engine.lives(owner) is False
    assert process.returncode == -signal.SIGKILL
    assert engine.lives(owner) is False


def test_a_number_that_another_process_has_by_now_is_no_sign_of_life() -> None:
    assert engine.lives(mark(os.getpid(), start="1")) is False


def test_no_lab_outlives_a_boot() -> None:
    assert engine.lives(mark(os.getpid(), boot="00000000-0000-0000-0000-000000000000")) is False


def test_of_another_pid_namespace_nothing_is_known() -> None:
    assert engine.lives(mark(os.getpid(), namespace="1")) is None


def test_what_is_no_mark_of_ours_is_not_understood() -> None:
    for owner in ("", "1", "a:b:c:d", "1:2:3:4:5"):
        assert engine.lives(owner) is None
