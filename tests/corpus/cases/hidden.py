"""Who moves the pair is not where one looks: in another table, a ring, a handler, a file shared by fork."""

import ctypes
import fcntl
import mmap
import os
import re
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import FrameType

from tests.corpus.case import LATE_S, LATER_S, Case, Truth, accepting, connecting
from tests.corpus.cases.uring import GETEVENTS, OFF_SQES, SQE_SIZE, Ring
from tests.corpus.programs import echo, fill, read_all, reads_when, take, wait_for_ever, write_only, writes_until_other

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_FILES, CLONE_VM, CLONE_CHILD_CLEARTID = 0x400, 0x100, 0x200000
SYS_EXIT, SYS_FUTEX, SYS_SECCOMP, SYS_IO_SETUP, SYS_IO_SUBMIT, SYS_URING_REGISTER = 60, 202, 317, 206, 209, 427
SYS_CLONE, SYS_SETGROUPS, MANY = 56, 116, 4000
PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER = 38, 36
LIMIT_S = 12.0
"""Of a poll that is woken in vain after half of it."""


def _later(connection: socket.socket, act: Callable[[], object]) -> int:
    """In a child that has nothing of the connection; it stays, so that only the act counts."""
    child = os.fork()
    if child == 0:
        connection.close()
        time.sleep(LATE_S)
        act()
        time.sleep(60)
    return child


def leader_gone(connection: socket.socket) -> None:
    """The second holder's first thread has ended, and with it /proc/PID/fd; another thread of it reads later."""
    if os.fork() == 0:

        def read() -> None:
            time.sleep(LATE_S)
            read_all(connection)

        threading.Thread(target=read).start()
        LIBC.syscall(SYS_EXIT, 0)
    write_only(connection)


def own_table(connection: socket.socket) -> None:
    """A thread of the second holder has a descriptor table of its own, and the rest has closed the connection."""
    if os.fork() == 0:
        apart = threading.Event()
        fd = connection.detach()

        def read() -> None:
            LIBC.unshare(CLONE_FILES)
            apart.set()
            time.sleep(LATE_S)
            read_all(socket.socket(fileno=fd))

        threading.Thread(target=read).start()
        apart.wait()
        os.close(fd)
        wait_for_ever(connection)
    write_only(connection)


def own_table_waits(connection: socket.socket) -> None:
    """The same number is another pipe to the thread that reads it than to the rest of its process."""
    out, into = os.pipe()
    _later(connection, lambda: os.write(into, b"!"))
    os.close(into)
    nobodys, _mine = os.pipe()
    apart = threading.Event()

    def read() -> None:
        LIBC.unshare(CLONE_FILES)
        os.dup2(out, nobodys)
        apart.set()
        os.read(nobodys, 1)
        read_all(connection)

    threading.Thread(target=read).start()
    apart.wait()
    os.close(out)
    write_only(connection)


def supervised(connection: socket.socket) -> None:
    """seccomp_unotify(2): the send has not begun, another process decides what becomes of it."""
    fill(connection)
    # Return USER_NOTIF for sendto, ALLOW for the rest.
    code = ((0x20, 0, 0, 0), (0x15, 0, 1, 44), (0x06, 0, 0, 0x7FC00000), (0x06, 0, 0, 0x7FFF0000))
    filters = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in code))
    program = ctypes.create_string_buffer(struct.pack("=H6xQ", len(code), ctypes.addressof(filters)))
    LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    listener = LIBC.syscall(SYS_SECCOMP, 1, 1 << 3, program)
    assert listener >= 0, os.strerror(ctypes.get_errno())
    if os.fork() == 0:
        connection.close()
        notice = bytearray(80)
        fcntl.ioctl(listener, 0xC0502100, notice)
        time.sleep(LATE_S)
        (number,) = struct.unpack_from("=Q", notice)
        fcntl.ioctl(listener, 0xC0182101, struct.pack("=QqiI", number, 0, -11, 0))
        time.sleep(60)
    os.close(listener)
    try:
        connection.sendall(b"x" * 1024)
    except BlockingIOError:
        read_all(connection)


class MappedRing(Ring):
    """A ring that lives by its mapping alone; its descriptor may be closed."""

    def __init__(self) -> None:
        LIBC.mmap.restype = ctypes.c_void_p
        LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        super().__init__()

    def remap(self) -> None:
        size = 4096
        for name, offset in (("_ring", 0), ("_requests", OFF_SQES)):
            at = LIBC.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, self.fd, offset)
            getattr(self, name).close()
            setattr(self, name, memoryview((ctypes.c_char * size).from_address(at)).cast("B"))


def ring_without_descriptor(connection: socket.socket) -> None:
    """A timer and then a receive lie in a ring whose descriptor is closed; its mapping keeps it."""
    ring = MappedRing()
    ring.remap()
    limit = ctypes.create_string_buffer(struct.pack("=2q", int(LATE_S), 0), 16)
    room = ctypes.create_string_buffer(1 << 16)
    for request in (
        struct.pack("=BBHiQQII", 11, 1 << 2, 0, -1, 0, ctypes.addressof(limit), 1, 1 << 5),
        struct.pack("=BBHiQQII", 27, 0, 0, connection.fileno(), 0, ctypes.addressof(room), len(room), 0),
    ):
        (tail,) = struct.unpack_from("=I", ring._ring, ring._tail)
        ring._requests[tail * SQE_SIZE : (tail + 1) * SQE_SIZE] = request.ljust(SQE_SIZE, b"\0")
        struct.pack_into("=I", ring._ring, ring._array + 4 * tail, tail)
        struct.pack_into("=I", ring._ring, ring._tail, tail + 1)
    ring._call(426, ring.fd, 2, 0, 0, None, 0)
    os.close(ring.fd)
    write_only(connection)


def registered_elsewhere(connection: socket.socket) -> None:
    """A child has the socket among the registered files of its ring, and in no descriptor table."""
    if os.fork() == 0:
        ring = Ring()
        ring._call(SYS_URING_REGISTER, ring.fd, 2, ctypes.byref(ctypes.c_int(connection.fileno())), 1)
        connection.close()
        time.sleep(LATE_S)
        room = ctypes.create_string_buffer(1 << 16)
        while True:
            (tail,) = struct.unpack_from("=I", ring._ring, ring._tail)
            at = tail & 7
            request = struct.pack("=BBHiQQII", 27, 1, 0, 0, 0, ctypes.addressof(room), len(room), 0)
            ring._requests[at * SQE_SIZE : (at + 1) * SQE_SIZE] = request.ljust(SQE_SIZE, b"\0")
            struct.pack_into("=I", ring._ring, ring._array + 4 * at, at)
            struct.pack_into("=I", ring._ring, ring._tail, tail + 1)
            ring._call(426, ring.fd, 1, 1, GETEVENTS, None, 0)
            time.sleep(0.05)
    write_only(connection)


def memory_shared(connection: socket.socket) -> None:
    """A process that is no thread shares the memory, and its end wakes a futex in it (CLONE_CHILD_CLEARTID)."""
    stack = mmap.mmap(-1, 1 << 16)
    top = ctypes.addressof(ctypes.c_char.from_buffer(stack)) + (1 << 16) - 64
    page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE)
    word = ctypes.c_int.from_buffer(page)
    word.value = 1
    flags = CLONE_VM | CLONE_CHILD_CLEARTID | int(signal.SIGCHLD)
    usleep = ctypes.cast(LIBC.usleep, ctypes.c_void_p)
    nothing = ctypes.c_void_p()
    # It gets a copy of the descriptor table, while the connection lies in a queue.
    ours, theirs = socket.socketpair()
    socket.send_fds(ours, [b"!"], [connection.fileno()])
    connection.close()
    child = LIBC.clone(
        usleep, ctypes.c_void_p(top), flags, ctypes.c_void_p(int(LATE_S * 1e6)), nothing, nothing, ctypes.byref(word)
    )
    assert child > 0, os.strerror(ctypes.get_errno())
    _, (fd, *_), _, _ = socket.recv_fds(theirs, 1, 1)
    taken = socket.socket(fileno=fd)

    def read() -> None:
        LIBC.syscall(SYS_FUTEX, ctypes.byref(word), 0, 1, None, None, 0)
        read_all(taken)

    threading.Thread(target=read).start()
    write_only(taken)


def child_handler(connection: socket.socket) -> None:
    """A child ends, and the handler of SIGCHLD reads."""

    def handler(_number: int, _frame: FrameType | None) -> None:
        take(connection)

    if os.fork() == 0:
        connection.close()
        time.sleep(LATE_S)
        os._exit(0)
    signal.signal(signal.SIGCHLD, handler)
    write_only(connection)


def asynchronous_input(connection: socket.socket) -> socket.socket:
    """A socket with O_ASYNC; a datagram comes to it, late, from a child that has nothing of the connection."""
    ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ours.bind(("127.0.0.1", 0))
    name = ours.getsockname()
    if os.fork() == 0:
        connection.close()
        ours.close()
        time.sleep(LATE_S)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"!", name)
        time.sleep(60)
    fcntl.fcntl(ours, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC)
    return ours


def input_handler(connection: socket.socket) -> None:
    """A datagram comes to a socket with O_ASYNC, and the handler of SIGIO reads."""

    def handler(_number: int, _frame: FrameType | None) -> None:
        take(connection)

    signal.signal(signal.SIGIO, handler)
    with asynchronous_input(connection):
        write_only(connection)


def number_used_again(connection: socket.socket) -> None:
    """The epoll set still has an eventfd whose number is another eventfd's by now; a child has the first."""
    first = os.eventfd(0)
    _later(connection, lambda: os.eventfd_write(first, 1))
    second = os.eventfd(0)
    epoll = select.epoll()
    epoll.register(connection, select.EPOLLOUT)
    epoll.register(first, select.EPOLLIN)
    os.dup2(second, first)
    writes_until_other(connection, epoll)


def timer_set_by_child(connection: socket.socket) -> None:
    """A child has the same timerfd, and sets it anew."""
    timer = LIBC.timerfd_create(1, 0)
    LIBC.timerfd_settime(timer, 0, struct.pack("=4q", 0, 0, 1000, 0), None)
    _later(connection, lambda: LIBC.timerfd_settime(timer, 0, struct.pack("=4q", 0, 0, 0, 1000), None))
    reads_when(connection, timer)


def set_changed_by_child(connection: socket.socket) -> None:
    """A child has the same epoll instance, and adds to it what is ready."""
    epoll = select.epoll()
    out, into = os.pipe()
    os.write(into, b"!")
    _later(connection, lambda: epoll.register(out, select.EPOLLIN))
    os.close(into)
    os.close(out)
    epoll.register(connection, select.EPOLLOUT)
    writes_until_other(connection, epoll)


def signal_late(told: int) -> None:
    """By io_submit(2): the kernel signals the eventfd when a timer is over."""
    timer = LIBC.timerfd_create(1, 0)
    LIBC.timerfd_settime(timer, 0, struct.pack("=4q", 0, 0, int(LATE_S), 0), None)
    context = ctypes.c_ulong()
    assert LIBC.syscall(SYS_IO_SETUP, 1, ctypes.byref(context)) == 0
    block = ctypes.create_string_buffer(struct.pack("=QIiHhIQQqQII", 0, 0, 0, 5, 0, timer, 1, 0, 0, 0, 1, told))
    blocks = (ctypes.c_void_p * 1)(ctypes.addressof(block))
    assert LIBC.syscall(SYS_IO_SUBMIT, context, 1, blocks) == 1, os.strerror(ctypes.get_errno())


def asynchronous_io(connection: socket.socket) -> None:
    """io_submit(2): the kernel itself signals an eventfd when a timer that nobody else watches is over."""
    told = os.eventfd(0)
    signal_late(told)
    reads_when(connection, told)


def reaper(connection: socket.socket) -> None:
    """A parent waits for any child; a grandchild becomes one of them when its own parent ends."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if os.fork() == 0:
        if os.fork() == 0:
            connection.close()
            if os.fork() == 0:
                time.sleep(LATE_S + 1)
                os._exit(0)
            time.sleep(LATE_S)
            os._exit(0)
        write_only(connection)
    os.wait()
    read_all(connection)


def woken_in_vain(connection: socket.socket) -> None:
    """A poll sleeps on after a wake-up that another took: it ends sooner than its last sleep tells.

    The other begins as long a poll of its own then, so that a timer is where one would look for it.
    """
    os.sched_setaffinity(0, {0})
    fill(connection)
    out, into = os.pipe()
    if os.fork() == 0:
        connection.close()
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.read(out, 1)
        select.poll().poll(LIMIT_S * 1000)
        time.sleep(60)
    if os.fork() == 0:
        connection.close()
        time.sleep(LIMIT_S / 2)
        os.write(into, b"!")
        time.sleep(60)
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    poll.register(out, select.POLLIN)
    poll.poll(LIMIT_S * 1000)
    read_all(connection)


def of_many_groups(connection: socket.socket) -> None:
    """A thread is in so many groups that its status is longer than most."""

    def read() -> None:
        groups = (ctypes.c_uint * MANY)(*range(100_000, 100_000 + MANY))
        assert LIBC.syscall(SYS_SETGROUPS, MANY, groups) == 0, os.strerror(ctypes.get_errno())
        time.sleep(LATE_S)
        read_all(connection)

    threading.Thread(target=read).start()
    write_only(connection)


def other_end_signal(connection: socket.socket) -> None:
    """clone(2) with another signal than SIGCHLD for the end of the child."""

    def handler(_number: int, _frame: FrameType | None) -> None:
        take(connection)

    signal.signal(signal.SIGUSR1, handler)
    if LIBC.syscall(SYS_CLONE, int(signal.SIGUSR1), None, None, None, None) == 0:
        connection.close()
        time.sleep(LATE_S)
        os._exit(0)
    write_only(connection)


def another_child(connection: socket.socket) -> None:
    """A thread waits for any child, and another thread forks one more while it does."""
    out, into = os.pipe()
    if os.fork() == 0:
        connection.close()
        os.close(into)
        os.read(out, 1)
    os.close(out)

    def read() -> None:
        os.wait()
        read_all(connection)

    threading.Thread(target=read).start()
    fill(connection)
    if os.fork() == 0:
        connection.close()
        os.close(into)
        time.sleep(LATE_S)
        os._exit(0)
    write_only(connection)


def _case(name: str, summary: str, client: Callable[..., None], **more: frozenset[str]) -> Case:
    return Case(name, summary, Truth.LATER, accepting(echo), connecting(client), watch_s=LATER_S, **more)  # type: ignore[arg-type]


def _named(name: str, summary: str, client: Callable[..., None], named: str) -> Case:
    return replace(_case(name, summary, client, grades=frozenset({"qualified"})), named=named)


def _registered() -> Case:
    """Before Linux 6.13 fdinfo of a ring tells how many files it holds, and not which: a proof names that."""
    makes = _case if lists_registered_files(os.uname().release) else partial(_named, named="io_uring")
    return makes("registered-in-a-ring", "The socket is a registered file of a stranger's ring.", registered_elsewhere)


def lists_registered_files(release: str) -> bool:
    major, minor = re.split(r"\D", release)[:2]
    return (int(major), int(minor)) >= (6, 13)


CASES = (
    _case("first-thread-ended", "A second holder's first thread has ended; another one of it reads.", leader_gone),
    _case("table-of-its-own", "A thread of a second holder has a descriptor table of its own.", own_table),
    _case("number-of-its-own", "A reader's descriptor is another one than its process's.", own_table_waits),
    _case("seccomp-supervised", "A supervisor lets the send fail.", supervised),
    _case("ring-without-descriptor", "A ring lives by its mapping.", ring_without_descriptor),
    _registered(),
    _case("memory-shared", "A process that shares the memory wakes the reader.", memory_shared),
    _named("sigchld-handler", "A child ends, and the handler reads.", child_handler, "SIGCHLD"),
    _named("sigio-handler", "A datagram comes, and the handler reads.", input_handler, "O_ASYNC"),
    _case("epoll-number-used-again", "A number in the set means another file by now.", number_used_again),
    _case("timerfd-set-by-child", "A child sets the timer anew.", timer_set_by_child),
    _case("epoll-set-by-child", "A child adds to the set.", set_changed_by_child),
    _named("aio-eventfd", "The kernel signals an eventfd.", asynchronous_io, "io_setup"),
    _case("reaper", "A grandchild becomes a child, and ends.", reaper),
    _case("thread-of-many-groups", "A thread whose status is long reads.", of_many_groups),
    _named("end-signal-handler", "A child ends, and tells it by another signal.", other_end_signal, "may end"),
    _case("child-of-later", "A child that was forked while its parent waited for another ends.", another_child),
    _case("poll-woken-in-vain", "A poll was woken in vain, and ends when its first sleep tells.", woken_in_vain),
)
