"""Programs that go to sleep in one system call, and what the lab reads of them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from lab.evidence import Wait
from lab.kernel.place.netns import Namespace
from lab.kernel.processes.deadlines import Deadlines
from lab.kernel.processes.descriptors import Descriptors
from lab.kernel.processes.suspension import suspended
from lab.kernel.processes.threads import Threads, TrackedThread
from lab.kernel.processes.waits import Waits
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.kernel.sockets.socket_index import SocketIndex
from tests.waiting import seen

ONE_BYTE = "struct.pack('8q', 0, 1, 1, *[0] * 5)"
"""struct mq_attr, for a program's mq_open(): RLIMIT_MSGQUEUE has room for it."""

PREAMBLE = """
import asyncio, ctypes, os, select, signal, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def inode(file):
    return os.fstat(file if isinstance(file, int) else file.fileno()).st_ino
def say(*words):
    print(*words, flush=True)
def connection():
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    listener.close()
    return client, server
"""


POLLED = """
c, s = connection(); e = os.eventfd(0); fill = c.setblocking(False)
try:
    while True: c.send(bytes(1 << 16))
except BlockingIOError: pass
say(inode(c), inode(s))
"""

"""A program with a TCP socket whose send buffer is full (c), its peer (s), and an eventfd (e)."""


def looked_at(threads: Threads, pid: int) -> list[TrackedThread]:
    """The threads of a process, each read now. One that ends between the listing and its reading is left out."""
    living = []
    for thread in threads.of(pid):
        with suppress(ProcessLookupError):
            thread.read()
            living.append(thread)
    return living


class Sleeper:
    """A program of its own, and the readers of this process."""

    def __init__(self, process: "subprocess.Popen[str]", words: list[str]) -> None:
        self.process, self.pid, self.words = process, process.pid, words
        self.threads = Threads()
        self.diag = SocketDiag(Namespace.here())
        self.index = SocketIndex([self.diag])
        self.descriptors = Descriptors(self.index)
        self.waits = Waits(self.descriptors, Deadlines())

    def asleep(self, call: str, nth: int = 0) -> TrackedThread:
        """The thread that sleeps in this call, once it does; of several the `nth` to have been started."""

        def found() -> list[TrackedThread]:
            return [each for each in self.seen() if each.line.syscall == call and each.line.state != "R"]

        return seen(found, lambda threads: len(threads) > nth, what=f"{nth + 1} asleep in {call}")[nth]

    def seen(self) -> list[TrackedThread]:
        """Its threads, in the order in which they were started, with what each does now."""
        return sorted(looked_at(self.threads, self.pid), key=lambda thread: thread.tid)

    def wait(self, call: str, nth: int = 0) -> Wait:
        thread = self.asleep(call, nth)
        thread.suspended = suspended(thread)
        wait, _ = self.waits.of(thread)
        assert wait is not None
        return wait

    def resources(self, call: str) -> list[tuple[str, str, bool]]:
        wait = self.wait(call)
        assert wait.unknown is None
        return [(str(item.resource), item.wants.value, item.edge) for item in wait.items]

    def says(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def give_a_line(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def tell(self) -> None:
        """Gives it a line, and returns once it has said another."""
        self.give_a_line()
        self.says()

    def close(self) -> None:
        self.threads.close()
        self.diag.close()


@contextmanager
def sleeper(code: str, preexec_fn: Callable[[], object] | None = None) -> Iterator[Sleeper]:
    """The program is ended with the block. What it says in its first line are the words."""
    process = subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=preexec_fn,  # noqa: PLW1509 - single-threaded when it forks
    )
    with process:
        try:
            assert process.stdout is not None
            each = Sleeper(process, process.stdout.readline().split())
            try:
                yield each
            finally:
                each.close()
        finally:
            os.kill(process.pid, 9)
