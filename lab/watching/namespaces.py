"""Which network namespaces are open, which came and which went; the namespaces and the sockets of the targets.

A connection can be found only in a namespace that is looked into. These are all that a process of this host is in, and
those that the user names. Of the targets, a container may be restarted into another namespace, and a process may end.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

from lab.errors import BadInputError, EnvironmentLacksError, TestbedError
from lab.kernel.place.netns import Namespace
from lab.kernel.processes.descriptor_tables import network_namespaces
from lab.kernel.procfs import has_ended, newest, start_of
from lab.kernel.sockets.conntrack import Conntrack
from lab.kernel.sockets.counters import Counters
from lab.kernel.sockets.sock_diag import SocketDiag

WALK_S = 5.0
"""Between two walks of /proc for namespaces while no thread was made: a running one may still move to a new one."""
FOLLOW_S = 5.0
"""The engine is asked for the chosen containers once a second, for so long after one ended or a namespace came."""
NETNS = Path("/run/netns")
"""Where `ip netns` keeps its names."""


@dataclass(frozen=True, slots=True)
class Containers:
    """The containers to watch, whatever namespace each is in after a restart."""

    pids: Mapping[str, int]
    """Their main processes, by name."""
    find: Callable[[], Mapping[str, int]]
    """The same at any later time, of those that run then."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What to watch; nothing means all connections of this host. A connection fits if one of its ends does."""

    pids: tuple[int, ...] = ()
    namespaces: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    containers: Containers | None = None

    @property
    def everything(self) -> bool:
        return not (self.pids or self.beside_processes)

    @property
    def beside_processes(self) -> bool:
        """Whether anything is to be watched when no process of the targets is left."""
        return bool(self.namespaces or self.ports or self.containers)


@dataclass(frozen=True, slots=True)
class OpenNamespace:
    """A namespace that is looked into, and what is asked about it."""

    namespace: Namespace
    diag: SocketDiag
    counters: Counters
    conntrack: Conntrack
    stack: ExitStack
    """Closes all four."""

    @classmethod
    def of(cls, namespace: Namespace) -> "OpenNamespace":
        """Closes the namespace if it cannot be looked into: EnvironmentLacksError."""
        with ExitStack() as stack:
            stack.enter_context(namespace)
            diag = stack.enter_context(closing(SocketDiag(namespace)))
            counters = stack.enter_context(closing(Counters(namespace)))
            conntrack = stack.enter_context(closing(Conntrack(namespace)))
            return cls(namespace, diag, counters, conntrack, stack.pop_all())


class Namespaces:
    """All that are open, each once. Close it."""

    def __init__(self) -> None:
        self._open: dict[object, OpenNamespace] = {}
        self._kept: set[object] = set()
        """Those that stay open although no process is in them."""
        self._newest, self._walk_at = "", 0.0
        self.unseen = 0
        """The number of processes whose namespace is unknown or cannot be looked into."""

    def close(self) -> None:
        for each in self._open.values():
            each.stack.close()

    def __iter__(self) -> Iterator[OpenNamespace]:
        return iter(self._open.values())

    @property
    def diags(self) -> tuple[SocketDiag, ...]:
        return tuple(each.diag for each in self)

    @property
    def conntracks(self) -> tuple[Conntrack, ...]:
        return tuple(each.conntrack for each in self)

    def open(self, namespace: Namespace) -> OpenNamespace:
        """The one that is open already; then `namespace` is closed, else it is closed with the others."""
        identity = _identity(namespace)
        if identity in self._open:
            namespace.close()
        else:
            self._open[identity] = OpenNamespace.of(namespace)
        return self._open[identity]

    def keep(self, namespace: Namespace) -> OpenNamespace:
        """The same, and it stays open although no process is in it."""
        self._kept.add(_identity(namespace))
        return self.open(namespace)

    def find(self) -> bool:
        """Open those that came, and close those that no process is in any more: our descriptor keeps one alive.

        Returns whether one came.
        """
        if not self._walk_is_due():
            return False
        before = set(self._open)
        present = self._open_all()
        for identity in before - present - self._kept:
            self._open.pop(identity).stack.close()
        return not self._open.keys() <= before

    def _walk_is_due(self) -> bool:
        made, self._newest = self._newest, newest()
        if made == self._newest and time.monotonic() < self._walk_at:
            return False
        self._walk_at = time.monotonic() + WALK_S
        return True

    def _open_all(self) -> set[object]:
        """The identities of all namespaces that a process is in."""
        namespaces, self.unseen = network_namespaces()
        present = set()
        for namespace in namespaces:
            present.add(_identity(namespace))
            try:
                self.open(namespace)
            except EnvironmentLacksError:  # a user namespace's, which its maker may look at and not enter
                self.unseen += 1
        return present


@dataclass(frozen=True, slots=True)
class MainProcess:
    """The main process of a container that runs, and whom to ask in its namespace."""

    pid: int
    start: int | None
    diag: SocketDiag

    @property
    def runs(self) -> bool:
        return start_of(self.pid) == self.start


class TargetNamespaces:
    """The namespaces of the targets: those that are named, and those that the chosen containers are in now."""

    def __init__(self, targets: Targets, namespaces: Namespaces, report: Callable[[str], None]) -> None:
        self._namespaces, self._report, self._containers = namespaces, report, targets.containers
        self._named = {namespaces.keep(named(text)).diag for text in targets.namespaces}
        self._inside: dict[str, MainProcess] = {}
        """By the name of the container."""
        self._follow_until = 0.0
        self._enter(targets.containers.pids if targets.containers else {})

    @property
    def diags(self) -> frozenset[SocketDiag]:
        return frozenset(self._named | {each.diag for each in self._inside.values()})

    def follow(self, *, came: bool) -> bool:
        """Ask the engine again after a container has ended, or may have started: its namespace comes before its
        program, so a namespace that `came` is a sign.

        Returns whether other containers run now, or run elsewhere.
        """
        if self._containers is None:
            return False
        before = dict(self._inside)
        ended = self._let_go()
        now = time.monotonic()
        if ended or came:
            self._follow_until = now + FOLLOW_S
        if now < self._follow_until:
            self._enter(self._containers.find())
        return self._inside != before

    def _let_go(self) -> list[str]:
        """The names of the containers that have ended."""
        ended = [name for name, main in self._inside.items() if not main.runs]
        for name in ended:
            self._report(f"the container {name} has ended: watched again when it runs again")
            del self._inside[name]
        return ended

    def _enter(self, pids: Mapping[str, int]) -> None:
        """Watch the namespaces of the containers with these main processes, and no other container's.

        Those that are known run: `follow` has let go of the others.
        """
        known, self._inside = self._inside, {}
        for name, pid in pids.items():
            if name in known and known[name].pid == pid:
                self._inside[name] = known[name]
                continue
            start = start_of(pid)
            with suppress(TestbedError):  # it has ended meanwhile
                self._inside[name] = MainProcess(pid, start, self._namespaces.open(Namespace.of(pid)).diag)


class TargetProcesses:
    """The processes of the targets, as long as they run."""

    def __init__(self, targets: Targets, report: Callable[[str], None]) -> None:
        self._report, self._only_these = report, not targets.beside_processes
        self._starts = {pid: start_time(pid) for pid in targets.pids}

    def sockets(self) -> frozenset[int]:
        """The inodes of their sockets. Raises TestbedError when nothing is left to watch."""
        found: set[int] = set()
        for pid, start in list(self._starts.items()):
            try:
                found.update(sockets_of(pid))
            except EnvironmentLacksError:
                if not is_over(pid, start):
                    raise
            if is_over(pid, start):
                self._let_go(pid)
        return frozenset(found)

    def _let_go(self, pid: int) -> None:
        del self._starts[pid]
        if not self._starts and self._only_these:
            raise TestbedError(f"process {pid} has ended: nothing is left to watch")
        self._report(f"process {pid} has ended")


def named(text: str) -> Namespace:
    """A namespace by its name (`ip netns`) or by a path such as /proc/PID/ns/net."""
    path = Path(text) if "/" in text else NETNS / text
    none = BadInputError(f"no network namespace '{text[:80]}': needs a name of ip netns, or a path")
    try:
        # Not to wait for a writer, should it be a pipe.
        namespace = Namespace(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except (FileNotFoundError, NotADirectoryError):
        raise none from None
    except OSError as error:
        raise EnvironmentLacksError(f"cannot open the namespace {text[:80]} ({error.strerror}): run as root") from None
    if not namespace.is_one:
        namespace.close()
        raise none
    return namespace


def start_time(pid: int) -> int | None:
    """When the process started; None where /proc hides it. Raises BadInputError if there is none."""
    start = start_of(pid)
    try:
        os.kill(pid, 0)  # knows those as well that /proc hides (hidepid), and may not be sent anything
    except (ProcessLookupError, OverflowError):
        raise BadInputError(f"no process {pid}") from None
    except PermissionError:
        pass
    return start


def is_over(pid: int, start: int | None) -> bool:
    """Whether the process that started then has ended. It has also when nobody has waited for it yet, and when its
    number is another process's; it has not when its first thread alone has ended, or when /proc hides it.
    """
    if start is None:
        return False
    try:
        return start_of(pid) != start or (has_ended(pid) and len(os.listdir(f"/proc/{pid}/task")) == 1)
    except (FileNotFoundError, ProcessLookupError):
        return True


def sockets_of(pid: int) -> Iterator[int]:
    """The inodes of a process's sockets. Raises EnvironmentLacksError, also if it has ended."""
    hidden = EnvironmentLacksError(f"the descriptors of process {pid} cannot be read (CAP_SYS_PTRACE): run as root")
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except (PermissionError, FileNotFoundError, ProcessLookupError):
        raise hidden from None
    for descriptor in descriptors:
        try:
            link = os.readlink(f"/proc/{pid}/fd/{descriptor}")
        except PermissionError:  # listed for a reader of other users' files, who may still not look at them
            raise hidden from None
        except OSError:
            continue
        if link.startswith("socket:["):
            yield int(link[8:-1])


def _identity(namespace: Namespace) -> object:
    """The same for every descriptor of one namespace."""
    status = Path("/proc/self/ns/net").stat() if namespace.fd is None else os.fstat(namespace.fd)
    return status.st_dev, status.st_ino
