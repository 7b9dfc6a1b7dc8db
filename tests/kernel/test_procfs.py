"""What /proc says of a thread: the call that it is blocked in, on which socket, and whether it ran meanwhile."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from lab.evidence import ThreadSample
from lab.kernel.procfs import Program, descendants, is_alive, start_of
from lab.spec import Role

OPENING = """
import os, signal, socket, sys, threading, time
a, b = socket.socketpair()
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
print(os.fstat(client.fileno()).st_ino, os.fstat(server.fileno()).st_ino, flush=True)
"""
LIMIT_S = 10.0


@contextmanager
def host_of(script: str) -> Iterator[tuple[Program, list[int], subprocess.Popen[bytes]]]:
    """A host process, whose child plays `script`: what is sampled, and the inodes of client and server."""
    host = f"import os, signal\nif os.fork() == 0:\n    exec({OPENING + script!r})\n    os._exit(0)\nsignal.pause()\n"
    process = subprocess.Popen([sys.executable, "-S", "-c", host], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    assert process.stdout is not None
    try:
        inodes = [int(word) for word in process.stdout.readline().split()]
        with closing(Program(Role.SERVER, process.pid)) as program:
            yield program, inodes, process
    finally:
        for pid in reversed(descendants(process.pid)):
            os.kill(pid, 9)
        process.communicate(timeout=LIMIT_S)


def until(program: Program, holds: Callable[[tuple[ThreadSample, ...]], bool]) -> tuple[ThreadSample, ...]:
    deadline = time.monotonic() + LIMIT_S
    while not holds(samples := program.threads()):
        assert time.monotonic() < deadline, samples
        time.sleep(0.005)
    return samples


@pytest.mark.parametrize(
    ("script", "call", "whose"),
    [
        ("client.sendall(bytes(1 << 26))", "sendto", 0),
        ("server.sendall(bytes(1 << 26))", "sendto", 1),
        ("server.recv(1)", "recvfrom", 1),
        ("os.read(client.fileno(), 1)", "read", 0),
        ("os.write(client.fileno(), bytes(1 << 26))", "write", 0),
        ("client.sendmsg([bytes(1 << 26)])", "sendmsg", 0),
        ("client.recvmsg(1)", "recvmsg", 0),
    ],
)
def test_a_blocked_thread_shows_its_call_and_its_socket(script: str, call: str, whose: int) -> None:
    with host_of(script) as (program, inodes, process):
        (sample,) = until(program, lambda seen: any(each.syscall == call for each in seen))
        assert sample.socket_inode == inodes[whose]
        assert (sample.role, sample.state) == (Role.SERVER, "S")
        assert sample.pid == sample.tid != process.pid
        assert sample.comm.startswith("python")


def test_a_blocked_thread_does_not_run_between_two_looks() -> None:
    with host_of("client.sendall(bytes(1 << 26))") as (program, _, _):
        (before,) = until(program, lambda seen: any(each.syscall == "sendto" for each in seen))
        looks = [program.threads() for _ in range(20)]
        assert {sample.switches for samples in looks for sample in samples} == {before.switches}
        assert before.switches is not None


def test_a_thread_that_wakes_up_meanwhile_is_found_out_by_its_switches() -> None:
    with host_of("while True: time.sleep(0.001)") as (program, _, _):
        (before,) = until(program, bool)
        (after,) = until(program, lambda seen: seen[0].switches != before.switches)
        assert (after.switches or 0) > (before.switches or 0)


def test_a_call_that_is_not_on_a_socket_has_no_inode() -> None:
    with host_of("signal.pause()") as (program, _, _):
        (sample,) = until(program, lambda seen: any(each.syscall == "pause" for each in seen))
        assert sample.socket_inode is None
    with host_of("os.read(0, 1)") as (program, _, _):
        (sample,) = until(program, lambda seen: any(each.syscall == "read" for each in seen))
        assert sample.socket_inode is None, "a pipe is no socket"


def test_a_thread_that_runs_is_running() -> None:
    with host_of("while True: pass") as (program, _, _):
        (sample,) = until(program, lambda seen: any(each.syscall == "running" for each in seen))
        assert (sample.state, sample.args) == ("R", ())


def test_every_thread_of_every_process_below_the_host_is_seen_and_the_host_is_not() -> None:
    script = (
        "threading.Thread(target=lambda: client.recv(1)).start()\nif os.fork() == 0: server.recv(1)\nsignal.pause()"
    )
    with host_of(script) as (program, inodes, process):
        samples = until(
            program, lambda seen: sorted(each.syscall or "" for each in seen) == ["pause", "recvfrom", "recvfrom"]
        )
        assert process.pid not in {sample.pid for sample in samples}
        assert {sample.socket_inode for sample in samples if sample.syscall == "recvfrom"} == set(inodes)


def test_a_thread_that_ends_is_gone_from_the_next_look() -> None:
    script = "threading.Thread(target=lambda: client.recv(1)).start()\nos.read(0, 1)\nserver.send(b'.')\nsignal.pause()"
    with host_of(script) as (program, _, process):
        until(program, lambda seen: sorted(each.syscall or "" for each in seen) == ["read", "recvfrom"])
        assert process.stdin is not None
        process.stdin.write(b".")
        process.stdin.flush()
        until(program, lambda seen: [each.syscall for each in seen] == ["pause"])


def test_a_program_that_ends_is_gone_and_leaves_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with host_of("os.read(0, 1)") as (program, _, process):
        until(program, lambda seen: any(each.syscall == "read" for each in seen))
        assert process.stdin is not None
        process.stdin.write(b".")
        process.stdin.flush()
        until(program, lambda seen: all(each.state == "Z" for each in seen))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_process_is_known_by_its_number_and_its_beginning() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"])
    start = start_of(process.pid)
    assert start is not None
    assert is_alive(process.pid, start)
    assert not is_alive(process.pid, start - 1), "the number has been used again"
    process.kill()
    process.wait(LIMIT_S)
    assert start_of(process.pid) is None
    assert not is_alive(process.pid, start)
