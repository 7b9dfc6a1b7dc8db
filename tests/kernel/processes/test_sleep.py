"""A thread sleeps in its own call's wait, or elsewhere: then it is said where."""

import os
import signal

import pytest

from lab.kernel.processes.sleep import OWN_WAITS, asleep_elsewhere
from lab.kernel.processes.threads import TrackedThread
from lab.syscalls import BY_NAME, Form
from tests.kernel.nobody import as_nobody
from tests.kernel.sleepers import sleeper

TRACED = """
r, w = os.pipe(); child = os.fork()
if child == 0: os.read(r, 1)
libc.ptrace(0x4206, child, None, None); say(child); time.sleep(60)
"""
"""PTRACE_SEIZE, which stops nothing."""


@pytest.mark.parametrize(
    ("statement", "call"),
    [
        ("c.recv(1)", "recvfrom"),
        ("c.sendall(bytes(1 << 28))", "sendto"),
        ("socket.create_server(('127.0.0.1', 0)).accept()", "accept4"),
        ("os.read(os.pipe()[0], 1)", "read"),
        ("os.eventfd_read(os.eventfd(0))", "read"),
        ("a, b = socket.socketpair(); a.recv(1)", "recvfrom"),
        ("select.poll().poll()", "poll"),
        ("select.epoll().poll()", "epoll_wait"),
        ("threading.Event().wait()", "futex"),
        ("time.sleep(60)", "clock_nanosleep"),
        ("signal.pause()", "pause"),
    ],
)
def test_a_blocked_thread_sleeps_in_the_wait_of_its_call(statement: str, call: str) -> None:
    with sleeper(f"c, s = connection(); say('x'); {statement}") as program:
        assert asleep_elsewhere(program.asleep(call), BY_NAME[call]) is None


def test_a_function_of_another_call_is_named() -> None:
    with sleeper("say('x'); os.read(os.pipe()[0], 1)") as program:
        thread = program.asleep("read")
        said = asleep_elsewhere(thread, BY_NAME["poll"])
        assert said == f"not known to be the wait of poll: {thread.sleeps_in()}"


def test_where_nothing_tells_the_function_a_tracer_is_named() -> None:
    def told(pid: int) -> str | None:
        return asleep_elsewhere(TrackedThread(pid, pid), BY_NAME["read"])

    with sleeper(TRACED) as program:
        child = int(program.words[0])
        assert as_nobody(lambda: told(program.pid)) is None
        assert as_nobody(lambda: told(child)) == f"{program.pid} traces it, and nothing tells where it sleeps"
        os.kill(child, signal.SIGKILL)


def test_every_form_has_its_functions_and_what_is_in_no_argument_has_none() -> None:
    assert OWN_WAITS.keys() == set(Form)
    assert [form for form, functions in OWN_WAITS.items() if not functions] == [Form.NOWHERE]
