"""Where a case is played: two network namespaces of its own, its processes, its sockets; all of it gone afterwards.

Nothing has a name, so any number of stages stand side by side. The process that plays is the subreaper of all it
starts (prctl(2)), so that even a program whose parent has ended is found, by its id, and ended.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from lab.evidence import SocketSample
from lab.kernel.place import link, sysctl
from lab.kernel.place.netns import Namespace, program_in
from lab.kernel.procfs import descendants
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.spec import Pair, Role
from tests.corpus import container
from tests.corpus.case import ADDRESSES, PORT, UPSTREAM_PORT, Case, Command, Python
from tests.corpus.container import Container
from tests.corpus.root import ROOT

START_LIMIT_S = 60.0
TICK_S = 0.02
PR_SET_CHILD_SUBREAPER = 36
CONNECTED = {1, 4, 5, 8, 9, 11}
"""ESTABLISHED, FIN-WAIT-1 and -2, CLOSE-WAIT, LAST-ACK, CLOSING (include/net/tcp_states.h)."""
LISTEN = 10
LOOPBACK = "127.0.0.1"


class BrokenCaseError(Exception):
    """The case could not be played as it is written."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Both ends of a TCP connection, `ip:port`, and the namespace of each. v4-mapped addresses are told as IPv4."""

    client: str
    server: str
    home: Pair[Role]

    @property
    def judged(self) -> bool:
        """Between the two namespaces; a proxy's second connection is watched only."""
        return self.home.client is not self.home.server


class Stage:
    """The namespaces and processes of one case."""

    def __init__(self, case: Case, namespaces: Pair[Namespace], contained: Container | None, stack: ExitStack) -> None:
        self.case, self.namespaces, self.container, self.stack = case, namespaces, contained, stack
        self.pids: dict[str, int] = {"client": contained.pid} if contained else {}
        """By part: client, server, middle. The first process of each."""
        self.work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="corpus-")))
        self._diag = Pair(*(SocketDiag(namespaces[role]) for role in Role))
        for role in Role:
            stack.callback(self._diag[role].close)

    def start(self) -> None:
        """Start the programs, the serving ones first."""
        case = self.case
        own = (LOOPBACK, UPSTREAM_PORT) if case.middle else (case.listen, PORT)
        self._start("server", case.server, own)
        if case.middle:
            self._start("middle", case.middle, (case.listen, PORT))
        if self.container is None:
            self._start("client", case.client, None)

    def _start(self, part: str, program: Python | Command, own: tuple[str, int] | None) -> None:
        namespace = self.namespaces[Role.CLIENT if part == "client" else Role.SERVER]
        if isinstance(program, Command):
            self._spawn(part, namespace, self._command(program, own), ())
            if own:
                self._wait_for_listener(own[1])
            return
        listener = namespace.call(_listen, *own) if own else None
        fds = (listener.fileno(),) if listener else ()
        ends: list[object] = [{program.end: listener.fileno()}] if listener else []
        if part != "server":
            ends.append({"connected": [LOOPBACK, UPSTREAM_PORT] if part == "middle" else [self.case.connect, PORT]})
        self._spawn(part, namespace, play_argv(program, ends), fds)
        if listener:
            listener.close()

    def _spawn(self, part: str, namespace: Namespace, argv: list[str], fds: tuple[int, ...]) -> None:
        log = (self.work / f"{part}.log").open("wb")
        with log:
            process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env=os.environ | {"TMPDIR": str(self.work)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=fds,
                preexec_fn=program_in(namespace),  # noqa: PLW1509 - one thread plays a case
                start_new_session=True,
            )
        self.pids[part] = process.pid

    def _command(self, command: Command, own: tuple[str, int] | None) -> list[str]:
        address, port = own or (self.case.connect, PORT)
        words = {"@ADDRESS@": address, "@PORT@": str(port), "@UPSTREAM@": str(UPSTREAM_PORT), "@WORK@": str(self.work)}

        def filled(text: str) -> str:
            for mark, value in words.items():
                text = text.replace(mark, value)
            return text

        for name, text in command.files.items():
            (self.work / name).write_text(filled(text))
        return [filled(argument) for argument in command.argv]

    def _wait_for_listener(self, port: int) -> None:
        def listens() -> bool:
            rows = _table(self.namespaces.server)
            return any(state == LISTEN and local.endswith(f":{port}") for local, _, state in rows)

        self.until(listens, f"nobody listens on port {port}")

    def connections(self) -> tuple[Connection, ...]:
        """All with both ends here, as soon as there are as many as the case has."""
        found: list[Connection] = []

        def complete() -> bool:
            found[:] = self._find()
            judged = sum(connection.judged for connection in found)
            others = len(found) - judged
            return judged >= self.case.pairs and others >= (1 if self.case.middle else 0)

        self.until(complete, "no connection")
        return tuple(found)

    def _find(self) -> Iterator[Connection]:
        homes = {
            (local, remote): role
            for role in Role
            for local, remote, state in _table(self.namespaces[role])
            if state in CONNECTED
        }
        for (local, remote), home in homes.items():
            port = int(remote.rpartition(":")[2])
            other = homes.get((remote, local))
            if other is not None and port in (PORT, UPSTREAM_PORT):
                yield Connection(local, remote, Pair(home, other))

    def sample(self, connection: Connection) -> Pair[SocketSample | None]:
        client, server = connection.client, connection.server
        return Pair(
            self._diag[connection.home.client].sample(Role.CLIENT, client, server),
            self._diag[connection.home.server].sample(Role.SERVER, server, client),
        )

    def until(self, holds: Callable[[], bool], otherwise: str, limit_s: float = START_LIMIT_S) -> None:
        """Wait until it holds; raise with the logs of the programs when it does not in time."""
        deadline = time.monotonic() + limit_s
        while not holds():
            if time.monotonic() > deadline:
                raise BrokenCaseError(f"{otherwise} within {limit_s:.0f} s\n{self.logs()}")
            time.sleep(TICK_S)

    def logs(self) -> str:
        texts = (path.read_text(errors="replace")[-600:] for path in sorted(self.work.glob("*.log")))
        return "\n".join(filter(None, texts))

    def folders(self) -> tuple[str, ...]:
        """The two namespaces, as paths that others can open."""
        return tuple(f"/proc/{self.pids[part]}/ns/net" for part in ("client", "server"))

    def processes(self, part: str) -> list[int]:
        """The part's first process and all that it forked."""
        return descendants(self.pids[part])


def play_argv(program: Python, ends: list[object], interpreter: str = sys.executable) -> list[str]:
    """The command that runs a function of a case in a process of its own."""
    function = program.function
    request = {
        "module": function.__module__,
        "function": function.__name__,
        "options": dict(program.options),
        "ends": ends,
    }
    return [interpreter, "-S", "-B", "-m", "tests.corpus.play", json.dumps(request)]


@contextmanager
def set_up(case: Case) -> Iterator[Stage]:
    """The namespaces, tuned and joined; whatever was started in them is ended by id on leaving."""
    _become_subreaper()
    with ExitStack() as stack:
        stack.callback(_end_all_children)
        contained = stack.enter_context(container.running(_client_argv(case, "python3"))) if case.docker else None
        own = stack.enter_context(Namespace.of(contained.pid) if contained else Namespace.create())
        namespaces = Pair(own, stack.enter_context(Namespace.create()))
        for role in Role:
            if case.buffers is not None:
                sysctl.write(namespaces[role], {"tcp_rmem": case.buffers, "tcp_wmem": case.buffers})
        _join(namespaces, with_ipv6=contained is None)
        if case.client_mtu is not None:
            resize = ["ip", "link", "set", link.INTERFACE, "mtu", str(case.client_mtu)]
            namespaces.client.call(subprocess.run, resize, check=True)
        yield Stage(case, namespaces, contained, stack)


def _client_argv(case: Case, interpreter: str) -> list[str]:
    assert isinstance(case.client, Python)
    return play_argv(case.client, [{"connected": [case.connect, PORT]}], interpreter)


def _join(namespaces: Pair[Namespace], *, with_ipv6: bool) -> None:
    """The cable between the two. Docker disables IPv6 in a container without a network."""
    link.join(namespaces.client, namespaces.server, None)
    for role in Role:
        four, six = ADDRESSES[role]
        link.bring_up(namespaces[role], (f"{four}/24", f"{six}/64") if with_ipv6 else (f"{four}/24",))


def _become_subreaper() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_all_children() -> None:
    """Kill and reap until there are none: orphans come to us."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        for pid in descendants(os.getpid())[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if host == "::":
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind((host, port))
    listener.listen(64)
    return listener


def _table(namespace: Namespace) -> list[tuple[str, str, int]]:
    """(local, remote, state) of every TCP socket of the namespace."""
    texts = namespace.call(lambda: [Path(f"/proc/thread-self/net/tcp{v}").read_text() for v in ("", "6")])
    rows = [line.split() for text in texts for line in text.splitlines()[1:]]
    return [(_address(row[1]), _address(row[2]), int(row[3], 16)) for row in rows]


def _address(text: str) -> str:
    """proc(5): each 32-bit word of the address in host order, the port in hex."""
    host, port = text.split(":")
    words = (bytes.fromhex(host[i : i + 8])[::-1] for i in range(0, len(host), 8))
    address = ip_address(b"".join(words))
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return f"{address}:{int(port, 16)}" if address.version == 4 else f"[{address}]:{int(port, 16)}"
