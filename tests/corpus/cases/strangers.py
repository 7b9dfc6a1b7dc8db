"""Whoever ends the wait does not hold the connection, nor anything that would show it: a signal, a file, a stranger."""

import ctypes
import os
import pty
import signal
import socket
import struct
import tempfile
import threading
import time
import tty
from collections.abc import Callable

from tests.corpus.case import LATE_S, LATER_S, LIMIT_S, PORT, Case, Truth, accepting, connecting, listening
from tests.corpus.play import connect
from tests.corpus.programs import echo, read_all, reads_when, wait_for_ever, write_only

SIGNAL_SET = struct.pack("=Q", 1 << (signal.SIGALRM - 1)).ljust(128, b"\0")
IN_MODIFY = 2


def _later(connection: socket.socket, act: Callable[[], object]) -> None:
    """In a child that has nothing of the connection; it stays, so that only the act counts."""
    if os.fork() == 0:
        connection.close()
        time.sleep(LATE_S)
        act()
        time.sleep(60)


def signalfd_alarm(connection: socket.socket) -> None:
    """As postgres: SIGALRM is blocked, so that no handler shows, and read from a descriptor."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    fd = ctypes.CDLL(None).signalfd(-1, SIGNAL_SET, 0)
    signal.alarm(int(LIMIT_S))
    reads_when(connection, fd)


def sigwait_alarm(connection: socket.socket) -> None:
    """A thread waits for the signal itself."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})

    def read() -> None:
        signal.sigwait({signal.SIGALRM})
        read_all(connection)

    threading.Thread(target=read).start()
    signal.alarm(int(LIMIT_S))
    write_only(connection)


def inotify_later(connection: socket.socket) -> None:
    libc = ctypes.CDLL(None)
    fd = libc.inotify_init()
    path = f"{tempfile.gettempdir()}/corpus"
    with open(path, "w"):  # noqa: PTH123
        libc.inotify_add_watch(fd, path.encode(), IN_MODIFY)

    def touch() -> None:
        with open(path, "w") as file:  # noqa: PTH123
            file.write("!")
        os.unlink(path)  # noqa: PTH108

    _later(connection, touch)
    reads_when(connection, fd)


def pidfd_later(connection: socket.socket) -> None:
    """A descriptor of a child, readable when that has ended."""
    child = os.fork()
    if child == 0:
        connection.close()
        time.sleep(LATE_S)
        os._exit(0)
    reads_when(connection, os.pidfd_open(child))


def fifo_later(connection: socket.socket) -> None:
    """A named pipe that nobody else has open, until somebody opens it by its name."""
    path = f"{tempfile.gettempdir()}/corpus"
    os.mkfifo(path)

    def write() -> None:
        out = os.open(path, os.O_WRONLY)
        os.unlink(path)  # noqa: PTH108
        os.write(out, b"!")

    _later(connection, write)
    reads_when(connection, os.open(path, os.O_RDWR))


def datagram_later(connection: socket.socket) -> None:
    """A Unix datagram socket with an abstract name, to which a stranger sends."""
    ours = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.bind("")
    name = ours.getsockname()

    def send() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"!", name)

    _later(connection, send)
    reads_when(connection, ours.fileno())


def terminal_later(connection: socket.socket) -> None:
    """A terminal at which somebody types at last."""
    keyboard, terminal = pty.openpty()
    tty.setraw(terminal)
    _later(connection, lambda: os.write(keyboard, b"!"))
    os.close(keyboard)
    reads_when(connection, terminal)


def stopped_holder(connection: socket.socket) -> None:
    """A second holder is stopped; somebody lets it go on, and it reads."""
    reader = os.fork()
    if reader == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        read_all(connection)
    _later(connection, lambda: os.kill(reader, signal.SIGCONT))
    write_only(connection)


def peeks_in_vain(connection: socket.socket) -> None:
    """A reader that only looks, and waits for more than the buffer holds: it takes nothing, ever."""
    peek_all = socket.MSG_PEEK | socket.MSG_WAITALL
    threading.Thread(target=connection.recv, args=(1 << 20, peek_all)).start()
    write_only(connection)


def serves_until_the_next(listener: socket.socket) -> None:
    """Whoever comes next makes the server drop what it has of the first."""
    first = listener.accept()[0]
    threading.Thread(target=echo, args=(first,)).start()
    listener.accept()
    read_all(first)


def comes_back_later(connection: socket.socket) -> None:
    host = connection.getpeername()[0]
    _later(connection, lambda: wait_for_ever(connect(host, PORT)))
    write_only(connection)


def _case(name: str, summary: str, client: Callable[..., None], **more: frozenset[str]) -> Case:
    return Case(name, summary, Truth.LATER, accepting(echo), connecting(client), watch_s=LATER_S, **more)  # type: ignore[arg-type]


CASES = (
    _case("signalfd-alarm", "An alarm that is read from a signalfd.", signalfd_alarm),
    _case("sigwait-alarm", "A thread waits for an alarm, then reads.", sigwait_alarm),
    _case("inotify-later", "A file is touched.", inotify_later),
    _case("pidfd-later", "A child ends, seen by a pidfd.", pidfd_later),
    _case("fifo-later", "A named pipe is opened by a stranger, and written.", fifo_later),
    _case("unix-datagram-later", "A stranger sends to a Unix socket by its name.", datagram_later),
    _case("terminal-later", "Somebody types at a terminal.", terminal_later),
    _case("stopped-holder-goes-on", "A second holder is stopped, goes on, and reads.", stopped_holder),
    Case(
        "new-connection-later",
        "A new connection comes, and its server then reads the first one out.",
        Truth.LATER,
        listening(serves_until_the_next),
        connecting(comes_back_later),
        watch_s=LATER_S,
        grades=frozenset({"proven-closed-world", "qualified"}),
    ),
    Case(
        "peeks-in-vain",
        "A second thread peeks for more than will ever come: dead.",
        Truth.DEADLOCK,
        accepting(echo),
        connecting(peeks_in_vain),
        hard=True,
    ),
)
