"""By which descriptors the kernel may signal a process, or another one."""

import os
import signal

import pytest

from lab.kernel.processes.signal_sources import has_message_queue, raises_signals, signal_owners
from tests.kernel.sleepers import ONE_BYTE, sleeper

OWN_MOUNTS = "libc.unshare(0x20000); libc.mount(None, b'/', None, 0x44000, None); d = tempfile.mkdtemp()\n"
"""It lives as long as the program: unshare(2) with CLONE_NEWNS, and nothing of it is seen outside."""


@pytest.mark.parametrize(
    ("code", "raises"),
    [
        ("a, b = socket.socketpair()", False),
        ("a, b = socket.socketpair(); fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC)", True),
        ("f = tempfile.NamedTemporaryFile(); g = open(f.name); f.close(); fcntl.fcntl(g, 1024, 0)", True),
        ("d = os.open(tempfile.gettempdir(), os.O_RDONLY)", False),
        ("d = os.open(tempfile.gettempdir(), os.O_PATH)", False),
        ("d = os.open(tempfile.gettempdir(), os.O_RDONLY); fcntl.fcntl(d, fcntl.F_NOTIFY, fcntl.DN_RENAME)", True),
    ],
    ids=["a socket", "O_ASYNC", "a lease", "a directory", "a path", "a directory that is watched"],
)
def test_a_descriptor_may_raise_signals(code: str, raises: bool) -> None:
    with sleeper(f"import fcntl, tempfile; {code}; say('x'); time.sleep(60)") as program:
        assert raises_signals(program.pid) is raises


def test_a_thread_that_owns_a_file_of_another_process_is_told_by_its_process() -> None:
    owner = "threading.Thread(target=lambda: (say(threading.get_native_id()), time.sleep(60))).start(); time.sleep(60)"
    with sleeper(owner) as owned:
        thread = int(owned.words[0])
        assert thread != owned.pid
        code = f"import fcntl; a, b = socket.socketpair(); fcntl.fcntl(a, 15, struct.pack('=ii', 0, {thread}))"
        with sleeper(f"{code}; fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC); say('x'); time.sleep(60)") as program:
            assert set(signal_owners(program.pid)) == {owned.pid}


@pytest.mark.root
@pytest.mark.parametrize(
    ("code", "known"),
    [
        (
            f"q = libc.mq_open(b'/lab-test', os.O_RDWR | os.O_CREAT, 0o600, {ONE_BYTE}); libc.mq_unlink(b'/lab-test')",
            True,
        ),
        (
            (
                "libc.mount(b'x', d.encode(), b'mqueue', 0, None);"
                f"os.close(libc.mq_open(b'/x', os.O_CREAT, 0o600, {ONE_BYTE}));"
                "q = os.open(f'{d}/x', os.O_RDONLY); os.unlink(f'{d}/x')"
            ),
            True,
        ),
        ("libc.mount(b'x', d.encode(), b'tmpfs', 0, None); q = os.open(f'{d}/x', os.O_RDWR | os.O_CREAT)", False),
        ("q = os.memfd_create('x'), os.open('/etc/hostname', os.O_RDONLY)", False),
    ],
    ids=["by mq_open", "by a mount", "another file of a mount", "files"],
)
def test_a_message_queue_is_told_from_other_files(code: str, known: bool) -> None:
    with sleeper(f"import tempfile; {OWN_MOUNTS}{code}; say(q); time.sleep(60)") as program:
        assert program.words[0] != "-1"
        assert has_message_queue(program.pid) is known


def test_what_has_ended_raises_no_signal() -> None:
    with sleeper("say('x'); time.sleep(60)") as program:
        os.kill(program.pid, signal.SIGKILL)
        os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
        assert raises_signals(program.pid) is False
