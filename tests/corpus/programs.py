"""The plain programs that many cases share: what they do is their whole text. Standard library only."""

import contextlib
import select
import signal
import socket
import threading
import time
from typing import NoReturn


def upper(connection: socket.socket, block: int = 1024) -> None:
    """The textbook server: reads a little, answers all of it."""
    while data := connection.recv(block):
        connection.sendall(data.upper())


def fill(connection: socket.socket) -> None:
    """Until nothing more is taken for a second."""
    connection.setblocking(False)
    quiet = 0
    while quiet < 100:
        try:
            connection.send(b"x" * 1024)
            quiet = 0
        except BlockingIOError:
            quiet += 1
            time.sleep(0.01)
    connection.setblocking(True)


def echo(connection: socket.socket, block: int = 4096) -> None:
    while data := connection.recv(block):
        connection.sendall(data)


def write_only(connection: socket.socket, size: int = 1024) -> NoReturn:
    """The textbook client: will read when all is written, which is never."""
    message = b"x" * size
    while True:
        connection.sendall(message)


def write_paced(connection: socket.socket) -> NoReturn:
    """8 KiB a second at most."""
    while True:
        connection.sendall(b"x" * 16)
        time.sleep(0.002)


def write_then_read(connection: socket.socket, total: int = 1 << 26) -> None:
    connection.sendall(bytes(total))
    read_all(connection)


def read_all(connection: socket.socket) -> None:
    with contextlib.suppress(ConnectionError):
        while connection.recv(1 << 16):
            pass


def reads_when(connection: socket.socket, fd: int) -> None:
    """Waits for room or for the other descriptor, and reads on when that calls."""
    epoll = select.epoll()
    epoll.register(connection, select.EPOLLOUT)
    epoll.register(fd, select.EPOLLIN)
    writes_until_other(connection, epoll)


def writes_until_other(connection: socket.socket, epoll: select.epoll) -> None:
    """Likewise, with a set that is made already."""
    connection.setblocking(False)
    while all(ready == connection.fileno() for ready, _ in epoll.poll()):
        try:
            while True:
                connection.send(b"x" * 1024)
        except BlockingIOError:
            continue
    connection.setblocking(True)
    read_all(connection)


def read_slowly(connection: socket.socket, size: int = 512, pause_s: float = 0.3) -> None:
    while connection.recv(size):
        time.sleep(pause_s)


def write_and_read_slowly(connection: socket.socket) -> None:
    threading.Thread(target=read_slowly, args=(connection,)).start()
    write_only(connection)


def write_and_read_later(connection: socket.socket, later_s: float) -> None:
    def read() -> None:
        time.sleep(later_s)
        read_all(connection)

    threading.Thread(target=read).start()
    write_only(connection)


def echo_slowly(connection: socket.socket) -> None:
    while data := connection.recv(32):
        time.sleep(0.1)
        connection.sendall(data)


def converse(connection: socket.socket) -> NoReturn:
    """Asks and reads the answer, for ever: live traffic."""
    while True:
        connection.sendall(b"x" * 512)
        left = 512
        while left:
            left -= len(connection.recv(left))
        time.sleep(0.002)


def wait_for_ever(_: socket.socket) -> NoReturn:
    while True:
        signal.pause()


def wait_to_read(connection: socket.socket) -> None:
    connection.recv(1)


def take(connection: socket.socket) -> None:
    """Read what there is, without blocking."""
    with contextlib.suppress(BlockingIOError):
        connection.recv(1 << 16, socket.MSG_DONTWAIT)
