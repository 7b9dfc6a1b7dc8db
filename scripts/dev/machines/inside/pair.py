"""A frozen pair of plain programs on loopback: an echo, and a client that writes more than both kernels take."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machines.inside.command import LIMIT_S, lab, of

SERVER = """
import socket, sys
connection = socket.create_server((sys.argv[1], int(sys.argv[2]))).accept()[0]
while data := connection.recv(4096):
    connection.sendall(data)
"""
SENDS_ONCE = """
import socket, sys, time
while True:
    try:
        connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
        break
    except OSError:
        time.sleep(0.1)
connection.send(bytes(1 << 26))
while connection.recv(1 << 16):
    pass
"""
"""A send that is interrupted is short, and this client then reads on: whatever was proven was false."""
SENDS_ALL = SENDS_ONCE.replace(".send(", ".sendall(")
"""And this one sends on: it is frozen again."""
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class FrozenPair:
    port: int
    client: "subprocess.Popen[bytes]"

    def watched(self, user: int | None = None) -> dict[str, Any]:
        """The verdict of `lab watch --once` about its connection."""
        (connection,) = lab("watch", "--once", "--port", str(self.port), user=user)["connections"]
        verdict: dict[str, Any] = connection
        return verdict


@contextmanager
def frozen_pair(client: str, port: int, user: int | None = None) -> Iterator[FrozenPair]:
    """Stands still as soon as it is given. Killed at the end, each by its id."""
    with ExitStack() as stack:
        programs = []
        for text in (SERVER, client):
            program = subprocess.Popen([sys.executable, "-c", text, HOST, str(port)], **of(user))
            stack.callback(program.wait)
            stack.callback(program.kill)
            programs.append(program)
        _until_still(port)
        yield FrozenPair(port, programs[1])


def _until_still(port: int) -> None:
    """Until the queues of both sockets have stood for a second, not empty."""
    deadline = time.monotonic() + LIMIT_S
    before, since = _queues(port), time.monotonic()
    while (
        time.monotonic() - since < 1 or len(before) < 2 or any(set(each.split(":")) == {"00000000"} for each in before)
    ):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the pair on port {port} does not stand still: {json.dumps(before)}")
        time.sleep(0.1)
        now = _queues(port)
        if now != before:
            before, since = now, time.monotonic()


def _queues(port: int) -> list[str]:
    """`send:receive` of both ends, in hex (proc_pid_net(5)). State 01 is ESTABLISHED."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    here = f":{port:04X}"
    return [row[4] for row in rows if row[3] == "01" and (row[1].endswith(here) or row[2].endswith(here))]
