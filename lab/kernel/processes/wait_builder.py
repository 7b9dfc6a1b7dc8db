"""Puts one wait together: what its descriptors refer to, the members of its epoll sets, and its time limits."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lab.evidence import Item, Resource, ResourceKind, Wait, Wants
from lab.kernel.processes.deadlines import Deadlines
from lab.kernel.processes.descriptors import Descriptors, Watched, ends_when_the_clock_is_set, epoll_set, timer_left_ns
from lab.kernel.processes.socket_options import ProgramOptions, options_of
from lab.kernel.processes.threads import TrackedThread
from lab.kernel.sockets.socket_index import is_socket

MAX_ITEMS = 4096
"""Descriptors of one call or epoll set; a larger one is not understood."""
FAR_NS = 10 * 365 * 86_400 * 1_000_000_000
"""Ten years: a program that says so means no limit, and the kernel's own arithmetic wraps later."""
MAX_NESTING = 5
"""EP_MAX_NESTS of fs/eventpoll.c is 4."""

POLL_IN, POLL_OUT, POLL_CHANGES = 0x1 | 0x40 | 0x80, 0x4 | 0x100 | 0x200, 0x2 | 0x2000
"""IN, RDNORM, RDBAND; OUT, WRNORM, WRBAND; PRI, RDHUP."""
EPOLL_EDGE = 1 << 31
EPOLL_PRIVATE = 0xF << 28
"""EXCLUSIVE, WAKEUP, ONESHOT, ET. When a one-shot has fired, the kernel clears all other bits."""


@dataclass(slots=True)
class WaitBuilder:
    """What has been read of one thread's wait."""

    thread: TrackedThread
    descriptors: Descriptors
    deadlines: Deadlines
    tracees: Callable[[int], list[int]]
    """The processes that a process traces."""
    items: dict[Item, None] = field(default_factory=dict)
    unknown: str | None = None
    dynamic: bool = False
    """Other threads may change the wait while this one sleeps: by epoll_ctl, timerfd_settime or fork."""
    presumed: bool = False
    rests_on: dict[tuple[ResourceKind, int], None] = field(default_factory=dict)
    """The epoll instances and timerfds of the wait, by kind and descriptor."""
    _ends: list[int | None] = field(default_factory=list)
    """The end of each time limit; None if it could not be dated."""

    def finish(self) -> Wait:
        dated = [end for end in self._ends if end is not None]
        deadline = min(dated) if dated and len(dated) == len(self._ends) else None
        call, items = self.thread.line.syscall or "", tuple(self.items)
        return Wait(call, items, deadline, bool(self._ends), self.unknown, self.presumed)

    def fail(self, why: str) -> None:
        self.unknown = self.unknown or why

    def ends_at(self, instant_ns: int | None) -> None:
        """Add a time limit. None: nobody knows when it ends. One that is FAR away is none."""
        if instant_ns is None or instant_ns - time.time_ns() < FAR_NS:
            self._ends.append(instant_ns)

    def polls_for(self, duration_ns: int) -> None:
        """Add the time limit of a poll, which is a duration. The thread may have slept before in the same call.

        One whose end is FAR away is none, even if the call began when the machine did.
        """
        if duration_ns - time.clock_gettime_ns(time.CLOCK_BOOTTIME) >= FAR_NS:
            return
        self.ends_at(self.deadlines.after(self.thread, duration_ns, polls=True))
        self.presumed |= self.deadlines.blind

    def wait_for(self, resource: Resource, wants: Wants, edge: bool = False) -> None:
        self.items[Item(resource, wants, edge)] = None

    def blocked_on(self, fd: int, wants: Wants) -> None:
        """A call that sleeps on one descriptor. A socket may limit its time (SO_SNDTIMEO, SO_RCVTIMEO).

        That limit counts from the beginning of the call. A call that moves some bytes sleeps several times, and only
        the last sleep can be dated. So nobody knows when the limit ends.
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
            if kind is ResourceKind.LISTENER and self.descriptors.is_being_connected(resource.number):
                self.fail(f"a connection to {resource} has begun, and ends the wait by itself")
        elif kind is ResourceKind.UNIX and wants is Wants.WRITE and self.descriptors.sends_datagrams(resource.number):
            self.wait_for(Resource(ResourceKind.OTHER, f"{resource}, which sends datagrams"), wants, edge)
        else:
            self.wait_for(resource, wants, edge)
        if kind is ResourceKind.PIPE and self.descriptors.autofs_writes(resource.number):
            self.fail(f"the kernel writes into {resource} when a program looks up a name (autofs)")
        if kind is ResourceKind.TIMERFD:
            self._timer(fd)

    def _timer(self, fd: int) -> None:
        self.dynamic = True
        self.rests_on[ResourceKind.TIMERFD, fd] = None
        left = timer_left_ns(self.thread.tid, fd)
        if left is not None:
            ends_early = ends_when_the_clock_is_set(self.thread.tid, fd)
            self.ends_at(None if ends_early else self.deadlines.in_ns(left))

    def ready(self, fd: int, events: int, edge: bool = False) -> None:
        self._ready_resource(fd, self.descriptors.resource(self.thread.tid, fd), events, edge)

    def _ready_resource(self, fd: int, resource: Resource, events: int, edge: bool, depth: int = 0) -> None:
        """A wait for errors, hang-ups or urgent data alone counts as edge-triggered: they are still to come."""
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
