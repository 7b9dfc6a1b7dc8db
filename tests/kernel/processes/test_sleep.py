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


SUPERVISED = """
c, s = connection()
rules = ((0x20, 0, 0, 0), (0x15, 0, 1, {call}), (0x06, 0, 0, 0x7FC00000), (0x06, 0, 0, 0x7FFF0000))
filters = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in rules))
program = ctypes.create_string_buffer(struct.pack("=H6xQ", len(rules), ctypes.addressof(filters)))
libc.prctl(38, 1, 0, 0, 0); say(libc.syscall({seccomp}, 1, 8, program)); c.recv(1)
"""
"""SECCOMP_RET_USER_NOTIF for one call, and nobody answers."""


def test_a_call_that_a_supervisor_holds_has_not_begun_to_wait() -> None:
    call, x86 = BY_NAME["recvfrom"], os.uname().machine == "x86_64"
    code = SUPERVISED.format(call=call.x86_64 if x86 else call.aarch64, seccomp=317 if x86 else 277)
    with sleeper(code) as program:
        assert int(program.words[0]) >= 0
        assert "a supervisor decides" in str(program.wait("recvfrom").unknown)


def test_every_form_has_its_functions_and_what_is_in_no_argument_has_none() -> None:
    assert OWN_WAITS.keys() == set(Form)
    assert [form for form, functions in OWN_WAITS.items() if not functions] == [Form.NOWHERE]
