"""The client does not block in a send: it waits for room by select, poll or epoll, with something else or without."""

import ctypes
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import NoReturn

from tests.corpus.case import LATE_S, LATER_S, LIMIT_S, Case, Truth, accepting, connecting
from tests.corpus.programs import echo, read_all, take, wait_for_ever, write_only

IN, OUT, EDGE, ONCE = select.EPOLLIN, select.EPOLLOUT, select.EPOLLET, select.EPOLLONESHOT
MESSAGE = b"x" * 1024


def _fill(connection: socket.socket) -> None:
    """Write until the kernel takes no more."""
    connection.setblocking(False)
    try:
        while True:
            connection.send(MESSAGE)
    except BlockingIOError:
        return


def _write_whenever(connection: socket.socket, ready: Callable[[], object]) -> NoReturn:
    while True:
        _fill(connection)
        ready()


def poll_out(connection: socket.socket) -> None:
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    _write_whenever(connection, poll.poll)


def poll_out_with_limit(connection: socket.socket) -> None:
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    _fill(connection)
    while poll.poll(LIMIT_S * 1000):
        _fill(connection)
    connection.setblocking(True)
    read_all(connection)


def select_out(connection: socket.socket) -> None:
    _write_whenever(connection, lambda: select.select([], [connection], []))


def poll_both_reads_slowly(connection: socket.socket) -> None:
    """Reads 256 bytes a round, when it may: never stands."""
    poll = select.poll()
    poll.register(connection, select.POLLIN | select.POLLOUT)

    def round_() -> None:
        if poll.poll()[0][1] & select.POLLIN:
            connection.recv(256)
            time.sleep(0.2)

    _write_whenever(connection, round_)


def epoll_of(connection: socket.socket, mask: int, *others: int) -> select.epoll:
    epoll = select.epoll()
    epoll.register(connection, mask)
    for fd in others:
        epoll.register(fd, IN)
    return epoll


def epoll_out(connection: socket.socket) -> None:
    _write_whenever(connection, epoll_of(connection, OUT).poll)


def epoll_edge(connection: socket.socket) -> None:
    """As Go, tokio and nginx: both directions armed for ever, nothing read."""
    _write_whenever(connection, epoll_of(connection, IN | OUT | EDGE).poll)


def epoll_nested(connection: socket.socket) -> None:
    inner, outer = epoll_of(connection, OUT), select.epoll()
    outer.register(inner, IN)
    _write_whenever(connection, outer.poll)


def epoll_armed_once(connection: socket.socket) -> None:
    epoll = epoll_of(connection, OUT | ONCE)

    def ready() -> None:
        epoll.modify(connection, OUT | ONCE)
        epoll.poll()

    _write_whenever(connection, ready)


def epoll_fired_once(connection: socket.socket) -> None:
    """Its one shot is spent: it waits for nothing at all any more, least of all for room."""
    epoll = epoll_of(connection, OUT | ONCE)
    epoll.poll()
    epoll.poll()


def _reads_when(connection: socket.socket, *fds: int) -> None:
    """Waits for room or for one of the others, and reads on when one of them calls."""
    epoll = epoll_of(connection, OUT, *fds)
    _fill(connection)
    while all(fd == connection.fileno() for fd, _ in epoll.poll()):
        _fill(connection)
    connection.setblocking(True)
    read_all(connection)


def _in_a_child(connection: socket.socket, *closed: int) -> bool:
    """Whether this is the child, which has nothing of the connection."""
    if os.fork():
        return False
    connection.close()
    for fd in closed:
        os.close(fd)
    return True


def pipe_later(connection: socket.socket) -> None:
    out, into = os.pipe()
    if _in_a_child(connection, out):
        time.sleep(LATE_S)
        os.write(into, b"!")
    _reads_when(connection, out)


def pipe_never(connection: socket.socket) -> None:
    """The child that could write waits for a pipe that only the stuck parent writes."""
    (out, into), (child_out, child_into) = os.pipe(), os.pipe()
    if _in_a_child(connection, out, child_into):
        os.read(child_out, 1)
        os.write(into, b"!")
    os.close(into)
    os.close(child_out)
    _reads_when(connection, out)


def unix_later(connection: socket.socket) -> None:
    ours, theirs = socket.socketpair()
    if _in_a_child(connection, ours.fileno()):
        time.sleep(LATE_S)
        theirs.send(b"!")
        wait_for_ever(theirs)
    theirs.close()
    _reads_when(connection, ours.fileno())


def eventfd_later(connection: socket.socket) -> None:
    event = os.eventfd(0)
    if _in_a_child(connection):
        time.sleep(LATE_S)
        os.eventfd_write(event, 1)
        time.sleep(60)
    _reads_when(connection, event)


def timerfd_later(connection: socket.socket) -> None:
    libc = ctypes.CDLL(None)
    timer = libc.timerfd_create(time.CLOCK_MONOTONIC, 0)
    libc.timerfd_settime(timer, 0, struct.pack("=4q", 0, 0, int(LATE_S), 0), None)
    _reads_when(connection, timer)


def udp_later(connection: socket.socket) -> None:
    """A datagram from a third process."""
    ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ours.bind(("127.0.0.1", 0))
    if os.fork() == 0:
        connection.close()
        time.sleep(LATE_S)
        ours.sendto(b"!", ours.getsockname())
        time.sleep(60)
    _reads_when(connection, ours.fileno())


def other_connection_later(connection: socket.socket) -> None:
    """A second TCP connection, to a third process that writes into it later."""
    listener = socket.create_server(("127.0.0.1", 0))
    ours = socket.create_connection(listener.getsockname())
    theirs = listener.accept()[0]
    listener.close()
    if _in_a_child(connection, ours.fileno()):
        time.sleep(LATE_S)
        theirs.send(b"!")
        wait_for_ever(theirs)
    theirs.close()
    _reads_when(connection, ours.fileno())


def retries_in_vain(connection: socket.socket) -> NoReturn:
    """Tries again and again without waiting: it runs, and may do anything next."""
    os.nice(19)
    connection.setblocking(False)
    while True:
        try:
            connection.send(MESSAGE)
        except BlockingIOError:
            os.sched_yield()


def poll_both_busily(connection: socket.socket) -> None:
    """Wants to read but takes nothing: poll returns at once, for ever."""
    poll = select.poll()
    poll.register(connection, select.POLLIN | select.POLLOUT)
    os.nice(19)
    _write_whenever(connection, poll.poll)


def takes_a_byte_now_and_then(connection: socket.socket) -> None:
    """A limit on each wait, and a little is read after it: it stands between."""
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    while True:
        _fill(connection)
        if not poll.poll(2500):
            take(connection)


def _dead(name: str, summary: str, function: Callable[..., None]) -> Case:
    return Case(name, summary, Truth.DEADLOCK, accepting(echo), connecting(function))


def _later(name: str, summary: str, function: Callable[..., None]) -> Case:
    return Case(name, summary, Truth.LATER, accepting(echo), connecting(function), watch_s=LATER_S)


CASES = (
    _dead("poll-out", "poll(POLLOUT) without a limit.", poll_out),
    _dead("select-out", "select for room, without a limit.", select_out),
    _dead("epoll-out", "epoll for room.", epoll_out),
    _dead("epoll-edge-triggered", "IN and OUT edge-triggered, nothing is read.", epoll_edge),
    _dead("epoll-nested", "An epoll instance inside of another.", epoll_nested),
    _dead("epoll-oneshot-armed", "OUT with EPOLLONESHOT, armed anew each time.", epoll_armed_once),
    _dead("epoll-pipe-never", "epoll for room or for a pipe that nobody can write.", pipe_never),
    Case(
        "poll-out-on-both-sides",
        "Neither side blocks in a send.",
        Truth.DEADLOCK,
        accepting(poll_out),
        connecting(epoll_out),
    ),
    _later("poll-out-limit", "poll(POLLOUT) for so long; then it reads.", poll_out_with_limit),
    _later("poll-limit-then-a-little", "Each 2.5 s a little is read.", takes_a_byte_now_and_then),
    _later("epoll-pipe-later", "epoll for room or for a pipe that a child writes.", pipe_later),
    _later("epoll-unix-later", "The same with a Unix socket.", unix_later),
    _later("epoll-eventfd-later", "The same with an eventfd.", eventfd_later),
    _later("epoll-timerfd-later", "The same with a timerfd.", timerfd_later),
    _later("epoll-udp-later", "The same with a UDP socket.", udp_later),
    _later("epoll-tcp-later", "The same with a second TCP connection.", other_connection_later),
    Case(
        "poll-both-slow-reads",
        "poll(IN|OUT), reading 256 bytes each 0.2 s.",
        Truth.MOVES,
        accepting(echo),
        connecting(poll_both_reads_slowly),
    ),
    Case(
        "epoll-oneshot-fired",
        "The client waits for nothing any more; the server writes into it.",
        Truth.STANDS,
        accepting(write_only),
        connecting(epoll_fired_once),
    ),
    Case(
        "retries-in-vain",
        "The client sends in vain, busily: a livelock.",
        Truth.STANDS,
        accepting(echo),
        connecting(retries_in_vain),
        outcomes=frozenset({"livelock"}),
    ),
    Case(
        "polls-in-vain",
        "The client polls for what it does not take: a livelock.",
        Truth.STANDS,
        accepting(echo),
        connecting(poll_both_busily),
        outcomes=frozenset({"livelock"}),
    ),
)
