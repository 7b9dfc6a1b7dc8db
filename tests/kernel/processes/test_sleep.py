"""Whether a thread sleeps in the wait of the call that it shows: by the kernel function that it sleeps in."""

import os

from lab.kernel.processes.sleep import OWN_WAITS, asleep_elsewhere
from lab.syscalls import BY_NAME, Form
from tests.kernel.sleepers import sleeper


def test_a_thread_in_the_wait_of_another_call_is_elsewhere() -> None:
    with sleeper("say('x'); os.read(os.pipe()[0], 1)") as program:
        thread = program.asleep("read")
        assert asleep_elsewhere(thread, BY_NAME["read"]) is None
        said = asleep_elsewhere(thread, BY_NAME["futex"])
        assert said is not None
        assert said.startswith("not known to be the wait of futex: ")


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


def test_every_form_of_a_call_has_the_functions_that_it_sleeps_in() -> None:
    assert OWN_WAITS.keys() == set(Form)
    assert [form for form, functions in OWN_WAITS.items() if not functions] == [Form.NOWHERE]
