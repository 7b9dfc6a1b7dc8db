"""The kernel signals the pair for what others do: in a directory, in a queue, at a terminal, or by their end."""

import ctypes
import fcntl
import os
import pty
import signal
import socket
import struct
import tempfile
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.corpus.case import LATE_S, LATER_S, Case, Truth, accepting, connecting
from tests.corpus.cases.begun import CLONE_NEWNS, MS_PRIVATE, MS_REC, ONE_BYTE, reads
from tests.corpus.cases.hidden import LIBC, PR_SET_CHILD_SUBREAPER, SYS_CLONE
from tests.corpus.programs import echo, fill, read_all, write_only

CLONE_NEWPID = 0x20000000
F_SETOWN_EX, F_OWNER_TID = 15, 0


def _later(connection: socket.socket, act: Callable[[], object], *others: int) -> None:
    """In a child that has nothing of the connection, nor of `others`; it stays, so that only the act counts."""
    if os.fork() == 0:
        connection.close()
        for fd in others:
            os.close(fd)
        time.sleep(LATE_S)
        act()
        time.sleep(60)


def directory_watched(connection: socket.socket) -> None:
    """fcntl(2), F_NOTIFY: somebody makes a file there, and the handler of SIGIO reads."""
    folder = tempfile.mkdtemp()
    _later(connection, Path(folder, "file").touch)
    signal.signal(signal.SIGIO, reads(connection))
    fcntl.fcntl(os.open(folder, os.O_RDONLY), fcntl.F_NOTIFY, fcntl.DN_CREATE)
    write_only(connection)


def thread_owns(connection: socket.socket) -> None:
    """F_SETOWN_EX: a thread that is not the first one gets the signal of another process's descriptor."""
    signal.signal(signal.SIGIO, lambda *_: None)
    told, tell = os.pipe()
    if os.fork() == 0:
        connection.close()
        (thread,) = struct.unpack("=i", os.read(told, 4))
        here, there = socket.socketpair()
        fcntl.fcntl(here, F_SETOWN_EX, struct.pack("=ii", F_OWNER_TID, thread))
        fcntl.fcntl(here, fcntl.F_SETFL, os.O_ASYNC)
        time.sleep(LATE_S)
        there.send(b"!")
        time.sleep(60)

    def write() -> None:
        """By send(2) itself: Python would send on after the signal."""
        fill(connection)
        os.write(tell, struct.pack("=i", threading.get_native_id()))
        while LIBC.send(connection.fileno(), b"x" * 1024, 1024, 0) > 0:
            pass
        read_all(connection)

    writer = threading.Thread(target=write)
    writer.start()
    writer.join()


def mounted_queue(connection: socket.socket) -> None:
    """mq_notify(3) of a queue that was opened by its name in a file system, not by mq_open(3)."""
    assert LIBC.unshare(CLONE_NEWNS) == 0, os.strerror(ctypes.get_errno())
    LIBC.mount(None, b"/", None, MS_PRIVATE | MS_REC, None)
    folder = tempfile.mkdtemp()
    assert LIBC.mount(b"corpus", folder.encode(), b"mqueue", 0, None) == 0, os.strerror(ctypes.get_errno())
    name = f"corpus-{os.getpid()}"
    made = LIBC.mq_open(f"/{name}".encode(), os.O_CREAT | os.O_RDWR, 0o600, ONE_BYTE)  # RLIMIT_MSGQUEUE has room for it
    assert made >= 0, os.strerror(ctypes.get_errno())
    queue = os.open(Path(folder, name), os.O_RDWR)
    os.close(made)
    LIBC.mq_unlink(f"/{name}".encode())
    _later(connection, lambda: LIBC.mq_send(queue, b"!", 1, 0))
    signal.signal(signal.SIGUSR1, reads(connection))
    assert LIBC.mq_notify(queue, struct.pack("=Qii", 0, signal.SIGUSR1, 0).ljust(64, b"\0")) == 0
    write_only(connection)


def gets_orphans(connection: socket.socket) -> None:
    """A subreaper: a grandchild becomes its child when a child ends that tells nothing, and its own end is told."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGCHLD, reads(connection))
    if LIBC.syscall(SYS_CLONE, 0, None, None, None, None) == 0:
        connection.close()
        time.sleep(LATE_S + 2 if os.fork() == 0 else LATE_S)
        os._exit(0)
    write_only(connection)


def first_of_its_namespace(connection: socket.socket) -> None:
    """The first process of a PID namespace, as in a container: a stranger there leaves it an orphan, which ends."""
    assert LIBC.unshare(CLONE_NEWPID) == 0, os.strerror(ctypes.get_errno())
    if os.fork() == 0:
        signal.signal(signal.SIGCHLD, reads(connection))
        write_only(connection)
    connection.close()
    if os.fork() == 0:
        time.sleep(LATE_S + 2 if os.fork() == 0 else LATE_S)
        os._exit(0)
    time.sleep(60)


def _terminal() -> tuple[int, int]:
    """Both ends of a terminal that is the program's own from now on."""
    keyboard, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    return keyboard, terminal


def hung_up(connection: socket.socket) -> None:
    """The other end of the terminal is closed, as by a connection that ends, and the handler of SIGHUP reads."""
    keyboard, terminal = _terminal()
    signal.signal(signal.SIGHUP, reads(connection))
    _later(connection, lambda: os.close(keyboard), terminal)
    os.close(keyboard)
    os.close(terminal)
    write_only(connection)


def resized(connection: socket.socket) -> None:
    """The terminal gets another size, and the handler of SIGWINCH reads."""
    keyboard, terminal = _terminal()
    signal.signal(signal.SIGWINCH, reads(connection))
    size = struct.pack("=4H", 10, 10, 0, 0)
    _later(connection, lambda: fcntl.ioctl(keyboard, termios.TIOCSWINSZ, size), terminal)
    os.close(keyboard)
    write_only(connection)


def _case(name: str, summary: str, client: Callable[..., None], named: str) -> Case:
    case = Case(name, summary, Truth.LATER, accepting(echo), connecting(client), watch_s=LATER_S)
    return replace(case, grades=frozenset({"qualified"}), named=named)


CASES = (
    _case("directory-watched", "A file is made, and a handler reads.", directory_watched, "F_NOTIFY"),
    _case("signal-to-a-thread", "A thread owns another process's descriptor.", thread_owns, "another process"),
    _case("message-queue-mounted", "A message comes to a queue with a path.", mounted_queue, "message queue"),
    _case("orphan-of-a-subreaper", "A grandchild becomes a child, and its end is told.", gets_orphans, "may end"),
    _case("orphan-of-a-namespace", "An orphan comes to PID 1, and its end is told.", first_of_its_namespace, "may end"),
    _case("terminal-hangs-up", "A terminal hangs up, and a handler reads.", hung_up, "terminal"),
    _case("terminal-resized", "A terminal gets another size, and a handler reads.", resized, "terminal"),
)
