"""Collects what one wait is for: descriptors by what they refer to, epoll sets by their members, and time limits."""

from collections.abc import Callable
from dataclasses import dataclass, field

from lab.evidence import Item, Resource, ResourceKind, Wait, Wants
from lab.kernel.processes.deadlines import Deadlines
from lab.kernel.processes.descriptors import Descriptors, Watched, epoll_set, timer_left_ns
from lab.kernel.processes.socket_options import ProgramOptions, options_of
from lab.kernel.processes.threads import TrackedThread
from lab.kernel.sockets.socket_index import is_socket

MAX_ITEMS = 4096
"""Of one poll or epoll set; a larger one is not understood."""
MAX_NESTING = 5
"""EP_MAX_NESTS of fs/eventpoll.c is 4."""

POLL_IN, POLL_OUT, POLL_CHANGES = 0x1 | 0x40 | 0x80, 0x4 | 0x100 | 0x200, 0x2 | 0x2000
"""IN, RDNORM, RDBAND; OUT, WRNORM, WRBAND; PRI, RDHUP."""
EPOLL_EDGE = 1 << 31
EPOLL_PRIVATE = 0xF << 28
"""EXCLUSIVE, WAKEUP, ONESHOT, ET. All else is cleared when a one-shot has fired."""


@dataclass(slots=True)
class WaitBuilder:
    """A wait as far as it has been read."""

    thread: TrackedThread
    descriptors: Descriptors
    deadlines: Deadlines
    tracees: Callable[[int], list[int]]
    """Of a process."""
    items: dict[Item, None] = field(default_factory=dict)
    unknown: str | None = None
    dynamic: bool = False
    """Others may change what it waits for, or who ends it, while it sleeps: epoll_ctl, timerfd_settime, fork."""
    presumed: bool = False
    rests_on: dict[tuple[ResourceKind, int], None] = field(default_factory=dict)
    """The epoll instances and timerfds among it, by kind and descriptor."""
    _ends: list[int | None] = field(default_factory=list)
    """Of every time limit; None where it could not be dated."""

    def finish(self) -> Wait:
        dated = [end for end in self._ends if end is not None]
        deadline = min(dated) if dated and len(dated) == len(self._ends) else None
        call, items = self.thread.line.syscall or "", tuple(self.items)
        return Wait(call, items, deadline, bool(self._ends), self.unknown, self.presumed)

    def fail(self, why: str) -> None:
        self.unknown = self.unknown or why

    def ends_at(self, instant_ns: int | None) -> None:
        """It has a time limit; None: at an instant that is not known."""
        self._ends.append(instant_ns)

    def polls_for(self, duration_ns: int) -> None:
        """It has a time limit that was told as a duration, and may have slept before in the same call."""
        self.ends_at(self.deadlines.after(self.thread, duration_ns, polls=True))
        self.presumed |= self.deadlines.blind

    def wait_for(self, resource: Resource, wants: Wants, edge: bool = False) -> None:
        self.items[Item(resource, wants, edge)] = None

    def blocked_on(self, fd: int, wants: Wants) -> None:
        """A call on one descriptor, with the socket's own time limit.

        The limit counts from the beginning of the call, and a call that moves some bytes sleeps several times: the last
        sleep does not tell when it ends.
        """
        resource = self.descriptors.resource(self.thread.tid, fd)
        self._add_resource(fd, resource, wants, False)
        if not is_socket(resource):
            return
        options = options_of(self.thread.tid, fd)
        if not isinstance(options, ProgramOptions):
            self.fail(options)
        elif options.send_timeout_ns if wants is Wants.WRITE else options.receive_timeout_ns:
            self.ends_at(None)

    def _add_resource(self, fd: int, resource: Resource, wants: Wants, edge: bool, depth: int = 0) -> None:
        kind = resource.kind
        if kind is ResourceKind.EPOLL:
            self.expand(fd, depth + 1)
        elif kind is ResourceKind.PROCESS:
            self.wait_for(resource, Wants.END)
        elif kind is ResourceKind.LISTENER or (kind is ResourceKind.UNIX and self.descriptors.listens(resource.number)):
            self.wait_for(resource, Wants.ACCEPT, edge)
        elif kind is ResourceKind.UNIX and wants is Wants.WRITE and self.descriptors.sends_datagrams(resource.number):
            self.wait_for(Resource(ResourceKind.OTHER, f"{resource}, which sends datagrams"), wants, edge)
        else:
            self.wait_for(resource, wants, edge)
        if kind is ResourceKind.TIMERFD:
            self._timer(fd)

    def _timer(self, fd: int) -> None:
        self.dynamic = True
        self.rests_on[ResourceKind.TIMERFD, fd] = None
        left = timer_left_ns(self.thread.tid, fd)
        if left is not None:
            self.ends_at(self.deadlines.in_ns(left))

    def ready(self, fd: int, events: int, edge: bool = False) -> None:
        self._ready_resource(fd, self.descriptors.resource(self.thread.tid, fd), events, edge)

    def _ready_resource(self, fd: int, resource: Resource, events: int, edge: bool, depth: int = 0) -> None:
        """Errors, hang-ups and urgent data alone are a change that has not come yet: as an edge."""
        if events & POLL_OUT:
            self._add_resource(fd, resource, Wants.WRITE, edge, depth)
        if events & POLL_IN:
            self._add_resource(fd, resource, Wants.READ, edge, depth)
        elif events & POLL_CHANGES or not events & POLL_OUT:
            self._add_resource(fd, resource, Wants.READ, True, depth)

    def expand(self, fd: int, depth: int = 0) -> None:
        self.dynamic = True
        self.rests_on[ResourceKind.EPOLL, fd] = None
        members = epoll_set(self.thread.tid, fd)
        if depth > MAX_NESTING or len(members) > MAX_ITEMS:
            self.fail(f"an epoll set of {len(members)} members, {depth} deep")
            return
        for member in members:
            self._member(member, depth)

    def _member(self, member: Watched, depth: int) -> None:
        if not member.events & ~EPOLL_PRIVATE:
            return
        resource = self.descriptors.watched(self.thread.tid, member)
        edge = bool(member.events & EPOLL_EDGE)
        self._ready_resource(member.fd, resource, member.events & ~EPOLL_PRIVATE, edge, depth)
