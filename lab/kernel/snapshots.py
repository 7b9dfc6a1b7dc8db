"""Looks at connections and at everybody around them in one consistent cut: threads, sockets, threads again.

A thread whose line is the same before and after (its switch counters are in it) did not run in between, so all that was
read in between (descriptors, waits, sockets) is true of one instant. Nothing is paused, attached to or changed.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lab.evidence import (
    Item,
    ProcessSample,
    Resource,
    ResourceKind,
    SocketSample,
    ThreadSample,
    Wait,
    Wants,
)
from lab.kernel.processes.deadlines import Deadlines
from lab.kernel.processes.descriptor_tables import Processes, Tables, scan, sees_whole_host
from lab.kernel.processes.descriptors import Descriptors
from lab.kernel.processes.kcmp import Kind, same
from lab.kernel.processes.socket_options import SocketOptions, options_of
from lab.kernel.processes.suspension import suspended
from lab.kernel.processes.threads import Thread, Threads
from lab.kernel.processes.waits import READS, WRITES, Waits
from lab.kernel.procfs import descendants
from lab.kernel.sockets.conntrack import Conntrack
from lab.kernel.sockets.earlier import EarlierSamples
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.kernel.sockets.socket_index import SOCKETS, SocketIndex, is_unlisted
from lab.spec import Role

MAX_PROCESSES, MAX_OTHERS = 256, 256
"""Of one look. Who is beyond is not described, and the proof takes what is not described to be live."""
NAMES_A_SOCKET = READS | WRITES | {"accept", "accept4", "connect"}
"""The calls whose first argument is the descriptor that they wait on."""
SEARCHES = 4
"""At most, for one look, while each finds somebody new."""
IT_RAN = "it ran while the sockets were read"


@dataclass(frozen=True, slots=True)
class Target:
    """A TCP socket to look at, by its addresses (`ip:port`) in the namespace that `diag` asks."""

    role: Role | None
    diag: SocketDiag
    local: str
    remote: str
    cookie: int | None = None
    """Where it is known, only that very socket is meant: once one has ended, a listener or the next one answers."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What one look saw, in the words of `Snapshot`; `sockets` in the order of the targets."""

    threads_before: tuple[ThreadSample, ...]
    sockets: tuple[SocketSample | None, ...]
    threads_after: tuple[ThreadSample, ...]
    others: tuple[SocketSample, ...]
    processes: tuple[ProcessSample, ...]
    peers: dict[Resource, Resource]
    unreadable: int
    everywhere: bool
    """Whether holders were looked for in all of /proc."""


class Scene:
    """The holders of some TCP sockets, whoever could wake them, and one cut of all.

    With `roots` the holders are the programs that each of those processes has forked; else all of /proc is searched,
    and again whenever one of them ran. `diags` are further namespaces in which peers may live, `conntracks` those whose
    NAT may be between; `memory` has been told of earlier looks.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        diags: Sequence[SocketDiag] = (),
        roots: Mapping[Role, int] | None = None,
        memory: EarlierSamples | None = None,
        conntracks: Sequence[Conntrack] = (),
    ) -> None:
        self.targets, self._roots = tuple(targets), roots
        self._index = SocketIndex([*(target.diag for target in targets), *diags], conntracks)
        self._descriptors = Descriptors(self._index)
        self._deadlines = Deadlines()
        self._waits = Waits(self._descriptors, self._deadlines)
        self._threads, self._processes = Threads(), Processes()
        self._tables = Tables()
        self._everywhere = self._stale = False
        self._members: set[int] = set()
        self._ran: set[int] = set()
        """Processes of which a thread ran since they were last described."""
        self._memory: dict[int, set[int]] = {}
        """By process, who has the same memory, as long as nobody runs."""
        self._described: dict[int, ProcessSample] = {}
        self._known: dict[Target, SocketSample] = {}
        self._options: dict[int, SocketOptions | None] = {}
        self._earlier = memory or EarlierSamples()

    def close(self) -> None:
        self._threads.close()

    def glance(self) -> tuple[SocketSample | None, ...]:
        """The targets' sockets alone, without the options that their programs have set: 30 us each."""
        samples = tuple(self._glance(target) for target in self.targets)
        for sample in filter(None, samples):
            self._earlier.keep(sample)
        return samples

    def look(self, fresh: bool = False, calm: bool = False) -> Cut:
        """One cut; `fresh` searches all of /proc anew, where that is searched at all.

        `calm`: nothing is to be proven, and the descriptor tables that found somebody will do: half the cost.
        """
        self._deadlines.begin()
        self._waits.begin()
        for target in self.targets:
            if target not in self._known:
                self._sample_target(target)
        roles, members, late = self._gathered(fresh, calm)
        now_ns = time.time_ns()
        before = [self._thread_sample(thread, roles, now_ns) for thread in self._all(members - late)]
        processes = [self._describe(pid) for pid in sorted(members | self._bystanders(members))]
        sockets = tuple(self._sample_target(target) for target in self.targets)
        others = tuple(self._sample_others(members))
        after = self._read_again(members, roles)
        self._members = members
        self._threads.forget_all_but(members)
        return Cut(
            tuple(before), sockets, after, others, tuple(processes), self._peers(members), self._unreadable(),
            self._everywhere,
        )  # fmt: skip

    def _gathered(self, fresh: bool, calm: bool) -> tuple[dict[int, Role | None], set[int], set[int]]:
        """The holders, all members, and those that came too late: who may have forked after the search that found them.

        What a process holds is known for the cut only if its threads are read first, and the tables then; so a search
        that finds somebody new is followed by another. Who is late has no first reading.
        """
        searches = 0
        while True:
            roles = self._search(fresh)
            members = self._reach_all(set(roles))
            late = members - self._members
            self._members |= members
            searches, fresh = searches + 1, not calm
            if not late or searches == SEARCHES:
                return roles, members, late

    def _search(self, fresh: bool) -> dict[int, Role | None]:
        """The holders, each with the role of the only target that it holds."""
        roles: dict[int, Role | None] = {}
        self._read_lines(self._members)
        if self._roots is not None:
            roles = {pid: role for role, root in self._roots.items() for pid in descendants(root)[1:]}
            self._read_lines(roles.keys() - self._members)
        if self._ran or fresh:
            self._index.begin()
            self._memory.clear()
        if not self._everywhere:
            if self._roots is None:
                self._scan()
        elif fresh or (self._stale and not self._any_runs()):
            self._scan()
        if self._roots is None:
            roles = self._holders()
            self._read_lines(roles.keys() - self._members)
        return roles

    def _holders(self) -> dict[int, Role | None]:
        roles_of: dict[int, set[Role | None]] = {}
        for target in self.targets:
            if target in self._known:
                for pid in self._tables.holders([Resource.socket(self._known[target].inode)]):
                    roles_of.setdefault(pid, set()).add(target.role)
        return {pid: roles.pop() if len(roles) == 1 else None for pid, roles in roles_of.items()}

    def _scan(self) -> None:
        self._tables = scan(self._descriptors)
        self._everywhere, self._stale = True, False

    def _any_runs(self) -> bool:
        return any(thread.line.state == "R" for thread in self._all(self._members))

    def _read_lines(self, pids: Iterable[int]) -> None:
        for pid in pids:
            for thread in self._threads.of(pid):
                with self._unless_ended(thread):
                    if thread.read():
                        self._ran.add(pid)
        self._stale |= bool(self._ran)

    @contextlib.contextmanager
    def _unless_ended(self, thread: Thread) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, ProcessLookupError):
            self._threads.drop(thread)
            self._ran.add(thread.pid)

    def _all(self, pids: Iterable[int]) -> list[Thread]:
        """Every thread whose line has been read; what has ended and is not yet buried does nothing any more."""
        return [
            thread for pid in sorted(pids) for thread in self._threads.known(pid) if thread.line.state not in ("Z", "X")
        ]

    def _reach_all(self, holders: set[int]) -> set[int]:
        """Their children too, where the end of one would run a handler of SIGCHLD."""
        reached: set[int] = set()
        front = holders
        while front:
            reached |= self._reach(front)
            front = {child for pid in reached for child in self._describe(pid).reaps} - reached
            self._read_lines(front - self._members)
        return reached

    def _reach(self, holders: set[int]) -> set[int]:
        """The holders, whoever could wake one of their threads, whoever could wake those, and so on."""
        somebody_ran = bool(self._ran)
        reached: set[int] = set()
        frontier = holders
        while frontier and len(reached) < MAX_PROCESSES:
            for pid in frontier:
                if pid in self._ran or pid not in self._tables.by_pid:
                    self._tables.read(self._descriptors, pid)
            for thread in self._all(frontier):
                with self._unless_ended(thread):
                    self._read_wait(thread, somebody_ran)
            reached |= frontier
            frontier = self._wakers(frontier) - reached
            self._read_lines(frontier - self._members)
        return reached

    def _read_wait(self, thread: Thread, somebody_ran: bool) -> None:
        """Anew only if it ran, or if what it waits for can be changed by others and one of them ran."""
        if thread.wait is not None and not (somebody_ran and thread.dynamic):
            return
        thread.sample = None
        thread.suspended = suspended(thread)
        thread.wait, thread.dynamic = self._waits.of(thread)
        if thread.wait is not None:
            thread.dynamic |= any(is_unlisted(item.resource) for item in thread.wait.items)
            sharers = (Item(Resource.process(pid), Wants.WAKE) for pid in sorted(self._sharers(thread, thread.wait)))
            thread.wait = replace(thread.wait, items=(*thread.wait.items, *sharers))

    def _sharers(self, thread: Thread, wait: Wait) -> set[int]:
        """The other processes that may end its wait by what they share with it: an epoll set, a timerfd, a futex."""
        own = Item(Resource.process(thread.pid), Wants.WAKE)
        found = self._in_one_memory(thread) if own in wait.items else set()
        for kind, fd in thread.rests_on:
            for pid, table in self._tables.by_pid.items():
                others = (place for each, place in table.shareable if each == kind and pid != thread.pid)
                if any(same(Kind.FILE, thread.tid, task, fd, other) is not False for task, other in others):
                    found.add(pid)
        return found

    def _in_one_memory(self, thread: Thread) -> set[int]:
        """Processes made by clone(2) with CLONE_VM and without CLONE_THREAD."""
        if thread.pid not in self._memory:
            others = self._tables.by_pid.keys() - {thread.pid}
            self._memory[thread.pid] = {pid for pid in others if same(Kind.MEMORY, thread.tid, pid) is not False}
        return set(self._memory[thread.pid])

    def _wakers(self, pids: set[int]) -> set[int]:
        items = {item for thread in self._all(pids) if thread.wait for item in thread.wait.items}
        found = {item.resource.number for item in items if item.wants in (Wants.WAKE, Wants.END)}
        ends = {end for item in items for end in self._ends(item)}
        if ends and not self._everywhere:
            self._scan()
        return found | self._tables.holders(ends)

    def _bystanders(self, members: set[int]) -> set[int]:
        """Who wakes nobody by what the proof follows, and is named: what it may do cannot be told."""
        waited = {item for thread in self._all(members) if thread.wait for item in thread.wait.items}
        accepting = {each.resource for each in waited if each.wants is Wants.ACCEPT}
        found = self._tables.with_descriptors_in_flight() | self._tables.holders(accepting)
        if any(each.resource.kind is ResourceKind.EVENTFD for each in waited):
            found |= self._tables.that_signal()
        return found

    def _ends(self, item: Item) -> list[Resource]:
        """The resources whose holders could end a wait on this one. In a run the pair's holders are known."""
        resource = item.resource
        if resource.kind is ResourceKind.SOCKET and resource.number not in self._target_inodes():
            peer = self._index.peer(resource.number)
            return [resource, Resource.socket(peer.entry.inode)] if peer else [resource]
        if resource.kind is ResourceKind.UNIX:
            other = self._unix_peer(resource)
            return [resource, other] if other else [resource]
        return [resource] if resource.kind in (ResourceKind.PIPE, ResourceKind.EVENTFD) else []

    def _unix_peer(self, resource: Resource) -> Resource | None:
        """The Unix socket that this one is connected to."""
        entry = self._index.unix(resource.number)
        return Resource(ResourceKind.UNIX, entry.peer) if entry and entry.peer else None

    def _target_inodes(self) -> set[int]:
        return {sample.inode for sample in self._known.values()}

    def _describe(self, pid: int) -> ProcessSample:
        if pid in self._ran or pid not in self._described:
            readable = all(thread.line.syscall is not None for thread in self._all([pid]))
            alarm = self._roots is None and self._deadlines.alarm_is_pending()
            self._described[pid] = self._processes.sample(
                pid, self._tables.by_pid.get(pid), calls_readable=readable, alarm_pending=alarm
            )
        return self._described[pid]

    def _thread_sample(self, thread: Thread, roles: Mapping[int, Role | None], now_ns: int) -> ThreadSample:
        inode = None
        if thread.wait is not None and len(thread.wait.items) == 1 and thread.line.syscall in NAMES_A_SOCKET:
            resource = thread.wait.items[0].resource
            inode = resource.number if resource.kind in SOCKETS else None
        return thread.as_sample(now_ns, roles.get(thread.pid), inode)

    def _read_again(self, members: set[int], roles: Mapping[int, Role | None]) -> tuple[ThreadSample, ...]:
        self._ran.clear()
        for thread in [thread for pid in sorted(members) for thread in self._threads.of(pid)]:
            with self._unless_ended(thread):
                if thread.read():
                    self._ran.add(thread.pid)
                    thread.wait = Wait(thread.line.syscall or "", (), unknown=IT_RAN)
        self._stale |= bool(self._ran)
        now_ns = time.time_ns()
        samples = tuple(self._thread_sample(thread, roles, now_ns) for thread in self._all(members))
        for thread in self._all(self._ran):
            if thread.wait is not None and thread.wait.unknown == IT_RAN:
                thread.wait = thread.sample = None
        return samples

    def _sample_target(self, target: Target) -> SocketSample | None:
        sample = self._glance(target)
        return self._with_options(sample) if sample else None

    def _glance(self, target: Target) -> SocketSample | None:
        known = self._known.get(target)
        sample = target.diag.sample(target.role, target.local, target.remote, known.cookie if known else target.cookie)
        if sample is None:
            return None
        self._known[target] = sample
        return sample

    def _sample_others(self, members: set[int]) -> Iterator[SocketSample]:
        """The sockets that any of the threads waits for, and their peers, less the targets."""
        wanted: dict[int, None] = {}
        for thread in self._all(members):
            for item in thread.wait.items if thread.wait else ():
                if item.resource.kind is ResourceKind.SOCKET:
                    inode = item.resource.number
                    peer = self._index.peer(inode)
                    wanted |= {inode: None} | ({peer.entry.inode: None} if peer else {})
        for inode in [each for each in wanted if each not in self._target_inodes()][:MAX_OTHERS]:
            found = self._index.tcp(inode)
            if found is None:
                continue
            sample = found.diag.sample(None, found.entry.local, found.entry.remote, found.entry.cookie)
            if sample is not None:
                yield self._with_options(sample)

    def _with_options(self, sample: SocketSample) -> SocketSample:
        """Read anew when somebody ran, who may have set them."""
        if self._ran or sample.inode not in self._options:
            self._options[sample.inode] = self._read_options(sample.inode)
        options = self._options[sample.inode]
        sample = self._index.without_nat(self._earlier.added_to(sample))
        if options is None:
            return sample
        return replace(
            sample,
            send_timeout_ns=options.send_timeout_ns,
            receive_timeout_ns=options.receive_timeout_ns,
            user_timeout_ms=options.user_timeout_ms,
            sndbuf_locked=options.sndbuf_locked,
            rcvbuf_locked=options.rcvbuf_locked,
            window_clamp=options.window_clamp,
        )

    def _read_options(self, inode: int) -> SocketOptions | None:
        for place in self._tables.places(Resource.socket(inode)):
            options = options_of(*place)
            if isinstance(options, SocketOptions):
                return options
        return None

    def _peers(self, members: set[int]) -> dict[Resource, Resource]:
        peers = {}
        for thread in self._all(members):
            for item in thread.wait.items if thread.wait else ():
                if item.resource.kind is ResourceKind.UNIX and (other := self._unix_peer(item.resource)):
                    peers[item.resource] = other
        return peers

    def _unreadable(self) -> int:
        """Where we do not see all processes, at least one more."""
        if self._roots is not None:
            return len(self._tables.unreadable & self._members)
        return len(self._tables.unreadable) + (not sees_whole_host())
