"""Tells what the descriptors of a process refer to, each as a `Resource`."""

import os
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from lab.evidence import Resource, ResourceKind
from lab.kernel.processes.kcmp import KcmpType, is_epoll_member, same
from lab.kernel.procfs import has_ended, text_of
from lab.kernel.sockets.socket_index import SocketIndex

_NUMBERED = re.compile(r"(socket|pipe):\[(\d+)\]")
_EVENTFD_ID = re.compile(r"^eventfd-id:\s*(\d+)$", re.MULTILINE)
_PID = re.compile(r"^Pid:\s*(-?\d+)", re.MULTILINE)
_SCM_FDS = re.compile(r"^scm_fds:\s*(\d+)", re.MULTILINE)
_WATCHED = re.compile(r"^tfd:\s*(\d+)\s+events:\s*([0-9a-f]+).*?(?:ino:([0-9a-f]+)\s+sdev:([0-9a-f]+))?$", re.MULTILINE)
_ASYNCHRONOUS = re.compile(r"^flags:\s*[0-7]*[2367][0-7]{4}$|^lock:.* LEASE ", re.MULTILINE)
"""O_ASYNC is 020000."""
_REGISTERED = re.compile(r"^UserFiles:.*\n((?:\s+\d+: .*\n)*)", re.MULTILINE)
_TIME_LEFT = re.compile(r"^it_value:\s*\((\d+),\s*(\d+)\)", re.MULTILINE)


RING_TRIES, RING_PAUSE_S = 20, 0.001
"""How often fdinfo of an io_uring is read: it does not show the registered files while a request is submitted."""

ALONE = 3
"""The link count of /proc/PID/task if the process has one thread (proc_task_getattr())."""

TaskDescriptor = tuple[int, int]
"""A task, and the number of a descriptor in its table."""

SHAREABLE = frozenset({ResourceKind.EPOLL, ResourceKind.TIMERFD})
"""Every process that has the same one may change what a wait on it is for."""
LEFT_OUT = frozenset({ResourceKind.EPOLL, ResourceKind.OTHER})
"""Left out of a table: no process ends a wait by having one of these."""
CLOSED = Resource(ResourceKind.OTHER, "closed")
BY_PLACE = {
    "eventpoll": ResourceKind.EPOLL,
    "timerfd": ResourceKind.TIMERFD,
    "signalfd": ResourceKind.SIGNALFD,
    "inotify": ResourceKind.INOTIFY,
}
"""Anonymous files without a number of their own, by their names in /proc."""


@dataclass(frozen=True, slots=True)
class DescriptorTable:
    """What each descriptor of a process refers to, in all its tables (mostly one). Files and devices are left out."""

    resources: dict[TaskDescriptor, Resource]
    io_uring: bool
    in_flight: int
    """Descriptors that the process may have although they are in no table."""
    shareable: tuple[tuple[ResourceKind, TaskDescriptor], ...] = ()
    """Its epoll instances and timerfds, each with its kind."""
    registered: tuple[Resource, ...] = ()
    """What is registered in its io_urings, and perhaps in no table any more."""
    signals: bool = False
    """It has io_urings or contexts of io_setup(2), which may signal eventfds (IORING_REGISTER_EVENTFD)."""

    def all_resources(self) -> tuple[Resource, ...]:
        return (*self.resources.values(), *self.registered)


@dataclass(frozen=True, slots=True)
class Watched:
    """One descriptor in an epoll set; `events` as given to epoll_ctl(2), 0 once a one-shot has fired."""

    fd: int
    events: int
    inode: int | None
    device: int | None
    epoll: int
    """The descriptor of the set."""
    nth: int
    """How many members before it were added under the same number."""


class Descriptors:
    """Tells what descriptors refer to; `index` tells TCP, listening and Unix sockets apart."""

    def __init__(self, index: SocketIndex) -> None:
        self._index = index

    def table(self, pid: int) -> DescriptorTable:
        """All tables of a process: 3 us a descriptor. Raises PermissionError, FileNotFoundError, ProcessLookupError."""
        resources: dict[TaskDescriptor, Resource] = {}
        shareable: list[tuple[ResourceKind, TaskDescriptor]] = []
        registered: list[Resource] = []
        io_uring = False
        in_flight = 0
        for task in _with_tables(pid):
            for fd, link in _links(task):
                resource = self.named(task, fd, link)
                kind = resource.kind
                if kind in SHAREABLE:
                    shareable.append((kind, (task, fd)))
                if kind not in LEFT_OUT:
                    resources[task, fd] = resource
                if kind is ResourceKind.UNIX:
                    in_flight += scm_fds(task, fd)
                if link == "anon_inode:[io_uring]":
                    io_uring = True
                    links = registered_in(task, fd)
                    in_flight += links is None
                    in_flight += sum(each.startswith("anon_inode:") for each in links or ())
                    registered += [self.named(task, -1, each) for each in links or () if _NUMBERED.fullmatch(each)]
        return DescriptorTable(resources, io_uring, in_flight, tuple(shareable), tuple(registered))

    def resource(self, task: int, fd: int) -> Resource:
        """What one descriptor of a thread refers to now; CLOSED if there is none."""
        try:
            return self.named(task, fd, os.readlink(f"/proc/{task}/fd/{fd}"))
        except FileNotFoundError:
            return CLOSED

    def listens(self, inode: int) -> bool:
        """Whether a Unix socket is listening."""
        entry = self._index.unix(inode)
        return entry is not None and entry.listens

    def sends_datagrams(self, inode: int) -> bool:
        """Whether a Unix socket sends datagrams. They may lie in the queue of any socket that it was connected to."""
        entry = self._index.unix(inode)
        return entry is None or entry.datagrams

    def named(self, task: int, fd: int, link: str) -> Resource:
        """What a descriptor refers to whose link in /proc reads so."""
        if found := _NUMBERED.fullmatch(link):
            return self._index.resource(int(found[2])) if found[1] == "socket" else _pipe(int(found[2]))
        if link.startswith(("anon_inode:", "pidfd:")):
            return _anonymous(task, fd, link.partition(":")[2].strip("[]") if link.startswith("anon") else "pidfd")
        # A named pipe, too: any process may open it at any moment and wake its readers.
        return Resource(ResourceKind.OTHER, link)

    def watched(self, task: int, each: Watched) -> Resource:
        """What a member of an epoll set refers to. The set keeps the file even if its number now means another file."""
        if each.inode is not None and each.device == _devices()[0]:
            return self._index.resource(each.inode)
        if each.inode is not None and each.device == _devices()[1]:
            return _pipe(each.inode)
        if not is_epoll_member(task, each.fd, each.epoll, each.fd, each.nth):
            return Resource(ResourceKind.OTHER, f"no more descriptor {each.fd}")
        return self.resource(task, each.fd)


@cache
def _devices() -> tuple[int, int]:
    """The device numbers of sockfs and pipefs, where all sockets and pipes are."""
    read, write = os.pipe()
    try:
        with socket.socket(socket.AF_UNIX) as own:
            return os.minor(os.fstat(own.fileno()).st_dev), os.minor(os.fstat(read).st_dev)
    finally:
        os.close(read)
        os.close(write)


def _pipe(inode: int) -> Resource:
    return Resource(ResourceKind.PIPE, inode)


def _with_tables(pid: int) -> list[int]:
    """One thread for each descriptor table of a process.

    /proc/PID/fd shows the first thread's table. That thread may have ended, or have a table of its own (unshare(2) with
    CLONE_FILES).
    """
    if os.stat(f"/proc/{pid}/task").st_nlink == ALONE:  # noqa: PTH116 - of all processes, again and again
        return [pid]
    found: list[int] = []
    for task in sorted(map(int, os.listdir(f"/proc/{pid}/task"))):
        if not any(same(KcmpType.TABLE, task, each) for each in found):
            found.append(task)
    return found


def registered_in(task: int, fd: int) -> list[str] | None:
    """The files registered in an io_uring, named like links in /proc/PID/fd; None if fdinfo does not show them."""
    for _ in range(RING_TRIES):
        text = fdinfo(task, fd)
        if found := _REGISTERED.search(text):
            return [line.split(": ", 1)[1] for line in found[1].splitlines()]
        if not text:
            return []
        time.sleep(RING_PAUSE_S)
    return None


def _links(task: int) -> Iterator[tuple[int, str]]:
    folder = os.open(f"/proc/{task}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in os.listdir(folder):
            try:
                yield int(name), os.readlink(name, dir_fd=folder)
            except FileNotFoundError:
                continue  # closed since it was listed
    finally:
        os.close(folder)


def _anonymous(task: int, fd: int, kind: str) -> Resource:
    """Anonymous files share one inode. Some have a number of their own in fdinfo."""
    if kind == "eventfd":
        found = _EVENTFD_ID.search(fdinfo(task, fd))
        return Resource(ResourceKind.EVENTFD, int(found[1])) if found else Resource(ResourceKind.OTHER, kind)
    if kind == "pidfd":
        found = _PID.search(fdinfo(task, fd))
        pid = int(found[1]) if found else 0
        return Resource.process(pid) if pid > 0 else Resource(ResourceKind.OTHER, kind)
    known = BY_PLACE.get(kind)
    return Resource(known, f"{task}/{fd}") if known else Resource(ResourceKind.OTHER, kind)


def fdinfo(task: int, fd: int) -> str:
    """Empty if the descriptor is gone. Raises PermissionError."""
    try:
        return text_of(f"/proc/{task}/fdinfo/{fd}")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def raises_signals(pid: int) -> bool | None:
    """Whether what comes to a descriptor of a process raises a signal (F_SETSIG, O_ASYNC and leases of fcntl(2)).

    None if that cannot be read.
    """
    try:
        return any(
            _ASYNCHRONOUS.search(fdinfo(task, int(fd)))
            for task in _with_tables(pid)
            for fd in os.listdir(f"/proc/{task}/fdinfo")
        )
    except PermissionError:
        return None
    except (FileNotFoundError, ProcessLookupError):
        return False if has_ended(pid) else None


def scm_fds(task: int, fd: int) -> int:
    """How many descriptors lie in the receive queue of a Unix socket (since Linux 5.6)."""
    found = _SCM_FDS.search(fdinfo(task, fd))
    return int(found[1]) if found else 0


def epoll_set(task: int, fd: int) -> list[Watched]:
    """The members of an epoll set."""
    found: list[Watched] = []
    seen: Counter[str] = Counter()
    for number, events, inode, device in _WATCHED.findall(fdinfo(task, fd)):
        where = [int(each, 16) if each else None for each in (inode, device)]
        found.append(Watched(int(number), int(events, 16), where[0], where[1], fd, seen[number]))
        seen[number] += 1
    return found


def timer_left_ns(task: int, fd: int) -> int | None:
    """How long until a timerfd fires; None if it is not armed."""
    found = _TIME_LEFT.search(fdinfo(task, fd))
    left = int(found[1]) * 1_000_000_000 + int(found[2]) if found else 0
    return left or None
