"""Finds the processes that hold a resource, by the descriptor tables of all processes; and describes a process."""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from lab.errors import EnvironmentLacksError, TestbedError
from lab.evidence import ProcessSample, Resource
from lab.kernel.place.netns import Namespace
from lab.kernel.processes.descriptors import Descriptors, DescriptorTable, TaskDescriptor
from lab.kernel.processes.runtime import runtime_of
from lab.kernel.processes.signal_sources import has_message_queue, raises_signals, signal_owners
from lab.kernel.procfs import (
    children_of,
    descendants,
    end_signal_of,
    has_ended,
    has_terminal,
    is_kernel_thread,
    parent_of,
    start_of,
    text_of,
    those_in_namespace_of,
)

SIGALRM_BIT, SIGCHLD_BIT, SIGURG_BIT = 1 << 13, 1 << 16, 1 << 22
TERMINAL_BITS = 1 << 0 | 1 << 27
"""SIGHUP and SIGWINCH."""
NO_TABLE = "its descriptor table: needs CAP_SYS_PTRACE, and CAP_DAC_READ_SEARCH if it is another user's"
RING, AIO = "anon_inode:[io_uring]", "/[aio]"
"""Mappings of an io_uring and of a context of io_setup(2): they stay when every descriptor is closed."""
NO_CALLS = "its system calls: needs CAP_SYS_PTRACE"

_IGNORED = re.compile(r"^SigIgn:\s*(\w+)", re.MULTILINE)
_CAUGHT = re.compile(r"^SigCgt:\s*(\w+)", re.MULTILINE)


@dataclass(slots=True)
class DescriptorTables:
    """The descriptor tables of many processes, by process and by resource."""

    by_pid: dict[int, DescriptorTable] = field(default_factory=dict)
    unreadable: set[int] = field(default_factory=set)
    _signalled: frozenset[int] | None = None
    """Processes, or process groups as negative numbers, that get signals by what comes to descriptors of others."""
    _by_resource: dict[Resource, dict[int, TaskDescriptor | None]] = field(default_factory=dict)
    """By process: where its table has the resource; None if it lies in an io_uring only."""

    def read(self, descriptors: Descriptors, pid: int) -> None:
        """Read the tables of one process again; forget it if it has ended."""
        self.forget(pid)
        try:
            table = descriptors.table(pid)
        except PermissionError:
            if not is_kernel_thread(pid):
                self.unreadable.add(pid)
            return
        except (FileNotFoundError, ProcessLookupError):
            if not has_ended(pid):
                self.unreadable.add(pid)
            return
        self.by_pid[pid] = table
        for place, resource in table.resources.items():
            self._by_resource.setdefault(resource, {}).setdefault(pid, place)
        for resource in table.registered:
            self._by_resource.setdefault(resource, {}).setdefault(pid, None)

    def forget(self, pid: int) -> None:
        self.unreadable.discard(pid)
        table = self.by_pid.pop(pid, None)
        if table is not None:
            for resource in table.all_resources():
                self._by_resource.get(resource, {}).pop(pid, None)

    def signals_reach(self, pid: int) -> bool:
        """Whether what comes to a descriptor of another process raises a signal in this one."""
        if self._signalled is None:
            self._signalled = _signalled(self.by_pid)
        try:
            return not self._signalled.isdisjoint((pid, -os.getpgid(pid)))
        except ProcessLookupError:
            return False

    def holders(self, resources: Iterable[Resource]) -> set[int]:
        return {pid for resource in resources for pid in self._by_resource.get(resource, ())}

    def places(self, resource: Resource) -> list[TaskDescriptor]:
        """One for each process that has a descriptor of it."""
        return [place for place in self._by_resource.get(resource, {}).values() if place is not None]

    def with_descriptors_in_flight(self) -> set[int]:
        return {pid for pid, table in self.by_pid.items() if table.in_flight}

    def with_rings(self) -> set[int]:
        """Processes that have an io_uring. Requests of the process that made it may lie there, though it has none."""
        return {pid for pid, table in self.by_pid.items() if table.io_uring}

    def that_signal(self) -> set[int]:
        """Processes for which the kernel may signal an eventfd although they have no descriptor of it."""
        return {pid for pid, table in self.by_pid.items() if table.signals}


def scan(descriptors: Descriptors) -> DescriptorTables:
    """The tables of all processes of this host, and their mappings: 10 to 14 ms for 120 processes.

    An io_uring may live on without a descriptor (IORING_REGISTER_RING_FDS). Then nothing shows the files in it.
    """
    tables = DescriptorTables()
    for name in os.listdir("/proc"):
        if name.isdigit():
            tables.read(descriptors, int(name))
    for pid, table in tables.by_pid.items():
        maps = _maps(pid) or ""
        if table.io_uring or RING in maps or AIO in maps:
            nameless = RING in maps and not table.io_uring
            tables.by_pid[pid] = replace(table, in_flight=table.in_flight + nameless, signals=True)
    return tables


def _signalled(pids: Iterable[int]) -> frozenset[int]:
    """The processes that get signals by what comes to a descriptor of another process (F_SETOWN, O_ASYNC)."""
    found: set[int] = set()
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            found |= {owner for owner in signal_owners(pid) if owner not in (pid, 0)}
    return frozenset(found)


class Processes:
    """Describes processes. It finds out once what cannot change while a process lives."""

    def __init__(self) -> None:
        self._runtimes: dict[tuple[int, int | None, str], str | None] = {}

    def sample(
        self,
        pid: int,
        table: DescriptorTable | None,
        *,
        calls_readable: bool,
        alarm_pending: bool | None = False,
        tracees: Callable[[int], Iterable[int]] = lambda _: (),
    ) -> ProcessSample:
        """60 us. `table` is None if it could not be read. `alarm_pending`: whether any process has an alarm pending."""
        try:
            status = text_of(f"/proc/{pid}/status")
            comm = text_of(f"/proc/{pid}/comm").rstrip("\n")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            status = comm = ""
        found = _CAUGHT.search(status)
        caught = int(found[1], 16) if found else None
        ignored = int(found[1], 16) if (found := _IGNORED.search(status)) else 0
        maps = _maps(pid)
        missing = [NO_TABLE] * (table is None) + [NO_CALLS] * (not calls_readable)
        return ProcessSample(
            time_ns=time.time_ns(),
            pid=pid,
            parent=parent_of(pid) or 0,
            comm=comm,
            container=None,
            resources=None if table is None else tuple(dict.fromkeys(table.all_resources())),
            catches_alarm=None if caught is None else bool(caught & SIGALRM_BIT),
            posix_timers=_posix_timers(pid),
            io_uring=(table is not None and table.io_uring) or RING in (maps or ""),
            in_flight=table.in_flight if table is not None else 0,
            runtime=self._runtime(pid, comm),
            missing="; ".join(missing) or None,
            hidden=tuple(_hidden(pid, caught or 0, maps, table)),
            read_ends=None if table is None else table.read_ends,
            write_ends=None if table is None else table.write_ends,
            signals=(table is not None and (table.io_uring or table.signals))
            or RING in (maps or "")
            or AIO in (maps or ""),
            alarm_ends_it=False if ((caught or 0) | ignored) & SIGALRM_BIT else alarm_pending,
            reaps=tuple(dict.fromkeys(_that_signal_their_end(pid, caught or 0, ignored, tracees))),
        )

    def _runtime(self, pid: int, comm: str) -> str | None:
        key = pid, start_of(pid), comm  # an exec makes another program of it
        if key not in self._runtimes:
            self._runtimes[key] = runtime_of(pid)
        return self._runtimes[key]


def network_namespaces() -> tuple[list[Namespace], int]:
    """Every network namespace of this host that a process is in, our own first; and the number of processes whose
    namespace could not be read."""
    own = os.readlink("/proc/self/ns/net")
    seen, found, refused = {own}, [Namespace.here()], 0
    for name in os.listdir("/proc"):
        try:
            inode = os.readlink(f"/proc/{name}/ns/net") if name.isdigit() else own
        except PermissionError:
            refused += not is_kernel_thread(int(name))
            continue
        except (FileNotFoundError, ProcessLookupError):
            continue
        if inode not in seen:
            seen.add(inode)
            try:
                found.append(Namespace.of(int(name)))
            except TestbedError:
                continue
            except EnvironmentLacksError:
                refused += 1
    return found, refused


def _that_signal_their_end(
    pid: int, caught: int, ignored: int, tracees: Callable[[int], Iterable[int]]
) -> Iterator[int]:
    """The children whose end sends the process a signal that runs a handler, or that ends the process.

    Orphans become its children if it is the first process of a PID namespace, or a subreaper, which nothing shows. So
    the children of a child whose own end tells it nothing count as its own.
    """
    try:
        children = children_of(pid)
        # Their stops and ends raise SIGCHLD, whoever their parent is.
        raising = (*tracees(pid), *those_in_namespace_of(pid)) if caught & SIGCHLD_BIT else ()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return  # it has ended, or /proc hides it (hidepid): then its table is hidden as well, which qualifies a proof
    yield from raising
    for child in children:
        number = end_signal_of(child)
        if number is None:
            yield child  # hidden by /proc: it may be any signal
            continue
        bit = 1 << number - 1 if number > 0 else 0
        if bit & (caught if bit == SIGCHLD_BIT else ~ignored):
            yield child
        elif caught & SIGCHLD_BIT:
            yield from descendants(child)[1:]


def _hidden(pid: int, caught: int, maps: str | None, table: DescriptorTable | None) -> Iterator[str]:
    if table is not None and _has_message_queue(pid):
        yield "has a message queue: mq_notify(3) may signal it when a message comes"
    if caught & TERMINAL_BITS and has_terminal(pid):
        yield "catches SIGHUP or SIGWINCH: its terminal may hang up, or change its size"
    if maps is None:
        yield "has mappings that could not be read: whether an io_uring or an aio context is among them is not known"
    elif AIO in maps:
        yield "has a context of io_setup(2): its requests cannot be seen"
    signals = raises_signals(pid)
    if signals is None:
        yield "has descriptors that could not be read: whether one raises a signal (O_ASYNC) is not known"
    elif signals:
        yield "gets a signal by what comes to a descriptor of it (O_ASYNC, F_SETLEASE, F_NOTIFY)"
    if caught & SIGURG_BIT:
        yield "catches SIGURG: urgent data that comes to a socket of it runs the handler"


def _has_message_queue(pid: int) -> bool:
    try:
        return has_message_queue(pid)
    except (PermissionError, FileNotFoundError, ProcessLookupError):
        return not has_ended(pid)


def _maps(pid: int) -> str | None:
    """Of the first thread that has not ended; empty if all have, None if they cannot be read."""
    try:
        for task in sorted(os.listdir(f"/proc/{pid}/task"), key=int):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if text := text_of(f"/proc/{task}/maps"):
                    return text
    except PermissionError:
        return None
    except (FileNotFoundError, ProcessLookupError):
        return "" if has_ended(pid) else None
    return ""


def _posix_timers(pid: int) -> int | None:
    """None if the kernel does not show them (CONFIG_CHECKPOINT_RESTORE)."""
    try:
        return sum(line.startswith("ID:") for line in text_of(f"/proc/{pid}/timers").splitlines())
    except OSError:
        return None
