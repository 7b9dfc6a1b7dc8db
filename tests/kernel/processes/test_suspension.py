"""A thread that is stopped, traced or frozen is told from one that is blocked."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.kernel.processes.suspension import suspended
from tests.kernel.sleepers import sleeper
from tests.waiting import seen, until

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17


def test_a_stopped_thread_is_suspended() -> None:
    with sleeper("r, w = os.pipe(); say('x'); os.read(r, 1)") as program:
        assert program.asleep("read").line.state == "S"
        os.kill(program.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, program.pid, os.WSTOPPED | os.WNOWAIT)
        program.wait("read")
        assert program.asleep("read").suspended == "stopped"


@contextmanager
def frozen_group(pid: int) -> Iterator[None]:
    """The process in a frozen cgroup of its own, of the version that this machine has."""
    version_1 = Path("/sys/fs/cgroup/freezer")
    root = version_1 if version_1.is_dir() else Path("/sys/fs/cgroup")
    knob, on, off = ("freezer.state", "FROZEN", "THAWED") if root is version_1 else ("cgroup.freeze", "1", "0")
    group = root / f"lab-test-{pid}"
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(pid))
        (group / knob).write_text(on)
        yield
    finally:
        (group / knob).write_text(off)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not (group / "cgroup.procs").read_text(), what="an empty group")
        group.rmdir()


@pytest.mark.parametrize(
    ("statement", "call"),
    [
        ("os.read(os.pipe()[0], 1)", "read"),
        ("select.epoll().poll()", "epoll_wait"),
        ("threading.Event().wait()", "futex"),
    ],
)
def test_a_frozen_thread_is_suspended(statement: str, call: str) -> None:
    """In each of the two ways of the version 1 freezer: woken to be frozen, or frozen where it sleeps."""
    with sleeper(f"say('x'); {statement}") as program:
        assert program.asleep(call).line.state == "S"
        with frozen_group(program.pid):
            thread = seen(lambda: program.asleep(call), lambda thread: thread.line.state == "D")
            program.wait(call)
            assert thread.suspended == "frozen"


TRACED = """
import os, time
r, w = os.pipe(); child = os.fork()
if child == 0: os.read(r, 1)
libc.ptrace({seize}, child, None, None); libc.ptrace({interrupt}, child, None, None)
os.waitpid(child, 0x40000000); say(child); time.sleep(60)
"""


def test_a_thread_that_a_debugger_has_stopped_is_traced() -> None:
    with sleeper(TRACED.format(seize=PTRACE_SEIZE, interrupt=PTRACE_INTERRUPT)) as program:
        (thread,) = program.threads.of(int(program.words[0]))
        thread.read()
        comm = Path(f"/proc/{program.pid}/comm").read_text().strip()
        assert suspended(thread) == f"traced by {program.pid} {comm}"
        os.kill(thread.pid, signal.SIGKILL)


def test_a_thread_that_sleeps_or_runs_is_not_suspended() -> None:
    with sleeper("say('x'); os.read(os.pipe()[0], 1)") as program:
        assert suspended(program.asleep("read")) is None
    with sleeper("say('x')\nwhile True: pass") as program:
        (thread,) = program.threads.of(program.pid)
        thread.read()
        assert suspended(thread) is None
