"""Tells what the descriptors of a process refer to, each as a `Resource`."""

import os
import re
import socket
import stat
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from lab.evidence import Resource, ResourceKind
from lab.kernel.processes.autofs import autofs_pipes
from lab.kernel.processes.kcmp import KcmpType, is_epoll_member, same
from lab.kernel.procfs import text_of
from lab.kernel.sockets.socket_index import SocketIndex, is_unlisted

_NUMBERED = re.compile(r"(socket|pipe):\[(\d+)\]")
_EVENTFD_ID = re.compile(r"^eventfd-id:\s*(\d+)$", re.MULTILINE)
_PID = re.compile(r"^Pid:\s*(-?\d+)", re.MULTILINE)
_SCM_FDS = re.compile(r"^scm_fds:\s*(\d+)", re.MULTILINE)
_WATCHED = re.compile(r"^tfd:\s*(\d+)\s+events:\s*([0-9a-f]+).*?(?:ino:([0-9a-f]+)\s+sdev:([0-9a-f]+))?$", re.MULTILINE)
_REGISTERED = re.compile(r"^UserFiles:\s*(\d+)\n((?:\s+\d+:.*\n)*)", re.MULTILINE)
_SETTIME = re.compile(r"^settime flags:\s*(\d+)", re.MULTILINE)
TFD_TIMER_CANCEL_ON_SET = 2
_TIME_LEFT = re.compile(r"^it_value:\s*\((\d+),\s*(\d+)\)", re.MULTILINE)


RING_TRIES, RING_PAUSE_S = 20, 0.001
"""How often fdinfo of an io_uring is read: it does not show the registered files while a request is submitted."""

RING = "anon_inode:[io_uring]"
SIGNALLING = ("anon_inode:kvm", "anon_inode:[vfio", "/dev/vfio", "/dev/vhost")
"""Files by which a virtual machine lets the kernel signal eventfds."""

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
    """It has io_urings or contexts of io_setup(2), which may signal eventfds (IORING_REGISTER_EVENTFD), or lets the
    kernel do it for a virtual machine (KVM, vhost)."""
    read_ends: frozenset[Resource] = frozenset()
    """The pipes that it can read from."""
    write_ends: frozenset[Resource] = frozenset()
    """The pipes that it can write to."""

    def all_resources(self) -> tuple[Resource, ...]:
        return (*self.resources.values(), *self.registered)


@dataclass(slots=True)
class _TableBuilder:
    """What has been read of the tables of one process."""

    resources: dict[TaskDescriptor, Resource] = field(default_factory=dict)
    shareable: list[tuple[ResourceKind, TaskDescriptor]] = field(default_factory=list)
    registered: list[Resource] = field(default_factory=list)
    pipe_ends: dict[int, set[Resource]] = field(default_factory=lambda: {stat.S_IRUSR: set(), stat.S_IWUSR: set()})
    io_uring: bool = False
    in_flight: int = 0
    signals: bool = False

    def add(self, task: int, fd: int, link: str, resource: Resource) -> None:
        kind = resource.kind
        if kind in SHAREABLE:
            self.shareable.append((kind, (task, fd)))
        if kind not in LEFT_OUT:
            self.resources[task, fd] = resource
        if kind is ResourceKind.UNIX or is_unlisted(resource):
            self.in_flight += scm_fds(task, fd)
        elif kind is ResourceKind.PIPE:
            self._add_pipe(task, fd, resource)
        elif kind is ResourceKind.OTHER:
            self.signals |= link.startswith(SIGNALLING)

    def _add_pipe(self, task: int, fd: int, pipe: Resource) -> None:
        """The mode of the link in /proc/PID/fd says which end it is."""
        try:
            mode = os.lstat(f"/proc/{task}/fd/{fd}").st_mode
        except FileNotFoundError:
            return
        for bit, ends in self.pipe_ends.items():
            if mode & bit:
                ends.add(pipe)

    def finish(self) -> DescriptorTable:
        return DescriptorTable(
            self.resources, self.io_uring, self.in_flight, tuple(self.shareable), tuple(self.registered), self.signals,
            frozenset(self.pipe_ends[stat.S_IRUSR]), frozenset(self.pipe_ends[stat.S_IWUSR]),
        )  # fmt: skip


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
        self._autofs: frozenset[int] | None = None

    def begin(self) -> None:
        """Start a new snapshot: the mounts are read again, if a wait depends on them."""
        self._autofs = None

    def table(self, pid: int) -> DescriptorTable:
        """All tables of a process: 3 us a descriptor. Raises PermissionError, FileNotFoundError, ProcessLookupError."""
        builder = _TableBuilder()
        for task in with_tables(pid):
            for fd, link in links_of(task):
                builder.add(task, fd, link, self.named(task, fd, link))
                if link == RING:
                    self._add_ring(builder, registered_in(task, fd))
        return builder.finish()

    def _add_ring(self, builder: "_TableBuilder", links: list[str] | None) -> None:
        """What an io_uring holds. Before Linux 6.13 its files are not called like links: then any may be among them."""
        builder.io_uring = True
        if links is None:
            builder.in_flight += 1
            return
        for link in links:
            resource = self.named(-1, -1, link) if _NUMBERED.fullmatch(link) else None
            if resource is not None and resource.kind is not ResourceKind.UNIX and not is_unlisted(resource):
                builder.registered.append(resource)
            elif not link.startswith(("/", "<none>")):
                builder.in_flight += 1

    def resource(self, task: int, fd: int) -> Resource:
        """What one descriptor of a thread refers to now; CLOSED if there is none."""
        try:
            return self.named(task, fd, os.readlink(f"/proc/{task}/fd/{fd}"))
        except FileNotFoundError:
            return CLOSED

    def is_being_connected(self, inode: int) -> bool:
        """Whether a connection to a listening TCP socket has begun and is not yet established."""
        return self._index.is_being_connected(inode)

    def autofs_writes(self, pipe: int) -> bool:
        """Whether the kernel writes into a pipe when a program looks up a name."""
        if self._autofs is None:
            self._autofs = autofs_pipes()
        return pipe in self._autofs

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


def with_tables(pid: int) -> list[int]:
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
        if (found := _REGISTERED.search(text)) and (found[2] or found[1] == "0"):
            return [line.split(":", 1)[1].strip() for line in found[2].splitlines()]
        if not text:
            return []
        time.sleep(RING_PAUSE_S)
    return None


def links_of(task: int) -> Iterator[tuple[int, str]]:
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


def ends_when_the_clock_is_set(task: int, fd: int) -> bool:
    """Whether a timerfd also ends when somebody sets the clock (TFD_TIMER_CANCEL_ON_SET)."""
    found = _SETTIME.search(fdinfo(task, fd))
    return bool(found and int(found[1], 8) & TFD_TIMER_CANCEL_ON_SET)


def timer_left_ns(task: int, fd: int) -> int | None:
    """How long until a timerfd fires; None if it is not armed."""
    found = _TIME_LEFT.search(fdinfo(task, fd))
    left = int(found[1]) * 1_000_000_000 + int(found[2]) if found else 0
    return left or None
