"""Tells what the descriptors of a process refer to, in the words of `Item.resource`."""

import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from lab.kernel.procfs import text_of
from lab.kernel.socketindex import SocketIndex

_NUMBERED = re.compile(r"(socket|pipe):\[(\d+)\]")
_EVENTFD_ID = re.compile(r"^eventfd-id:\s*(\w+)", re.MULTILINE)
_PID = re.compile(r"^Pid:\s*(-?\d+)", re.MULTILINE)
_SCM_FDS = re.compile(r"^scm_fds:\s*(\d+)", re.MULTILINE)
_WATCHED = re.compile(r"^tfd:\s*(\d+)\s+events:\s*([0-9a-f]+).*?(?:ino:([0-9a-f]+)\s+sdev:([0-9a-f]+))?$", re.MULTILINE)
_TIME_LEFT = re.compile(r"^it_value:\s*\((\d+),\s*(\d+)\)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Table:
    """A descriptor table: what each number refers to; files and devices are left out."""

    resources: dict[int, str]
    io_uring: bool
    in_flight: int

    def number_of(self, resource: str) -> int | None:
        return next((fd for fd, each in self.resources.items() if each == resource), None)


@dataclass(frozen=True, slots=True)
class Watched:
    """One descriptor in an epoll set; `events` as given to epoll_ctl(2), 0 once a one-shot has fired."""

    fd: int
    events: int
    inode: int | None
    device: int | None


class Descriptors:
    """Names what descriptors refer to; `index` tells TCP, listening and Unix sockets apart."""

    def __init__(self, index: SocketIndex) -> None:
        self._index = index

    def table(self, pid: int) -> Table:
        """The whole table: 3 us a descriptor. Raises PermissionError, FileNotFoundError, ProcessLookupError."""
        resources: dict[int, str] = {}
        io_uring = False
        in_flight = 0
        for fd, link in _links(pid):
            io_uring |= link == "anon_inode:[io_uring]"
            resource = self.named(pid, fd, link)
            if not resource.startswith(("other:", "epoll:")):
                resources[fd] = resource
            if resource.startswith("unix:"):
                in_flight += scm_fds(pid, fd)
        return Table(resources, io_uring, in_flight)

    def resource(self, pid: int, fd: int) -> str:
        """What one descriptor refers to now; `other:closed` if there is none."""
        try:
            return self.named(pid, fd, os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            return "other:closed"

    def listens(self, inode: int) -> bool:
        """Whether a Unix socket is one that accepts."""
        entry = self._index.unix(inode)
        return entry is not None and entry.listens

    def named(self, pid: int, fd: int, link: str) -> str:
        if found := _NUMBERED.fullmatch(link):
            return self._index.resource(int(found[2])) if found[1] == "socket" else _pipe(int(found[2]))
        if link.startswith(("anon_inode:", "pidfd:")):
            return _anonymous(pid, fd, link.partition(":")[2].strip("[]") if link.startswith("anon") else "pidfd")
        # A named pipe too: anybody may open it at any moment, so nobody knows who wakes its readers.
        return f"other:{link}"

    def watched(self, pid: int, each: Watched) -> str:
        """What a member of an epoll set refers to: the set keeps the file, also when its number is another's by now."""
        if each.inode is not None and each.device == _devices()[0]:
            return self._index.resource(each.inode)
        if each.inode is not None and each.device == _devices()[1]:
            return _pipe(each.inode)
        return self.resource(pid, each.fd)


@cache
def _devices() -> tuple[int, int]:
    """The devices that the sockets and the pipes of all processes are on (sockfs and pipefs)."""
    read, write = os.pipe()
    try:
        with socket.socket(socket.AF_UNIX) as own:
            return os.minor(os.fstat(own.fileno()).st_dev), os.minor(os.fstat(read).st_dev)
    finally:
        os.close(read)
        os.close(write)


def _pipe(inode: int) -> str:
    return f"pipe:{inode}"


def _links(pid: int) -> Iterator[tuple[int, str]]:
    folder = os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in os.listdir(folder):
            try:
                yield int(name), os.readlink(name, dir_fd=folder)
            except FileNotFoundError:
                continue  # closed since it was listed
    finally:
        os.close(folder)


def _anonymous(pid: int, fd: int, kind: str) -> str:
    """Anonymous inodes share one inode number; what tells them apart is in fdinfo, or nothing is."""
    if kind == "eventfd":
        found = _EVENTFD_ID.search(fdinfo(pid, fd))
        return f"eventfd:{found[1]}" if found else "other:eventfd"
    if kind == "pidfd":
        found = _PID.search(fdinfo(pid, fd))
        return f"process:{found[1]}" if found and int(found[1]) > 0 else "other:pidfd"
    if kind == "eventpoll":
        return f"epoll:{pid}/{fd}"
    return f"{kind}:{pid}/{fd}" if kind in ("timerfd", "signalfd", "inotify") else f"other:{kind}"


def fdinfo(pid: int, fd: int) -> str:
    """Empty if the descriptor is gone. Raises PermissionError."""
    try:
        return text_of(f"/proc/{pid}/fdinfo/{fd}")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def scm_fds(pid: int, fd: int) -> int:
    """How many descriptors lie in the receive queue of a Unix socket (since Linux 5.6)."""
    found = _SCM_FDS.search(fdinfo(pid, fd))
    return int(found[1]) if found else 0


def epoll_set(pid: int, fd: int) -> list[Watched]:
    """What an epoll instance watches."""
    return [
        Watched(int(fd), int(events, 16), int(inode, 16) if inode else None, int(device, 16) if device else None)
        for fd, events, inode, device in _WATCHED.findall(fdinfo(pid, fd))
    ]


def timer_left_ns(pid: int, fd: int) -> int | None:
    """What a timerfd has left; None if it is not armed."""
    found = _TIME_LEFT.search(fdinfo(pid, fd))
    left = int(found[1]) * 1_000_000_000 + int(found[2]) if found else 0
    return left or None
