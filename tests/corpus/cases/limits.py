"""The blocked client has a limit of time, by one of the many ways to have one: nothing stands for ever."""

import contextlib
import ctypes
import os
import signal
import socket
import struct
from types import FrameType

from tests.corpus.case import LATER_S, LIMIT_S, Case, Truth, accepting, connecting
from tests.corpus.programs import echo, read_all, take, write_only

TCP_USER_TIMEOUT = 18
MICROSECONDS = 1_000_000


def send_timeout(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("=2q", int(LIMIT_S), 0))
    with contextlib.suppress(BlockingIOError):
        write_only(connection)
    read_all(connection)


def python_timeout(connection: socket.socket) -> None:
    """A timed poll(2) before each send."""
    connection.settimeout(LIMIT_S)
    with contextlib.suppress(TimeoutError):
        write_only(connection)
    read_all(connection)


def user_timeout(connection: socket.socket) -> None:
    """The kernel itself gives up, probes answered or not."""
    connection.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, int(LIMIT_S * 1000))
    with contextlib.suppress(OSError):
        write_only(connection)


def receive_timeout(connection: socket.socket) -> None:
    """SO_RCVTIMEO does not bear on a send: as dead as without."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("=2q", 2, 0))
    write_only(connection)


def _read_on(connection: socket.socket, number: signal.Signals) -> None:
    def handler(_number: int, _frame: FrameType | None) -> None:
        take(connection)

    signal.signal(number, handler)


def alarm(connection: socket.socket) -> None:
    _read_on(connection, signal.SIGALRM)
    signal.alarm(int(LIMIT_S))
    write_only(connection)


def interval_timer(connection: socket.socket) -> None:
    _read_on(connection, signal.SIGALRM)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S, LIMIT_S)
    write_only(connection)


def posix_timer(connection: socket.socket) -> None:
    """timer_create(2) with SIGUSR1: no SIGALRM anywhere."""
    _read_on(connection, signal.SIGUSR1)
    sigev_signal = 0
    event = ctypes.create_string_buffer(struct.pack("=Qii", 0, signal.SIGUSR1, sigev_signal), 64)
    timer = ctypes.c_void_p()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.timer_create(1, event, ctypes.byref(timer)) == 0, os.strerror(ctypes.get_errno())
    at = ctypes.create_string_buffer(struct.pack("=4q", 0, 0, int(LIMIT_S), 0), 32)
    assert libc.timer_settime(timer, 0, at, None) == 0, os.strerror(ctypes.get_errno())
    write_only(connection)


def handler_without_alarm(connection: socket.socket) -> None:
    """Catches SIGALRM and never sets one: dead, and nobody can know that no alarm is pending."""
    _read_on(connection, signal.SIGALRM)
    write_only(connection)


def _later(name: str, summary: str, function: object) -> Case:
    return Case(name, summary, Truth.LATER, accepting(echo), connecting(function), watch_s=LATER_S)  # type: ignore[arg-type]


QUALIFIED = frozenset({"qualified"})

CASES = (
    _later("so-sndtimeo", "SO_SNDTIMEO ends the blocked send; then it reads.", send_timeout),
    _later("settimeout", "Python's settimeout: a timed poll; then it reads.", python_timeout),
    _later("tcp-user-timeout", "TCP_USER_TIMEOUT ends the connection.", user_timeout),
    Case(
        "alarm-with-handler",
        "alarm(2): its handler reads. Invisible but for the handler.",
        Truth.LATER,
        accepting(echo),
        connecting(alarm),
        watch_s=LATER_S,
        grades=QUALIFIED,
        named="SIGALRM",
    ),
    Case(
        "setitimer-with-handler",
        "setitimer(2): likewise.",
        Truth.LATER,
        accepting(echo),
        connecting(interval_timer),
        watch_s=LATER_S,
        grades=QUALIFIED,
        named="SIGALRM",
    ),
    Case(
        "posix-timer",
        "timer_create(2) with a handler of SIGUSR1 that reads.",
        Truth.LATER,
        accepting(echo),
        connecting(posix_timer),
        watch_s=LATER_S,
        grades=QUALIFIED,
        named="POSIX timers",
    ),
    Case(
        "handler-without-alarm",
        "SIGALRM is caught, and none is pending.",
        Truth.DEADLOCK,
        accepting(echo),
        connecting(handler_without_alarm),
        grades=QUALIFIED,
    ),
    Case(
        "so-rcvtimeo",
        "A limit of receiving only, which a sender does not feel.",
        Truth.DEADLOCK,
        accepting(echo),
        connecting(receive_timeout),
    ),
)
