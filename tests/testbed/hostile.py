"""A program at the barrier that tries to make the controller fail, wait or err: `hostile.py ROLE IDENTITY DEED`.

It does the deed when it has got its job. After a deed in HONEST it plays the job in a child: the run is real, and must
be judged as if there had been no deed. In all others it lies about a conversation that it does not have.
"""

import contextlib
import json
import mmap
import os
import random
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

from lab.endpoint import barrier, job
from lab.endpoint.play import play
from lab.endpoint.progress import SIZE


class Visit:
    """One controller, and what it has delivered."""

    def __init__(self, role: str, controller: socket.socket) -> None:
        self.role, self.controller = role, controller
        line, (self.page, self.log), _, _ = socket.recv_fds(controller, 1 << 16, 2)
        self.job: dict[str, Any] = json.loads(line)
        self.line = line

    def say(self, event: str, **values: Any) -> None:  # noqa: ANN401 - whatever JSON can say
        self.controller.sendall(json.dumps({"event": event, **values}).encode() + b"\n")

    def plays(self) -> None:
        """Play the job as the real program does, in a child."""
        parent = os.getpid()
        if os.fork() == 0:
            if os.getppid() == parent:
                play(self.role, job.parse(self.line, self.role), self.controller, self.page, self.log)
            os._exit(0)

    def connected(self, local: tuple[str, int], remote: tuple[str, int]) -> None:
        self.say("connected", local=local, remote=remote, rcvbuf=8192, sndbuf=8192, resident=1)

    def ended(self) -> None:
        """Say that all was sent and verified."""
        count = self.job["payload"]
        self.say("ended", sent=count, received=count, error=None, corrupt=False, peak=1)

    def meets(self) -> socket.socket:
        """A real connection of this process, after the messages about it."""
        server = (self.job["address"], self.job["port"])
        if self.role == "client":
            made = socket.create_connection(server)
            self.connected(made.getsockname(), made.getpeername())
            return made
        listener = socket.create_server(server)
        self.say("listening", port=server[1])
        made, _ = listener.accept()
        self.connected(made.getsockname(), made.getpeername())
        return made


def shrinks(visit: Visit) -> None:
    """Try every way to make what the controller maps and reads shorter or longer."""
    for descriptor in (visit.page, visit.log):
        for size in (1 << 30, 1, 0):
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
        with contextlib.suppress(OSError):
            os.close(os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_TRUNC))


def logs_without_end(visit: Visit) -> None:
    line = b"\x1b]0;owned\x07\x1b[2J\xff\x00" * 1000
    with contextlib.suppress(OSError):
        for _ in range(4000):
            os.write(visit.log, line)
    with contextlib.suppress(OSError):
        os.lseek(visit.log, 1 << 40, os.SEEK_SET)


def sends_descriptors(visit: Visit) -> None:
    """Files, and a connection that takes an hour to close: its peer does not read, and SO_LINGER waits for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        slow = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    slow.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            slow.send(bytes(1 << 16))
    kept.append(peer)
    with open("/dev/null") as null:  # noqa: PTH123
        try:
            for _ in range(3):
                gifts = [null.fileno()] * 50 + [slow.fileno()]
                socket.send_fds(visit.controller, [b'{"event": "brings gifts"}\n'], gifts)
        except OSError:
            kept.append(slow)  # The kernel takes none for this controller (SO_PASSRIGHTS).
        else:
            os.close(slow.detach())  # Now the controller has the last copy, and has to close it.


def scribbles(visit: Visit) -> None:
    """Write on the progress page forever, while a child plays."""
    visit.plays()
    dice = random.Random(1)
    page = mmap.mmap(visit.page, SIZE)
    while True:
        value = dice.choice((0, 1, dice.getrandbits(64), 1 << 63, time.time_ns() + dice.randrange(-(10**9), 10**9)))
        struct.pack_into("<Q", page, 8 * dice.randrange(5), value % (1 << 64))
        time.sleep(0.0001)


def has_done_it_all(visit: Visit) -> None:
    """There is no connection."""
    client, server = ("198.18.180.20", 5555), (visit.job["address"], visit.job["port"])
    if visit.role == "server":
        visit.say("listening", port=server[1])
    visit.connected(*((client, server) if visit.role == "client" else (server, client)))
    visit.ended()


def has_done_it_all_on_a_connection(visit: Visit) -> None:
    """The connection is open, and carried nothing."""
    kept.append(visit.meets())
    visit.ended()


def has_done_it_all_and_reset(visit: Visit) -> None:
    """The connection is gone without a trace in the kernel."""
    made = visit.meets()
    with contextlib.suppress(ConnectionResetError):
        if visit.role == "server":
            made.send(b"x")  # The connection is known to both.
        made.recv(1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    made.close()
    visit.ended()


def points_at_strangers(visit: Visit) -> None:
    """Say that a frozen pair of other processes is the pair."""
    if os.fork() == 0:
        if os.fork() == 0:
            made = visit.meets()
            made.sendall(bytes(1 << 30))
        os._exit(0)
    os.wait()


def floods(visit: Visit) -> None:
    while True:
        visit.say("hums")


def says_half_a_line(visit: Visit) -> None:
    visit.controller.sendall(b'{"event": "listening", "port": 1')


DEEDS: dict[str, Callable[[Visit], None]] = {
    deed.__name__: deed
    for deed in (
        shrinks, logs_without_end, sends_descriptors, scribbles, has_done_it_all, has_done_it_all_on_a_connection,
        has_done_it_all_and_reset, points_at_strangers, floods, says_half_a_line,
    )
}  # fmt: skip
HONEST = (shrinks, logs_without_end, sends_descriptors)
kept: list[socket.socket] = []


def main(role: str, identity: str, deed: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    listener = barrier.listen(identity, role)
    listener.setblocking(True)
    if deed == "accepts_nobody":
        listener.listen(0)
        for _ in range(2):
            full = socket.socket(socket.AF_UNIX)
            full.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                full.connect(listener.getsockname())
            kept.append(full)
        signal.pause()
    controller, _ = listener.accept()
    visit = Visit(role, controller)
    with contextlib.suppress(OSError):
        DEEDS[deed](visit)
    if DEEDS[deed] in HONEST:
        visit.plays()
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
