"""The child process: makes the socket, plays one behaviour on it, and tells the controller and the log the result."""

import contextlib
import errno
import importlib
import os
import select
import socket
import time
from collections.abc import Callable, Iterator

from lab.endpoint.barrier import say
from lab.endpoint.conversation import Conversation
from lab.endpoint.job import Job, family
from lab.endpoint.payload import CorruptError
from lab.endpoint.progress import ProgressPage

CONNECT_S = 10.0

Behaviour = Callable[[socket.socket, Conversation], None]


def play(role: str, job: Job, controller: socket.socket, page: int, log: int) -> int:
    """The exit status: 0 if all was sent, read and verified. A server ends only if it cannot start."""
    stage = Stage(role, job, controller, ProgressPage(page), log)
    try:
        stage.serve() if role == "server" else stage.converse()
    except OSError as error:
        stage.end(0, 0, reason(error))
    return 0 if stage.well else 1


class Stage:
    """Plays one behaviour: makes its socket, and reports to the controller, the progress page and the log."""

    def __init__(self, role: str, job: Job, controller: socket.socket, page: ProgressPage, log: int) -> None:
        self.role = role
        self.job = job
        self.controller = controller
        self.page = page
        self.log_descriptor = log
        self.started = time.monotonic()
        self.well = True
        module = importlib.import_module(f"lab.endpoint.{role}.{job.behaviour}")
        self.behaviour: Behaviour = module.serve if role == "server" else module.converse

    def serve(self) -> None:
        """One client after the other, forever."""
        with self._socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with doing(f"bind to {self.job.address} port {self.job.port}"):
                listener.bind((self.job.address, self.job.port))
            listener.listen()
            self.log(f"listening on {written(listener.getsockname())}")
            say(self.controller, "listening", port=listener.getsockname()[1])
            while True:
                connection, _ = listener.accept()
                with connection:
                    self._attend(connection)

    def converse(self) -> None:
        with self._socket() as connection:
            connection.settimeout(CONNECT_S)
            with doing(f"connect to {self.job.address} port {self.job.port}"):
                connection.connect((self.job.address, self.job.port))
            # With a time-out, Python would make each sendall() a loop of poll() and send(): no send would block.
            connection.settimeout(None)
            self._attend(connection)

    def _socket(self) -> socket.socket:
        """Options come before connect() and listen(): the SYN fixes the window scale (RFC 7323)."""
        made = socket.socket(family(self.job), socket.SOCK_STREAM)
        for option, size in ((socket.SO_RCVBUF, self.job.so_rcvbuf), (socket.SO_SNDBUF, self.job.so_sndbuf)):
            if size is not None:
                made.setsockopt(socket.SOL_SOCKET, option, size)
        if self.job.nodelay:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.job.congestion is not None:
            with doing(f"set congestion control {self.job.congestion}"):
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, self.job.congestion.encode())
        return made

    def _attend(self, connection: socket.socket) -> None:
        conversation = Conversation(
            self.role, self.job, self.page, give_up=lambda error: self._end_conversation(conversation, reason(error))
        )
        error: str | None
        try:
            self._tell_connected(connection)
            self.behaviour(connection, conversation)
            error = conversation.shortfall(self.role)
        except CorruptError as corruption:
            error = f"corrupt: {corruption}"
        except OSError as broken:
            error = reason(broken)
        self._end_conversation(conversation, error)

    def _end_conversation(self, conversation: Conversation, error: str | None) -> None:
        self.end(conversation.sent_bytes, conversation.received_bytes, error)

    def _tell_connected(self, connection: socket.socket) -> None:
        local, remote = connection.getsockname(), connection.getpeername()
        rcvbuf = connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        sndbuf = connection.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        self.log(f"connected {written(local)} to {written(remote)}, rcvbuf {rcvbuf}, sndbuf {sndbuf}")
        say(
            self.controller,
            "connected",
            local=[local[0], local[1]],
            remote=[remote[0], remote[1]],
            rcvbuf=rcvbuf,
            sndbuf=sndbuf,
            resident=resident_bytes("VmRSS"),
        )

    def end(self, sent: int, received: int, error: str | None) -> None:
        self.well = self.well and error is None
        corrupt = error is not None and error.startswith("corrupt: ")
        self.log(f"ended: sent {sent}, received {received}, {error or 'all verified'}")
        peak = resident_bytes("VmHWM")
        say(self.controller, "ended", sent=sent, received=received, error=error, corrupt=corrupt, peak=peak)

    def log(self, text: str) -> None:
        """A line for the log and for standard output. Either may be gone, and a full pipe is not waited for."""
        line = f"{self.role} {time.monotonic() - self.started:.3f} {text}\n".encode()
        with contextlib.suppress(OSError):
            os.write(self.log_descriptor, line)
        with contextlib.suppress(OSError, ValueError):
            if select.select([], [1], [], 0)[1]:
                os.write(1, line)


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """Say what the lab was doing when the kernel returned an error."""
    try:
        yield
    except TimeoutError:
        raise OSError(errno.ETIMEDOUT, f"cannot {what}: no answer for {CONNECT_S:g} s") from None
    except OSError as error:
        raise OSError(error.errno, f"cannot {what}: {error.strerror}") from None


def resident_bytes(line: str) -> int | None:
    """VmRSS or VmHWM of this process: its memory now, or its peak (proc_pid_status(5)); None without /proc."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123 - pathlib: 8 ms
            found = [each.split() for each in status if each.startswith(f"{line}:")]
    except OSError:
        return None
    return int(found[0][1]) * 1024 if found else None


def reason(error: OSError) -> str:
    """`ECONNRESET: Connection reset by peer`."""
    return f"{errno.errorcode.get(error.errno or 0, 'OSError')}: {error.strerror or error}"


def written(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
