"""Where the claims are measured: the caller's namespace, and two temporary hosts with the same sysctls."""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from lab.errors import EnvironmentLacksError
from lab.kernel.place import link, sysctl
from lab.kernel.place.netns import Namespace, become_root_of_a_user_namespace
from lab.spec import Triple

CLIENT, SERVER = "198.18.20.20", "198.18.20.10"
PUMP_S = 2.0
"""The time limit for autotuning, which took 0.1 s where it was measured."""
BURST = 1 << 20


@dataclass(frozen=True, slots=True)
class Link:
    """Two temporary hosts, joined by a veth pair, with the sysctls of the caller's namespace."""

    client: Namespace
    server: Namespace
    sysctls: Mapping[str, str]

    @contextmanager
    def connection(
        self, rmem: Triple | None = None, wmem: Triple | None = None, rcvbuf: int | None = None
    ) -> Iterator[tuple[socket.socket, socket.socket]]:
        """A connection under these triples; afterwards the hosts have the caller's sysctls again."""
        triples = {"tcp_rmem": rmem, "tcp_wmem": wmem}
        wanted = {key: str(triple) for key, triple in triples.items() if triple}
        with ExitStack() as stack:
            for each in (self.client, self.server):
                stack.callback(sysctl.write, each, dict(self.sysctls))
                sysctl.write(each, dict(self.sysctls) | wanted)
            listener = stack.enter_context(self.server.call(socket.socket))
            client = stack.enter_context(self.client.call(socket.socket))
            if rcvbuf is not None:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
            listener.bind((SERVER, 0))
            listener.listen(1)
            client.settimeout(PUMP_S)
            client.connect(listener.getsockname())
            server, _ = listener.accept()
            yield client, stack.enter_context(server)


@dataclass(frozen=True, slots=True)
class MeasuringPlace:
    """The caller's namespace, and the two hosts if they could be made."""

    here: Namespace
    pair: Link | None
    core: Mapping[str, str]
    why_no_pair: str = ""

    def asked(self, option: int, size: int | None) -> int:
        """What a new TCP socket in the caller's namespace reports after it has asked for `size`."""
        with self.here.call(socket.socket) as made:
            if size is not None:
                made.setsockopt(socket.SOL_SOCKET, option, size)
            return made.getsockopt(socket.SOL_SOCKET, option)

    def default(self, key: str) -> int:
        """The second number of tcp_rmem or tcp_wmem."""
        return int(sysctl.read(self.here, (key,))[key].split()[1])

    def maximum(self, key: str) -> int:
        """The third number."""
        return int(sysctl.read(self.here, (key,))[key].split()[2])

    def known(self, key: str) -> int | None:
        """The value of a key of net.core; None if this namespace does not show it."""
        return int(self.core[key]) if key in self.core else None


@contextmanager
def place_of(here: Namespace) -> Iterator[MeasuringPlace]:
    core = sysctl.read_core()
    with ExitStack() as stack:
        try:
            if os.geteuid() != 0:
                become_root_of_a_user_namespace()
            client, server = (stack.enter_context(Namespace.create()) for _ in range(2))
            link.lay(client, server, (f"{CLIENT}/24", f"{SERVER}/24"))
        except EnvironmentLacksError as error:
            yield MeasuringPlace(here, None, core, str(error))
            return
        own = sysctl.read(here, ("tcp_rmem", "tcp_wmem", "tcp_moderate_rcvbuf"))
        yield MeasuringPlace(here, Link(client, server, own), core)


def pumped(client: socket.socket, server: socket.socket, enough: int, limit_s: float = PUMP_S) -> int:
    """Send and read at full speed until the server's receive buffer is `enough`, or the time is over; its size then."""
    client.setblocking(False)
    server.setblocking(False)
    deadline, data, grown = time.monotonic() + limit_s, bytes(BURST), 0
    while grown < enough and time.monotonic() < deadline:
        _attempt(lambda: client.send(data))
        _attempt(lambda: server.recv(BURST))
        grown = server.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    return grown


def _attempt(call: Callable[[], int | bytes]) -> None:
    """Call again and again, until it would block."""
    try:
        for _ in range(1 << 12):
            call()
    except BlockingIOError:
        return


def fill(client: socket.socket) -> None:
    """Send until the client's buffer takes no more; the server's buffer is full by then."""
    client.settimeout(0.2)
    data = bytes(BURST)
    try:
        for _ in range(1 << 12):
            client.send(data)
    except TimeoutError:
        return
