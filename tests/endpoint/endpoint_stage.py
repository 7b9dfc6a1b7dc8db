"""The controller's side of the barrier, for tests: real endpoint processes, real abstract sockets, loopback TCP."""

import json
import mmap
import os
import secrets
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.waiting import LIMIT_S, at_rest, until

ROOT = Path(__file__).parents[2]

SQUEEZED: dict[str, Any] = {"so_rcvbuf": 2304, "so_sndbuf": 2304}

JOB: dict[str, Any] = {
    "behaviour": "upper",
    "family": 4,
    "address": "127.0.0.1",
    "port": 0,
    "payload": 32,
    "send_size": 16,
    "recv_size": 42,
    "server_block": 1024,
    "answer": "upper",
}


def descriptors(pid: int) -> dict[int, str]:
    """What each descriptor of a process leads to; one that is closed between the listing and the look is left out."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found[int(entry.name)] = os.readlink(entry)
    return found


class Controller:
    """One connection to an endpoint, with the page and the log that went with the job."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.connection.settimeout(LIMIT_S)
        self.lines = connection.makefile("rb")
        self.page_descriptor = os.memfd_create("page")
        os.truncate(self.page_descriptor, 4096)
        self.map = mmap.mmap(self.page_descriptor, 4096)
        self.log_descriptor = os.memfd_create("log")

    def send(self, line: bytes, descriptors: list[int] | None = None) -> None:
        both = [self.page_descriptor, self.log_descriptor] if descriptors is None else descriptors
        socket.send_fds(self.connection, [line], both)

    def event(self) -> dict[str, Any]:
        line = self.lines.readline()
        assert line, "the endpoint closed the connection"
        event: dict[str, Any] = json.loads(line)
        return event

    def is_closed(self) -> bool:
        return self.lines.readline() == b""

    def words(self) -> tuple[int, ...]:
        return tuple(int.from_bytes(self.map[at : at + 8], "little") for at in (0, 8, 16, 24))

    def counters(self) -> tuple[int, ...]:
        return self.words()[1:3]

    def refused(self) -> int:
        return int.from_bytes(self.map[32:40], "little")

    def log(self) -> str:
        return os.pread(self.log_descriptor, 1 << 20, 0).decode()

    def close(self) -> None:
        self.lines.close()
        self.connection.close()
        self.map.close()
        os.close(self.page_descriptor)
        os.close(self.log_descriptor)


class Stage:
    """Both endpoints of one identity."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.identity = secrets.token_hex(6)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, role: str, wrapper: tuple[str, ...] = (), stdout: int = subprocess.DEVNULL, stderr: int | None = None
    ) -> subprocess.Popen[bytes]:
        command = [*wrapper, sys.executable, "-S", "-m", "lab.endpoint", role, self.identity]
        process = subprocess.Popen(command, cwd=ROOT, stdout=stdout, stderr=stderr)
        self.stack.callback(process.wait, LIMIT_S)
        self.stack.callback(process.kill)
        self.processes[role] = process
        return process

    def call(self, role: str) -> Controller:

        def connected() -> socket.socket | None:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(f"\0zero-window-lab/{self.identity}/{role}")
            except ConnectionRefusedError:
                connection.close()
                return None
            return connection

        connection = until(connected, what=f"the {role} to listen")
        assert connection is not None
        controller = Controller(connection)
        self.stack.callback(controller.close)
        return controller

    def give(self, role: str, **job: object) -> Controller:
        if role not in self.processes:
            self.start(role)
        controller = self.call(role)
        controller.send(json.dumps(JOB | job).encode() + b"\n")
        return controller

    def play(self, server: str, client: str, **job: object) -> tuple[Controller, Controller]:
        """Client and server, connected."""
        serving = self.give("server", **job | {"behaviour": server})
        port = serving.event()["port"]
        conversing = self.give("client", **job | {"behaviour": client, "port": port})
        assert conversing.event()["event"] == "connected"
        assert serving.event()["event"] == "connected"
        return conversing, serving

    def child(self, role: str) -> int:
        pid = self.processes[role].pid
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(child)


@contextmanager
def staged() -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack)


def still(*controllers: Controller, for_s: float = 0.5) -> None:
    """Wait until no counter has moved for so long."""
    at_rest(lambda: [controller.counters() for controller in controllers], for_s)


def has_ended(pidfd: int, limit_s: float) -> bool:
    return bool(select.select([pidfd], [], [], limit_s)[0])
