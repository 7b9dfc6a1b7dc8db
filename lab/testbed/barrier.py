"""The controller's side of the start barrier: each program is held before socket() until it gets its job.

The other side is `lab.endpoint`. They meet on an abstract Unix socket, which belongs to the network namespace. It takes
no volume, no frame on the wire and no TCP socket. Whoever may enter the namespace can listen there. So the controller
asks the kernel which process listens, and trusts no message: none can make the controller wait, grow or fail.
"""

import contextlib
import fcntl
import json
import mmap
import os
import socket
import struct
import time
from collections.abc import Mapping

from lab.errors import SpecError, TestbedError
from lab.evidence import Connected, Ended, Progress
from lab.kernel.place.netns import Namespace
from lab.kernel.procfs import has_ended
from lab.kernel.sockets.sock_diag import join_address
from lab.spec import Role
from lab.testbed.messages import Exited, Listening, NotAMessageError, Refused, parse

PAGE_SIZE = 4096
LOG_SIZE = 1 << 20
"""The maximum of a log. A program logs three lines, and the memory of its log would outlive it."""
_COUNTERS = struct.Struct("<QQQQQ")  # magic, sent, received, stamp_ns, refused
MOST_COUNTED = 1 << 62
"""More bytes than any program moves."""
MAX_LINE = 1 << 16
MAX_MESSAGES = 256
"""A program sends three. A server sends two more for each stranger that connects to it."""
RETRY_S = 0.005
SO_PASSRIGHTS = 83
"""Since Linux 6.16 (asm-generic/socket.h): whether this socket accepts descriptors at all."""


def _refuse(role: Role, why: str) -> TestbedError:
    return TestbedError(f"the {role}'s program {why}")


class Program:
    """One endpoint's program: its job, its messages, its progress page and its log."""

    def __init__(self, role: Role, connection: socket.socket) -> None:
        self.role = role
        self.host_pid = _peer_pid(connection)
        """The endpoint's host process, in our pid namespace (SO_PEERCRED)."""
        self.connected: Connected | None = None
        self.ended: Ended | None = None
        self.port: int | None = None
        """Where the server listens, once it does."""
        self.peer: str | None = None
        """The client that a server is for, once it is known. What the server says of any other client is ignored."""
        self.gone = False
        """Whether it has closed its side."""
        self.plays_in: Namespace | None = None
        """The namespace to play in, if not its host's. So one host serves many runs, each in a namespace of its own."""
        self._connection = connection
        connection.setblocking(False)
        self._pending = b""
        self._messages = 0
        self._attends_another = False
        self._job: Mapping[str, object] = {}
        self._page_fd = _memory(f"progress-{role}", PAGE_SIZE)
        self._page = mmap.mmap(self._page_fd, PAGE_SIZE, prot=mmap.PROT_READ)
        self._log_fd = _memory(f"log-{role}", LOG_SIZE)

    @classmethod
    def meet(cls, namespace: Namespace, identity: str, role: Role, limit_s: float, host_pid: int) -> "Program":
        """Wait until the endpoint's host, which is this process, listens; then connect. Raises TestbedError."""
        deadline = time.monotonic() + limit_s
        address = f"\0zero-window-lab/{identity}/{role}"
        while True:
            connection = namespace.call(socket.socket, socket.AF_UNIX, socket.SOCK_STREAM)
            connection.setblocking(False)  # do not wait for a listener that never accepts
            with contextlib.suppress(OSError):
                # We would have to close a descriptor that is sent to us, which takes as long as its SO_LINGER says.
                connection.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)
            try:
                connection.connect(address)
            except (ConnectionRefusedError, BlockingIOError):
                connection.close()
            else:
                break
            if has_ended(host_pid):
                raise _refuse(role, "ended before it was at the barrier (killed, or a limit of this place is too low?)")
            if time.monotonic() > deadline:
                raise _refuse(role, f"was not at the barrier within {limit_s:g} s; is it still starting, or stopped?")
            time.sleep(RETRY_S)
        if (stands := _peer_pid(connection)) != host_pid:
            connection.close()
            raise _refuse(role, f"is process {host_pid}, but process {stands} stands at the barrier in its name")
        return cls(role, connection)

    def fileno(self) -> int:
        return self._connection.fileno()

    def play(self, job: Mapping[str, object]) -> None:
        """Give the program its job and let it go."""
        self._job = job
        try:
            line = json.dumps(job).encode() + b"\n"
            own = [self.plays_in.fd] if self.plays_in and self.plays_in.fd is not None else []
            socket.send_fds(self._connection, [line], [self._page_fd, self._log_fd, *own])
        except OSError as error:
            raise _refuse(self.role, f"has left the barrier ({error.strerror})") from None

    def read_messages(self) -> None:
        """Take in what the program has said since the last call; never blocks.

        Raises TestbedError if the program was killed or went away before it had ended its conversation, or if it says
        what no program of ours says.
        """
        while True:
            try:
                data = self._connection.recv(MAX_LINE)
            except BlockingIOError:
                return
            except OSError as error:
                raise _refuse(self.role, f"went away ({error.strerror})") from None
            if not data:
                self.gone = True
                if self.ended is None:
                    raise _refuse(self.role, "went away in mid-run, with its container or process (killed?)")
                return
            *lines, self._pending = (self._pending + data).split(b"\n")
            if len(self._pending) > MAX_LINE:
                raise _refuse(self.role, "says more than a line may hold")
            for line in lines:
                self._take(line)

    def _take(self, line: bytes) -> None:
        self._messages += 1
        if self._messages > MAX_MESSAGES:
            raise _refuse(self.role, f"says too much: more than {MAX_MESSAGES} messages")
        try:
            message = parse(line, self.role)
        except NotAMessageError:
            raise _refuse(self.role, f"says what is no message: {line[:200]!r}") from None
        begun = self.port is not None or self.connected is not None
        match message:
            case Listening(port) if self.role is Role.SERVER and not begun and self._job.get("port") in (0, None, port):
                self.port = port
            case Connected() if self._may_connect(message):
                self._attends_another = self.peer not in (None, message.remote)
                if not self._attends_another:
                    # A server serves one client after the other: what had ended was another client's conversation.
                    self.connected, self.ended = message, None
            case Ended() if self._attends_another:
                pass
            case Ended() if self.ended is None and (self.connected or message.error):
                self.ended = message
            case Refused(error) if not begun and self.ended is None:
                raise SpecError(f"the {self.role}'s program refuses its job: {error}")
            case Exited(how):
                if self.ended is None:
                    raise _refuse(self.role, how)
            case None:
                pass
            case _:
                raise _refuse(self.role, f"says what cannot be at this point: {line[:200]!r}")

    def _may_connect(self, message: Connected) -> bool:
        """Whether it may connect now, and to the address that its job names."""
        if self.role is Role.CLIENT:
            return not self.connected and not self.ended and message.remote == self._server_address()
        return self.port is not None and message.local == self._server_address()

    def _server_address(self) -> str:
        host = str(self._job["address"])
        packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
        return join_address(packed, self.port or int(str(self._job["port"])))

    def progress(self) -> Progress | None:
        """The counters on the shared page; None if they are impossible: too many bytes, or a stamp in the future.

        The program writes the stamp last, so a counter is never older than the stamp.
        """
        now = time.time_ns()
        _, sent, received, stamp_ns, refused = _COUNTERS.unpack_from(self._page)
        if max(sent, received, refused) > MOST_COUNTED or stamp_ns > time.time_ns():
            return None
        return Progress(now, self.role, sent, received, stamp_ns, refused)

    def log(self) -> bytes:
        """What the program has logged, up to where it wrote last: it shares the offset of its descriptor with us."""
        return os.pread(self._log_fd, min(LOG_SIZE, os.lseek(self._log_fd, 0, os.SEEK_CUR)), 0)

    def close(self) -> None:
        self._connection.close()
        self._page.close()
        os.close(self._page_fd)
        os.close(self._log_fd)


def _memory(name: str, size: int) -> int:
    """A memfd that keeps this size: we map it, and reading a page that was cut off is a SIGBUS (memfd_create(2))."""
    made = os.memfd_create(f"zero-window-lab-{name}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(made, size)
    fcntl.fcntl(made, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return made


def _peer_pid(connection: socket.socket) -> int:
    pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid)
