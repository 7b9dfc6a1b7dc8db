"""Plays a point on a worker of a Dask cluster: hands it to a player, a process of its own, and waits for the row.

A Dask worker has many threads, so it must neither fork nor enter namespaces. The first point starts a parent process
with one thread, which forks the players. Each thread of the worker that plays has a player, until the worker ends.

    Dask worker ─ starts ─▶ parent ─ forks ─▶ player of one thread ─ starts ─▶ the hosts of the two endpoints
        each process is killed by the kernel if the one before it ends

The worker passes points and rows on without unpickling them: it never reads data of another version of the lab.
"""

import gc
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import NoReturn

import lab
from lab.errors import TestbedError
from lab.kernel.place import machine
from lab.kernel.place.netns import may_make_namespaces, signals_held
from lab.sweep import local

LOOK_S = 0.2
"""Between two checks whether the row is still wanted."""

START_S = 60.0
"""How long a parent, or a player, may take to report that it has started."""

MESSAGE = 1024


@cache
def version() -> str:
    """The version of the lab: a hash of its code, the same for every Python."""
    folder = Path(lab.__file__).parent
    files = sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*.py"))
    return hashlib.sha256(b"".join(name.encode() + path.read_bytes() for name, path in files)).hexdigest()[:12]


class PlayerLostError(TestbedError):
    """A player ended in mid-run, or with its worker: the point is to be played again on another worker."""


def play(wanted: str, point: bytes) -> bytes | str:
    """The row of a point, both pickled; or why this worker cannot play. Dask calls it in a thread of its worker.

    `wanted` is the version of the lab that asks. Raises PlayerLostError, also if the task was cancelled.
    """
    if wanted != version():
        return f"has version {version()} of the lab, and here is {wanted}: give all the same, and start it again"
    if why := _PLAYERS.cannot_play():
        return f"cannot play: {why}: run it as root on a host, or as compose.cluster.yaml does"
    with _PLAYERS.one() as player:
        return player.play(point)


class Players:
    """The players of this worker, and their parent. Safe for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[PlayerProcess] = []
        self._parent: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._why_not = ""

    def cannot_play(self) -> str:
        """Why no namespaces can be created here; empty if they can."""
        with self._lock:
            self._ready()
            return self._why_not

    @contextmanager
    def one(self) -> Iterator["PlayerProcess"]:
        """A free player, or a new one; it serves again unless it was lost."""
        with self._lock:
            player = self._free.pop() if self._free else None
        player = player or self._new()
        try:
            yield player
        except BaseException:
            player.end()
            raise
        with self._lock:
            self._free.append(player)

    def _new(self) -> "PlayerProcess":
        ours, theirs = Pipe()
        with theirs, self._lock:
            control = self._ready()
            try:
                socket.send_fds(control, [b"player"], [theirs.fileno()])
            except OSError:
                raise PlayerLostError("the parent of its players ended") from None
        return PlayerProcess(ours)

    def _ready(self) -> socket.socket:
        """The socket to a parent that runs; it is started if need be."""
        if self._control is None or self._parent is None or self._parent.poll() is not None:
            if self._control is not None:
                self._control.close()
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                # No preexec_fn: it would run Python between fork and exec, in a process with threads.
                self._parent = subprocess.Popen(
                    [sys.executable, "-m", __name__, str(theirs.fileno())],
                    cwd=Path(lab.__file__).parent.parent,  # the first on the path of -m
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                )
            self._control.settimeout(START_S)
            try:
                said = self._control.recv(MESSAGE).decode()
            except OSError:
                said = ""
            if not said:
                self._parent.kill()
                self._parent.wait()
                raise PlayerLostError("the parent of its players did not start")
            self._why_not = said.removeprefix(READY)
        return self._control


READY = "ready"


class PlayerProcess:
    """A player, as its worker sees it. Belongs to one thread at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        try:
            if not connection.poll(START_S):
                raise PlayerLostError("a player did not start")
            self._pidfd = os.pidfd_open(connection.recv())  # it waits for a point, so the PID is still its own
        except (EOFError, OSError):
            raise PlayerLostError("a player did not start") from None

    def play(self, point: bytes) -> bytes:
        try:
            self._connection.send_bytes(point)
            while not self._connection.poll(LOOK_S):
                if not _is_wanted():
                    raise PlayerLostError("nobody waits for the row any more")
            return self._connection.recv_bytes()
        except (EOFError, OSError):
            raise PlayerLostError("its player ended in mid-run") from None

    def end(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        os.close(self._pidfd)
        self._connection.close()


def _is_wanted() -> bool:
    """Whether this thread's task is wanted: Dask marks a task that was cancelled, and does not interrupt it."""
    from distributed.core import Status  # noqa: PLC0415 - a player does not need it
    from distributed.worker import get_worker, thread_state  # noqa: PLC0415

    worker = get_worker()
    task = worker.state.tasks.get(thread_state.key)
    return worker.status not in (Status.closing, Status.closed) and task is not None and task.state != "cancelled"


_PLAYERS = Players()


def main() -> None:
    """The parent process: fork a player for each connection that the worker passes, until the worker ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at the terminal is for the worker
    control = socket.socket(fileno=int(sys.argv[1]))
    why_not = may_make_namespaces()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the players
    machine.warm()
    gc.freeze()
    parent = os.getpid()
    control.send((why_not or READY).encode())
    while True:
        said, descriptors, _, _ = socket.recv_fds(control, MESSAGE, 1)
        if not said:
            return
        with signals_held():
            if os.fork() == 0:
                control.close()
                _be_a_player(Connection(descriptors[0]), parent)
        os.close(descriptors[0])


def _be_a_player(connection: Connection, parent: int) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        connection.send(os.getpid())
        local.work(connection, parent)
    except (EOFError, ConnectionError, SystemExit):
        pass  # the worker has ended, or has ended this player
    except Exception:  # noqa: BLE001 - the last resort: an error that is not printed here is lost
        traceback.print_exc()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
