"""What ends a wait has begun before, or comes from where no table shows it: an accept, a queue, the kernel."""

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType

from tests.corpus.case import LATE_S, LATER_S, Case, Truth, accepting, connecting
from tests.corpus.cases.hidden import LIBC
from tests.corpus.programs import echo, fill, read_all, take, write_only

CLONE_NEWNS, MS_PRIVATE, MS_REC = 0x20000, 1 << 18, 1 << 14
AUTOFS_IOC_FAIL = 0x9361
ONE_BYTE = struct.pack("=8q", 0, 1, 1, *[0] * 5)
"""struct mq_attr: one message of one byte, so that RLIMIT_MSGQUEUE has room for it."""
TCP_TIMESTAMP, SO_ATTACH_FILTER = 24, 26


def polls_beside(connection: socket.socket, other: int, served: Callable[[], None]) -> None:
    """Waits for room on the connection and for another descriptor; when that is ready it reads on."""
    poll = select.poll()
    poll.register(other, select.POLLIN)
    poll.register(connection, select.POLLOUT)
    fill(connection)
    while not any(fd == other for fd, _ in poll.poll()):
        fill(connection)
    served()
    read_all(connection)


def deferred_accept(connection: socket.socket, writes: bool) -> None:
    """A third program has connected before (TCP_DEFER_ACCEPT). It writes later, or the kernel's deferral is over."""
    listener = socket.socket()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60 if writes else 7)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    if os.fork() == 0:
        connection.close()
        with socket.create_connection(listener.getsockname()) as third:
            listener.close()
            time.sleep(LATE_S if writes else 60)
            third.send(b"!")
            time.sleep(60)

    def served() -> None:
        listener.accept()[0].close()

    polls_beside(connection, listener.fileno(), served)


def calls_unheard(connection: socket.socket) -> None:
    """A third program has called before. A filter of the listening socket drops every SYN of the first six seconds.

    With tcp_timestamps=2 the time stamp of a segment is a clock of milliseconds.
    """
    Path("/proc/sys/net/ipv4/tcp_timestamps").write_text("2")
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    fill(connection)
    since = listener.getsockopt(socket.IPPROTO_TCP, TCP_TIMESTAMP) + 6000
    # Load the time stamp of the SYN; if it is later, take the whole segment, else nothing.
    code = ((0x20, 0, 0, 28), (0x25, 0, 1, since), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))
    steps = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in code))
    program = struct.pack("=H6xQ", len(code), ctypes.addressof(steps))
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    listener.listen(1)
    if os.fork() == 0:
        connection.close()
        with socket.create_connection(listener.getsockname()):
            time.sleep(60)

    def served() -> None:
        listener.accept()[0].close()

    polls_beside(connection, listener.fileno(), served)


def handed_over(connection: socket.socket) -> None:
    """Connections lie in the queue of a child's listening socket of the same port, which hands them over at its end."""
    Path("/proc/sys/net/ipv4/tcp_migrate_req").write_text("1")

    def listener(port: int) -> socket.socket:
        found = socket.socket()
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.bind(("127.0.0.1", port))
        found.listen(64)
        return found

    own = listener(0)
    heard, say = os.pipe()
    if os.fork() == 0:
        connection.close()
        other = listener(own.getsockname()[1])
        own.close()
        os.write(say, b"!")
        select.select([other], [], [])
        os.write(say, b"!")
        time.sleep(LATE_S)
        other.close()
        time.sleep(60)
    os.read(heard, 1)
    own.setblocking(False)
    ends: list[socket.socket] = []
    while not select.select([heard], [], [], 0.01)[0]:
        ends.append(socket.create_connection(own.getsockname()))
        with contextlib.suppress(BlockingIOError):
            own.accept()[0].close()
    with contextlib.suppress(BlockingIOError):
        while True:
            own.accept()[0].close()
    polls_beside(connection, own.fileno(), lambda: None)


def queue_notifies(connection: socket.socket) -> None:
    """mq_notify(3): a message comes from a child that has nothing of the connection, and the handler reads."""
    name = f"/corpus-{os.getpid()}".encode()
    queue = LIBC.mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, ONE_BYTE)
    failed = ctypes.get_errno()
    LIBC.mq_unlink(name)
    assert queue >= 0, os.strerror(failed)
    if os.fork() == 0:
        connection.close()
        time.sleep(LATE_S)
        LIBC.mq_send(queue, b"!", 1, 0)
        time.sleep(60)
    signal.signal(signal.SIGUSR1, reads(connection))
    # struct sigevent: the value, the signal, SIGEV_SIGNAL.
    assert LIBC.mq_notify(queue, struct.pack("=Qii", 0, signal.SIGUSR1, 0).ljust(64, b"\0")) == 0
    write_only(connection)


def signalled_through_another(connection: socket.socket) -> None:
    """A child's descriptor has O_ASYNC, and this process is its owner (F_SETOWN), which has no such descriptor."""
    parent = os.getpid()
    signal.signal(signal.SIGIO, reads(connection))
    if os.fork() == 0:
        connection.close()
        here, there = socket.socketpair()
        fcntl.fcntl(here, fcntl.F_SETOWN, parent)
        fcntl.fcntl(here, fcntl.F_SETFL, os.O_ASYNC)
        time.sleep(LATE_S)
        there.send(b"!")
        time.sleep(60)
    write_only(connection)


def reads(connection: socket.socket) -> Callable[[int, FrameType | None], None]:
    def handler(_number: int, _frame: FrameType | None) -> None:
        take(connection)

    return handler


def pipe_of_the_kernel(connection: socket.socket, alone: bool) -> None:
    """The write end of a pipe is the kernel's (autofs), and perhaps the program's too. A program looks up a name."""
    assert LIBC.unshare(CLONE_NEWNS) == 0, os.strerror(ctypes.get_errno())
    LIBC.mount(None, b"/", None, MS_PRIVATE | MS_REC, None)
    folder = tempfile.mkdtemp()
    read, write = os.pipe()
    options = f"fd={write},pgrp={os.getpgrp()},minproto=5,maxproto=5,indirect".encode()
    assert LIBC.mount(b"corpus", folder.encode(), b"autofs", 0, options) == 0, os.strerror(ctypes.get_errno())
    if alone:
        os.close(write)
    mounted = os.open(folder, os.O_RDONLY)
    if os.fork() == 0:
        os.setpgid(0, 0)
        connection.close()
        os.close(read)
        os.close(mounted)
        if not alone:
            os.close(write)
        time.sleep(LATE_S)
        Path(folder, "name").exists()
        time.sleep(60)

    def fail() -> None:
        fcntl.ioctl(mounted, AUTOFS_IOC_FAIL, struct.unpack_from("=I", os.read(read, 400), 8)[0])

    polls_beside(connection, read, fail)


def _case(name: str, summary: str, client: Callable[..., None], **options: object) -> Case:
    return Case(name, summary, Truth.LATER, accepting(echo), connecting(client, **options), watch_s=LATER_S)


CASES = (
    _case("accept-deferred-until-data", "A deferred connection brings its first byte.", deferred_accept, writes=True),
    _case("accept-deferred-for-a-time", "The kernel's deferral of an accept is over.", deferred_accept, writes=False),
    replace(
        _case("message-queue-notifies", "A message comes, and a handler reads.", queue_notifies),
        grades=frozenset({"qualified"}),
        named="message queue",
    ),
    replace(
        _case("signal-through-another", "O_ASYNC on a descriptor of another process.", signalled_through_another),
        grades=frozenset({"qualified"}),
        named="another process",
    ),
    _case(
        "pipe-of-the-kernel",
        "The kernel writes into a pipe of which it alone has the end.",
        pipe_of_the_kernel,
        alone=True,
    ),
    _case("pipe-of-the-kernel-too", "Likewise, and its reader has that end as well.", pipe_of_the_kernel, alone=False),
    _case("call-not-heard-yet", "The SYN of a third program is heard at last.", calls_unheard),
    _case("accepted-for-another", "A listening socket hands over what lies in its queue.", handed_over),
)
