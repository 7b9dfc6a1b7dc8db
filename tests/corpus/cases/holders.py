"""More processes than one hold the client's socket: whether somebody is left who can read it decides."""

import fcntl
import os
import socket
import subprocess
import tempfile
import time

from tests.corpus.case import LATE_S, LATER_S, Case, Truth, accepting, connecting
from tests.corpus.programs import echo, read_all, wait_for_ever, write_only


def parent_reads_later(connection: socket.socket) -> None:
    if os.fork() == 0:
        write_only(connection)
    time.sleep(LATE_S)
    read_all(connection)


def parent_waits_for_child(connection: socket.socket) -> None:
    if os.fork() == 0:
        write_only(connection)
    os.wait()


def child_reads_when_told(connection: socket.socket) -> None:
    """The teller does not hold the socket, but the end of a pipe that the child waits on."""
    out, into = os.pipe()
    if os.fork() == 0:
        os.close(into)
        os.read(out, 1)
        read_all(connection)
    elif os.fork() == 0:
        connection.close()
        time.sleep(LATE_S)
        os.write(into, b"!")
        wait_for_ever(connection)
    write_only(connection)


def child_is_never_told(connection: socket.socket) -> None:
    """The only one who could write into the pipe is the blocked writer itself."""
    out, into = os.pipe()
    if os.fork() == 0:
        os.close(into)
        os.read(out, 1)
        read_all(connection)
    os.close(out)
    write_only(connection)


def reader_blocked_on_its_output(connection: socket.socket, *, drained: bool) -> None:
    """A child copies the socket into a pipe whose reader comes late, or is the blocked writer and never comes."""
    out, into = os.pipe()
    os.write(into, bytes(65536))
    if os.fork() == 0:
        os.close(out)
        while data := connection.recv(4096):
            os.write(into, data)
    if drained and os.fork() == 0:
        connection.close()
        time.sleep(LATE_S)
        while os.read(out, 65536):
            pass
    write_only(connection)


def waits_for_a_child_that_ends(connection: socket.socket) -> None:
    """The parent reads when its child, a stranger to the connection, has ended."""
    child = subprocess.Popen(["sleep", str(LATE_S)])
    if os.fork() == 0:
        write_only(connection)
    child.wait()
    read_all(connection)


def lock_released_later(connection: socket.socket) -> None:
    """A reader waits for a file lock: a system call that nobody can follow."""
    with tempfile.TemporaryFile() as file:
        if os.fork() == 0:
            connection.close()
            fcntl.lockf(file, fcntl.LOCK_EX)
            time.sleep(LATE_S)
            os._exit(0)
        time.sleep(0.2)
        if os.fork() == 0:
            fcntl.lockf(file, fcntl.LOCK_EX)
            read_all(connection)
        write_only(connection)


def in_flight(connection: socket.socket) -> None:
    """The socket is sent to a child that takes it later; till then it is in no descriptor table but the sender's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    if os.fork() == 0:
        connection.close()
        ours.close()
        time.sleep(LATE_S)
        _, (fd, *_), _, _ = socket.recv_fds(theirs, 1, 1)
        read_all(socket.socket(fileno=fd))
    socket.send_fds(ours, [b"!"], [connection.fileno()])
    theirs.close()
    write_only(connection)


def inherited_by_sleep(connection: socket.socket) -> None:
    """A background `sleep` holds the socket and will never read: nobody can know that."""
    connection.set_inheritable(True)
    subprocess.Popen(["sleep", "1000"], close_fds=False)
    write_only(connection)


def _case(name: str, summary: str, truth: Truth, function: object, **more: object) -> Case:
    options = more.pop("options", {})
    assert isinstance(options, dict)
    client = connecting(function, **options)  # type: ignore[arg-type]
    watch_s = 6 if truth is Truth.DEADLOCK else LATER_S
    return Case(name, summary, truth, accepting(echo), client, watch_s=watch_s, **more)  # type: ignore[arg-type]


CASES = (
    _case("forked-parent-reads-later", "A parent sleeps, then reads.", Truth.LATER, parent_reads_later),
    _case("forked-parent-waits", "A parent waits for the blocked child.", Truth.DEADLOCK, parent_waits_for_child),
    _case("pipe-told-later", "A child reads when a third tells it by a pipe.", Truth.LATER, child_reads_when_told),
    _case("pipe-never-told", "The pipe's only writer is blocked itself.", Truth.DEADLOCK, child_is_never_told),
    _case(
        "output-drained-later",
        "A reader is blocked on its own output, whose reader comes later.",
        Truth.LATER,
        reader_blocked_on_its_output,
        options={"drained": True},
    ),
    _case(
        "output-never-drained",
        "A reader is blocked on its own output, which only the blocked writer could drain.",
        Truth.DEADLOCK,
        reader_blocked_on_its_output,
        options={"drained": False},
    ),
    _case("child-ends-later", "A parent waits for a `sleep`, then reads.", Truth.LATER, waits_for_a_child_that_ends),
    _case("lock-released-later", "A reader waits for a file lock.", Truth.LATER, lock_released_later),
    _case(
        "descriptor-in-flight",
        "The socket lies in a Unix socket's queue, where a descriptor shows and not which.",
        Truth.LATER,
        in_flight,
        grades=frozenset({"qualified"}),
    ),
    _case(
        "inherited-by-sleep",
        "A `sleep 1000` has inherited the socket: dead, and provable for its 1000 s at most.",
        Truth.DEADLOCK,
        inherited_by_sleep,
        grades=frozenset({"proven-until"}),
    ),
)
