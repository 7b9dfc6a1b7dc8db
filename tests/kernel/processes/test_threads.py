"""What /proc says of a thread: the call that it is blocked in, and whether it ran meanwhile."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from lab.kernel.processes.threads import Line, Threads, TrackedThread
from tests.kernel.sleepers import looked_at
from tests.waiting import LIMIT_S, seen

OPENING = """
import os, signal, socket, threading, time
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
"""


@contextmanager
def played(script: str) -> Iterator[tuple[Threads, subprocess.Popen[bytes]]]:
    """A process that plays `script`, and who reads its threads."""
    process = subprocess.Popen([sys.executable, "-S", "-c", OPENING + script], stdin=subprocess.PIPE)
    try:
        with closing(Threads()) as threads:
            yield threads, process
    finally:
        process.kill()
        process.communicate(timeout=LIMIT_S)


def lines(threads: Threads, pid: int) -> list[Line]:
    return [thread.line for thread in looked_at(threads, pid)]


def asleep_in(threads: Threads, pid: int, *calls: str) -> list[Line]:
    """Its lines, as soon as its threads sleep in these calls."""
    wanted = sorted((call, "S") for call in calls)
    return seen(lambda: lines(threads, pid), lambda now: sorted((str(a.syscall), a.state) for a in now) == wanted)


def test_a_thread_in_very_many_groups_is_read_too() -> None:
    script = """
def in_groups():
    import ctypes
    ctypes.CDLL(None).syscall(116, 60000, (ctypes.c_uint * 60000)(*range(2**31, 2**31 + 60000)))
    client.recv(1)
threading.Thread(target=in_groups).start()
time.sleep(60)
"""
    with played(script) as (threads, process):
        asleep_in(threads, process.pid, "clock_nanosleep", "recvfrom")


def open_of(pid: int) -> list[str]:
    """Which of its files in /proc this process has open."""
    links = []
    for each in os.scandir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(each.path))
    return [link for link in links if link.startswith(f"/proc/{pid}/")]


@pytest.mark.parametrize(
    ("script", "call"),
    [
        ("client.sendall(bytes(1 << 26))", "sendto"),
        ("server.recv(1)", "recvfrom"),
        ("os.read(client.fileno(), 1)", "read"),
        ("os.write(client.fileno(), bytes(1 << 26))", "write"),
        ("client.sendmsg([bytes(1 << 26)])", "sendmsg"),
        ("client.recvmsg(1)", "recvmsg"),
        ("signal.pause()", "pause"),
    ],
)
def test_a_blocked_thread_shows_its_call_and_has_not_run_between_two_looks(script: str, call: str) -> None:
    with played(script) as (threads, process):
        (before,) = asleep_in(threads, process.pid, call)
        assert [lines(threads, process.pid) for _ in range(20)] == [[before]] * 20


def test_a_thread_that_wakes_up_meanwhile_is_found_out_by_its_switches() -> None:
    with played("while True: time.sleep(0.001)") as (threads, process):
        (before,) = lines(threads, process.pid)
        seen(lambda: lines(threads, process.pid), lambda now: now[0].switches > before.switches)


def test_what_a_thread_does_until_its_call_is_told_counts_as_having_run() -> None:
    """The kernel tells a call once the thread has left the processor; the counters must be no older than that."""
    with played("while True: os.read(0, 1)") as (threads, process):
        asleep_in(threads, process.pid, "read")
        assert process.stdin is not None
        stdin = process.stdin.fileno()

        class Late(TrackedThread):
            wakes = False

            def _read_call(self) -> bytes | None:
                if self.wakes:
                    (before,) = lines(threads, process.pid)
                    os.write(stdin, b".")
                    seen(lambda: lines(threads, process.pid), lambda now: now[0].switches > before.switches)
                    asleep_in(threads, process.pid, "read")
                return super()._read_call()

        with closing(Late(process.pid, process.pid)) as thread:
            assert [thread.read(), thread.read()] == [True, False]
            thread.wakes = True
            assert thread.read()


def test_a_thread_that_runs_is_running() -> None:
    with played("while True: pass") as (threads, process):
        (line,) = seen(lambda: lines(threads, process.pid), lambda now: [each.syscall for each in now] == ["running"])
        assert (line.state, line.args) == ("R", ())


def test_a_thread_that_ends_is_gone_from_the_next_look_and_leaves_no_descriptor() -> None:
    script = "threading.Thread(target=lambda: client.recv(1)).start()\nos.read(0, 1)\nserver.send(b'.')\nsignal.pause()"
    with played(script) as (threads, process):
        asleep_in(threads, process.pid, "read", "recvfrom")
        assert len(open_of(process.pid)) >= 2
        assert process.stdin is not None
        process.stdin.write(b".")
        process.stdin.flush()
        asleep_in(threads, process.pid, "pause")
        process.kill()
        process.wait(LIMIT_S)
        assert threads.of(process.pid) == []
        assert open_of(process.pid) == []


class Ending(TrackedThread):
    """Ends as soon as the first of its files has been opened."""

    def _open(self, name: str) -> int | None:
        if name == "wchan":
            raise ProcessLookupError
        return super()._open(name)


def test_a_thread_that_ends_while_its_files_are_opened_leaves_no_descriptor() -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(ProcessLookupError):
        Ending(os.getpid(), os.getpid())
    assert os.listdir("/proc/self/fd") == before
