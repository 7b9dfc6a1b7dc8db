"""The start barrier: an abstract Unix socket at which a controller delivers one job, before any TCP socket exists.

The kernel copies buffer sizes from the sysctls when a TCP socket is made, and an accepted socket inherits those of its
listener. So both programs are held here until the controller has tuned their namespaces and has started the capture.
An abstract name belongs to a network namespace: the controller reaches it by setns, with no shared file and no frame on
the wire.
"""

import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Mapping
from typing import NamedTuple

MAX_LINE = 64 << 10
"""Bytes of a job; a real one has about 400."""

READING_S = 2.0
"""How long a controller may take to finish its line once it has begun it."""

WAITING_S = 60.0
"""How long a controller may hold us at the barrier. Meanwhile it starts the other program and its capture."""

Value = None | bool | int | str | list[str | int]


class RefusedError(Exception):
    """The controller's request cannot be played; the text tells it why."""


def is_identity(text: str) -> bool:
    """Whether it fits into a name: an abstract name has at most 107 bytes (unix(7))."""
    return 0 < len(text) <= 64 and text.isascii() and text.isprintable() and not set(text) & set("/ ")


def listen(identity: str, role: str) -> socket.socket:
    """A listener that only one program in this network namespace can have at a time."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"\0zero-window-lab/{identity}/{role}")
    listener.listen(16)
    listener.setblocking(False)
    return listener


def say(controller: socket.socket, event: str, **values: Value) -> None:
    """Tell the controller, if it still listens. If it does not, a program neither ends nor waits because of that."""
    message: Mapping[str, Value] = {"event": event, **values}
    with contextlib.suppress(OSError):
        controller.send(json.dumps(message).encode() + b"\n", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


class Handed(NamedTuple):
    """Descriptors that come with a job."""

    page: int
    log: int
    namespace: int | None
    """The network namespace to play in; None: the host's own."""


class Caller:
    """A controller that has connected and has yet to deliver its line and its descriptors."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.deadline = time.monotonic() + WAITING_S
        self.line = bytearray()
        self.descriptors: list[int] = []

    def check_identity(self) -> None:
        """An abstract name has no owner and no mode, so on a shared loopback anybody could give us a job."""
        credentials = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, _ = struct.unpack("3i", credentials)
        if uid not in (0, os.geteuid()):
            raise RefusedError(f"user {uid} may not give work to a program of user {os.geteuid()}")

    def read(self) -> bytes | None:
        """The line when it is complete, None when more must come."""
        try:
            data, descriptors, flags, _ = socket.recv_fds(self.connection, MAX_LINE, 3, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return None
        except OSError as error:
            raise RefusedError(f"the connection broke: {error.strerror}") from None
        if not self.line:
            self.deadline = time.monotonic() + READING_S
        self.descriptors += descriptors
        self.line += data
        if flags & socket.MSG_CTRUNC or len(self.descriptors) > 3:
            raise RefusedError("more than three descriptors: needs the progress page, the log, and a namespace at most")
        return self._line(at_end=not data)

    def _line(self, at_end: bool) -> bytes | None:
        line, newline, rest = self.line.partition(b"\n")
        if len(line) >= MAX_LINE:
            raise RefusedError(f"a line of more than {MAX_LINE} bytes is no job")
        if rest:
            raise RefusedError("more than one line: needs one JSON object and a line feed")
        if newline:
            return bytes(line)
        if at_end:
            raise RefusedError("the connection ended before a line did")
        return None

    def handed(self) -> Handed:
        match self.descriptors:
            case [page, log]:
                return Handed(page, log, None)
            case [page, log, namespace]:
                return Handed(page, log, namespace)
        raise RefusedError("no descriptors: needs two by SCM_RIGHTS, the progress page and the log")

    def refuse(self, why: str) -> None:
        say(self.connection, "refused", error=why)
        self.close()

    def close(self) -> None:
        self.close_descriptors()
        self.connection.close()

    def close_descriptors(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []
