"""The controller's side of the start barrier: each program is held before socket() until it is given its job.

The other side is `lab.endpoint`. They meet on an abstract Unix socket, which belongs to the network namespace: no
volume, no frame on the wire, no TCP socket; whoever may enter the namespace reaches it.
"""

import json
import mmap
import os
import signal
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

from lab.errors import SpecError, TestbedError
from lab.evidence import Connected, Ended, Progress
from lab.kernel.netns import Namespace
from lab.kernel.sockdiag import join_address
from lab.spec import Role

PAGE_SIZE = 4096
_COUNTERS = struct.Struct("<QQQQQ")  # magic, sent, received, stamp_ns, refused
MAX_LINE = 1 << 16
RETRY_S = 0.005

Report = Mapping[str, Any]


def _refuse(role: Role, why: str) -> TestbedError:
    return TestbedError(f"the {role}'s program {why}")


class Program:
    """One endpoint's program: its job, its reports, its progress page and its log."""

    def __init__(self, role: Role, connection: socket.socket) -> None:
        self.role = role
        self.host_pid = _peer_pid(connection)
        """The endpoint's host process, in our pid namespace (SO_PEERCRED)."""
        self.connected: Connected | None = None
        self.ended: Ended | None = None
        self.port: int | None = None
        """Where the server listens, as soon as it does."""
        self.gone = False
        """Whether it has said its last word."""
        self._connection = connection
        connection.setblocking(False)
        self._pending = b""
        self._page_fd = os.memfd_create(f"zero-window-lab-progress-{role}")
        os.ftruncate(self._page_fd, PAGE_SIZE)
        self._page = mmap.mmap(self._page_fd, PAGE_SIZE, prot=mmap.PROT_READ)
        self._log_fd = os.memfd_create(f"zero-window-lab-log-{role}")

    @classmethod
    def meet(cls, namespace: Namespace, identity: str, role: Role, limit_s: float) -> "Program":
        """Wait for the endpoint's host to listen, and connect. Raises TestbedError past the limit."""
        deadline = time.monotonic() + limit_s
        address = f"\0zero-window-lab/{identity}/{role}"
        while True:
            connection = namespace.call(socket.socket, socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(address)
            except (ConnectionRefusedError, BlockingIOError):
                connection.close()
            else:
                return cls(role, connection)
            if time.monotonic() > deadline:
                raise _refuse(role, f"was not at the barrier within {limit_s:g} s; is it still starting, or stopped?")
            time.sleep(RETRY_S)

    def fileno(self) -> int:
        return self._connection.fileno()

    def play(self, job: Mapping[str, object]) -> None:
        """Give the program its job and let it go."""
        try:
            line = json.dumps(job).encode() + b"\n"
            socket.send_fds(self._connection, [line], [self._page_fd, self._log_fd])
        except OSError as error:
            raise _refuse(self.role, f"has left the barrier ({error.strerror})") from None

    def read_reports(self) -> None:
        """Take in what the program has said since the last call; never blocks.

        Raises TestbedError when the program was killed or went away without having ended its part.
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
        try:
            report: Report = json.loads(line)
            event = report["event"]
            if event == "listening":
                self.port = int(report["port"])
            elif event == "connected":
                self.connected = self._connected(report)
            elif event == "ended":
                self.ended = self._ended(report)
            elif event == "refused":
                raise SpecError(f"the {self.role}'s program refuses its job: {report['error']!s:.500}")
            elif event == "exited" and self.ended is None:
                raise _refuse(self.role, _how_it_exited(report))
        except (ValueError, KeyError, TypeError, RecursionError, OSError):  # OSError: inet_pton's
            raise _refuse(self.role, f"says what is no report: {line[:200]!r}") from None

    def _connected(self, report: Report) -> Connected:
        local, remote = (_address(*report[key]) for key in ("local", "remote"))
        resident = _bytes(report.get("resident"))
        return Connected(self.role, local, remote, int(report["rcvbuf"]), int(report["sndbuf"]), resident)

    def _ended(self, report: Report) -> Ended:
        error = report["error"]
        return Ended(
            role=self.role,
            time_ns=time.time_ns(),
            sent=int(report["sent"]),
            received=int(report["received"]),
            error=None if error is None else str(error)[:500],
            corrupt=bool(report["corrupt"]),
            peak=_bytes(report.get("peak")),
        )

    def progress(self) -> Progress:
        """The counters, from the shared page. The stamp is written last, so a counter is never older than its stamp."""
        now = time.time_ns()
        _, sent, received, stamp_ns, refused = _COUNTERS.unpack_from(self._page)
        return Progress(now, self.role, sent, received, stamp_ns, refused)

    def log(self, limit: int = 1 << 20) -> bytes:
        """What the program has logged, at most `limit` bytes."""
        return os.pread(self._log_fd, limit, 0)

    def close(self) -> None:
        self._connection.close()
        self._page.close()
        os.close(self._page_fd)
        os.close(self._log_fd)


def _how_it_exited(report: Report) -> str:
    if report.get("signal"):
        return f"was killed by {signal.Signals(int(report['signal'])).name} in mid-run"
    return f"exited with status {report.get('status')} in mid-run; its log says why"


def _bytes(value: int | None) -> int | None:
    return None if value is None else int(value)


def _address(host: str, port: int) -> str:
    packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    return join_address(packed, port)


def _peer_pid(connection: socket.socket) -> int:
    pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid)
