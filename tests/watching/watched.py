"""What there is to watch: namespaces with programs in them, connections on loopback, and a crowd of pairs."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lab.kernel.place.netns import Namespace, program_in
from lab.spec import Pair
from tests.commanded import ROOT
from tests.waiting import LIMIT_S


@contextmanager
def crowd(healthy: int, *, frozen: bool) -> Iterator[tuple[str, int, int, int]]:
    """The namespace of a crowd, its pid, and the ports of its frozen pair."""
    with loopback() as namespace:
        process = started(namespace, sys.executable, str(ROOT / "tests/crowd.py"), str(healthy), str(int(frozen)))
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            word, client, server = process.stdout.readline().split()
            assert word == "ready"
            yield f"/proc/{process.pid}/ns/net", process.pid, int(client), int(server)
        finally:
            process.stdin.close()
            process.stdout.close()
            process.wait(LIMIT_S)


@contextmanager
def loopback() -> Iterator[Namespace]:
    """A namespace of its own in which 127.0.0.1 answers."""
    with Namespace.create() as namespace:
        namespace.call(subprocess.run, ["ip", "link", "set", "lo", "up"], check=True)
        yield namespace


@contextmanager
def program(namespace: Namespace, *words: str) -> Iterator[subprocess.Popen[str]]:
    """One that runs in a namespace, `cat` unless another is named: until its standard input ends, or it is killed."""
    process = started(namespace, *(words or ("cat",)))
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=LIMIT_S)


def started(namespace: Namespace, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=program_in(namespace),  # noqa: PLW1509 - nothing else can setns
    )


@contextmanager
def connected(namespace: Namespace) -> Iterator[Pair[socket.socket]]:
    """A pair on loopback; nobody listens any more."""
    with namespace.call(socket.create_server, ("127.0.0.1", 0)) as listener:
        client = namespace.call(socket.create_connection, listener.getsockname())
        server, _ = listener.accept()
    with client, server:
        yield Pair(client, server)


def port(end: socket.socket) -> int:
    number: int = end.getsockname()[1]
    return number


def fill(end: socket.socket) -> None:
    """Send until there is no room for a while."""
    end.settimeout(0.1)
    with suppress(TimeoutError):
        while True:
            end.sendall(bytes(1 << 20))
