"""The kernel moves the pair, as it was told to before: by a signal, an option, a setting, or for a stranger."""

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType

from tests.corpus.case import DEFAULT, LATE_S, LATER_S, SQUEEZED, Case, Python, Truth, accepting, connecting, listening
from tests.corpus.cases.hidden import LIBC, SYS_URING_REGISTER, MappedRing, asynchronous_input, signal_late
from tests.corpus.cases.uring import GETEVENTS, SQE_SIZE
from tests.corpus.programs import echo, fill, read_all, reads_when, take, write_only

SIOCOUTQNSD = 0x894B
TCP_WINDOW_CLAMP = 10
SO_BUF_LOCK, SO_MEMINFO, SO_RCVBUFFORCE = 72, 55, 33
PTRACE_SEIZE = 0x4206
REGISTER_FILES, REGISTER_RING_FDS, ENTER_REGISTERED_RING = 2, 20, 1 << 4


def _handled(number: signal.Signals, connection: socket.socket) -> None:
    def handler(_number: int, _frame: FrameType | None) -> None:
        take(connection)

    signal.signal(number, handler)


def dies_by_alarm(connection: socket.socket) -> None:
    """alarm(2) and no handler, as `perl -e 'alarm 10; exec ...'` does."""
    signal.alarm(int(LATE_S))
    write_only(connection)


def dies_by_input(connection: socket.socket) -> None:
    """A datagram comes to a socket with O_ASYNC, and nothing catches SIGIO."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with asynchronous_input(connection):
        write_only(connection)


def reads_when_urgent(connection: socket.socket) -> None:
    fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
    _handled(signal.SIGURG, connection)
    write_only(connection)


def writes_urgently(connection: socket.socket) -> None:
    """What is urgent is told by the next probe, though no byte fits."""
    waiting, quiet = bytearray(4), 0
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    while quiet < 50:
        fcntl.ioctl(connection, SIOCOUTQNSD, waiting)
        quiet = quiet + 1 if any(waiting) else 0
        if not quiet:
            connection.send(b"x" * 2048)
        time.sleep(0.01)
    time.sleep(LATE_S)
    connection.send(b"!", socket.MSG_OOB)
    write_only(connection)


def datagrams_elsewhere(connection: socket.socket) -> None:
    """A Unix socket has no room for a datagram, since those that it sent to another before are not read yet."""
    ours, before, now = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(3))
    before.bind("")
    now.bind("")
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    ours.connect(before.getsockname())
    ours.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            ours.send(b"x" * 4096)
    ours.setblocking(True)
    ours.connect(now.getsockname())
    if os.fork() == 0:
        for each in (connection, ours, now):
            each.close()
        time.sleep(LATE_S)
        while True:
            before.recv(4096)
    before.close()

    def read() -> None:
        ours.send(b"x" * 4096)
        read_all(connection)

    threading.Thread(target=read).start()
    write_only(connection)


def option_set_late(connection: socket.socket, option: int, value: int, sndbuf: int = 0) -> None:
    """While all stands, and probes have been answered already. No segment tells it before the next probe."""
    if sndbuf:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
    fill(connection)
    time.sleep(LATE_S)
    connection.setsockopt(socket.SOL_SOCKET, option, value)
    connection.send(b"x")
    read_all(connection)


def raised_a_little(connection: socket.socket) -> None:
    """The answer to the next probe offers a window; it would not if the largest window had grown with the buffer."""
    fill(connection)
    time.sleep(LATE_S)
    queued, size, *_ = struct.unpack("=9I", connection.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))
    scales, rcv_mss = struct.unpack("=6xB13xI", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 24))
    clamp, unit = connection.getsockopt(socket.IPPROTO_TCP, TCP_WINDOW_CLAMP), 1 << (scales >> 4)
    least = -(-max(rcv_mss, clamp // 16) // unit) * unit
    more = (least * size - (size - queued) * clamp) // (clamp - least)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, (size + more) // 2)
    connection.send(b"x")
    read_all(connection)


def _free(connection: socket.socket) -> int:
    """Of the receive buffer, in bytes."""
    queued, size, *_ = struct.unpack("=9I", connection.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))
    return int(size - queued)


def _free_at_rest(connection: socket.socket) -> int:
    """Likewise, once nothing has come for a second."""
    free, still = _free(connection), 0
    while still < 10:
        time.sleep(0.1)
        before, free = free, _free(connection)
        still = still + 1 if free == before else 0
    return free


def window_clamped(connection: socket.socket) -> None:
    """Less than a sixteenth of its buffer is free, which is more than half of the largest window from now on.

    It is more than the other has queued, too (MSG_EOR), so that its write ends: else a deadlock would be left.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    connection.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 19)
    fill(connection)
    left = 0
    while _free_at_rest(connection) != left:
        while not 20_000 < _free(connection) < 60_000:
            connection.recv(1024)
            time.sleep(0.02)
        left = _free(connection)
        time.sleep(LATE_S)
    connection.setsockopt(socket.IPPROTO_TCP, TCP_WINDOW_CLAMP, 3000)
    connection.send(b"x")
    read_all(connection)


def read_after_shutdown(connection: socket.socket) -> None:
    """Who has shut down its reading side announces no window when it reads on, before a probe asks."""
    fill(connection)
    time.sleep(LATE_S)
    connection.shutdown(socket.SHUT_RD)
    read_all(connection)
    connection.send(b"x")
    read_all(connection)
    time.sleep(60)


def few_retries(connection: socket.socket) -> None:
    """In a namespace of its own; and the client answers once a minute. It gives up after 6 s or more."""
    Path("/proc/sys/net/ipv4/tcp_retries2").write_text("4")
    write_only(connection)


def few_answers(connection: socket.socket) -> None:
    Path("/proc/sys/net/ipv4/tcp_invalid_ratelimit").write_text("60000")
    write_only(connection)


def reads_once_it_goes_on(connection: socket.socket, sndbuf: int = 1, flags: int = 0) -> None:
    """With a small send buffer, so that it goes on soon."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
    began = time.monotonic()
    while time.monotonic() < began + LATE_S:
        began = time.monotonic()
        connection.sendall(b"x" * 1024, flags)
    read_all(connection)


def shut_by_parent(listener: socket.socket) -> None:
    """A parent that has nothing of the connection shuts the listener down, on which a thread of its holder waits."""
    connection, _ = listener.accept()
    if os.fork():
        connection.close()
        time.sleep(LATE_S)
        listener.shutdown(socket.SHUT_RDWR)
        time.sleep(60)

    def read() -> None:
        with contextlib.suppress(OSError):
            listener.accept()
        read_all(connection)

    threading.Thread(target=read).start()
    while data := connection.recv(64):
        connection.send(data, socket.MSG_EOR)


def tracer(connection: socket.socket) -> None:
    """A thread waits for any child; a process that is none, and is traced, ends."""
    (out, into), (told, tell) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        connection.close()
        stranger = os.fork()
        if stranger == 0:
            os.close(out)
            os.close(into)
            time.sleep(LATE_S)
            os._exit(0)
        os.write(tell, struct.pack("=i", stranger))
        os._exit(0)
    (stranger,) = struct.unpack("=i", os.read(told, 4))
    os.waitpid(child, 0)
    assert LIBC.ptrace(PTRACE_SEIZE, stranger, None, None) == 0, os.strerror(ctypes.get_errno())
    if os.fork() == 0:
        connection.close()
        os.close(into)
        os.read(out, 1)
    os.close(out)
    os.close(tell)

    def read() -> None:
        os.wait()
        read_all(connection)

    threading.Thread(target=read).start()
    write_only(connection)


class NumberlessRing(MappedRing):
    """A ring that has no descriptor and goes on all the same: io_uring_register(2), IORING_REGISTER_RING_FDS."""

    def take_for_ever(self, connection: socket.socket) -> None:
        self.remap()
        self._call(SYS_URING_REGISTER, self.fd, REGISTER_FILES, ctypes.byref(ctypes.c_int(connection.fileno())), 1)
        update = ctypes.create_string_buffer(struct.pack("=IIQ", 0xFFFFFFFF, 0, self.fd), 16)
        self._call(SYS_URING_REGISTER, self.fd, REGISTER_RING_FDS, update, 1)
        (number,) = struct.unpack_from("=I", update)
        os.close(self.fd)
        connection.close()
        time.sleep(LATE_S)
        room = ctypes.create_string_buffer(1 << 16)
        while True:
            (tail,) = struct.unpack_from("=I", self._ring, self._tail)
            at = tail & 7
            request = struct.pack("=BBHiQQII", 27, 1, 0, 0, 0, ctypes.addressof(room), len(room), 0)
            self._requests[at * SQE_SIZE : (at + 1) * SQE_SIZE] = request.ljust(SQE_SIZE, b"\0")
            struct.pack_into("=I", self._ring, self._array + 4 * at, at)
            struct.pack_into("=I", self._ring, self._tail, tail + 1)
            self._call(426, number, 1, 1, GETEVENTS | ENTER_REGISTERED_RING, None, 0)
            time.sleep(0.05)


def registered_ring(connection: socket.socket) -> None:
    """A child's ring has the socket; neither it nor the socket has a descriptor there."""
    if os.fork() == 0:
        NumberlessRing().take_for_ever(connection)
    write_only(connection)


def signalled_by_stranger(connection: socket.socket) -> None:
    """io_submit(2) of a child, which has no descriptor of the eventfd any more."""
    told = os.eventfd(0)
    if os.fork() == 0:
        connection.close()
        signal_late(told)
        os.close(told)
        time.sleep(60)
    reads_when(connection, told)


def _named(name: str, summary: str, client: Callable[..., None], named: str) -> Case:
    case = _later(name, summary, client)
    return replace(case, grades=frozenset({"qualified"}), named=named)


def _later(name: str, summary: str, client: Callable[..., None]) -> Case:
    return Case(name, summary, Truth.LATER, accepting(echo), connecting(client), watch_s=LATER_S)


def _option(name: str, summary: str, client: Python) -> Case:
    """Set while all stands, and asked about after that."""
    later = Case(name, summary, Truth.LATER, accepting(reads_once_it_goes_on), client, watch_s=LATER_S)
    return replace(later, buffers=DEFAULT, ask_s=LATE_S + 2.5)


CASES = (
    _named("alarm-by-default", "alarm(2) ends the client, which catches nothing.", dies_by_alarm, "SIGALRM"),
    _named("sigio-by-default", "A datagram comes, and SIGIO ends the client.", dies_by_input, "O_ASYNC"),
    replace(
        _named("sigurg-handler", "A probe tells of urgent data, and the handler reads.", writes_urgently, "SIGURG"),
        server=accepting(reads_when_urgent),
        buffers=DEFAULT,
        ask_s=LATE_S + 3.0,
    ),
    _later("unix-datagrams-elsewhere", "Datagrams of before take the room.", datagrams_elsewhere),
    _option(
        "rcvbuf-raised",
        "SO_RCVBUF after probes were answered.",
        connecting(option_set_late, option=socket.SO_RCVBUF, value=1 << 20),
    ),
    replace(
        _option("rcvbuf-raised-a-little", "SO_RCVBUF, by a tenth.", connecting(raised_a_little)),
        buffers=SQUEEZED,
        grades=frozenset({"qualified"}),
        named="SO_RCVBUF",
    ),
    _option(
        "rcvlowat-raised",
        "SO_RCVLOWAT, which raises the receive buffer.",
        connecting(option_set_late, option=socket.SO_RCVLOWAT, value=1 << 20),
    ),
    _option(
        "sndbuf-unlocked",
        "SO_BUF_LOCK lets a send buffer grow again.",
        connecting(option_set_late, option=SO_BUF_LOCK, value=0, sndbuf=8192),
    ),
    replace(
        _option("window-clamp-lowered", "TCP_WINDOW_CLAMP: less is enough.", connecting(window_clamped)),
        server=accepting(reads_once_it_goes_on, sndbuf=8192, flags=socket.MSG_EOR),
        ask_s=LATE_S + 6.0,
    ),
    _option("read-after-shutdown", "What is read tells nobody, once reading is shut.", connecting(read_after_shutdown)),
    replace(
        _named("few-retries", "The server gives up early, the client answers once a minute.", few_answers, "retries"),
        server=accepting(few_retries),
        buffers=DEFAULT,
    ),
    replace(
        _named("listener-shut", "A parent shuts a listener down.", write_only, "may shut it down"),
        server=listening(shut_by_parent),
    ),
    _later("tracee-ends", "A traced process that is no child ends.", tracer),
    _named("ring-without-number", "A child's ring has the socket, and no descriptor.", registered_ring, "io_uring"),
    _named("eventfd-by-stranger", "The kernel signals an eventfd.", signalled_by_stranger, "may signal"),
)
