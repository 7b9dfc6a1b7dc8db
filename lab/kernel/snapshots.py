"""Takes consistent snapshots of TCP connections, with every process that holds them or could wake a holder.

A snapshot reads the threads, then the sockets, then the threads again. A thread whose line is the same before and after
(its switch counters are in it) did not run in between. So all that was read in between (descriptors, waits, sockets) is
true of one instant. Nothing is paused, attached to or changed.
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
    Snapshot,
    SocketSample,
    ThreadSample,
    Wait,
    Wants,
)
from lab.kernel.processes.deadlines import Deadlines
from lab.kernel.processes.descriptor_tables import DescriptorTables, Processes, scan
from lab.kernel.processes.descriptors import Descriptors
from lab.kernel.processes.kcmp import KcmpType, same
from lab.kernel.processes.socket_options import ProgramOptions, options_of
from lab.kernel.processes.suspension import suspended
from lab.kernel.processes.threads import Threads, TrackedThread
from lab.kernel.processes.waits import Waits
from lab.kernel.procfs import are_related, descendants, has_memory_thresholds, shows_all_processes
from lab.kernel.sockets.conntrack import Conntrack
from lab.kernel.sockets.earlier import EarlierSamples
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.kernel.sockets.socket_index import SOCKETS, SocketIndex, is_unlisted
from lab.spec import Pair, Role
from lab.syscalls import ON_ONE_DESCRIPTOR

RING_OF_ANOTHER = "may have requests in the io_uring of process {}"
SIGNALLED = "gets a signal by what comes to a descriptor of another process (F_SETOWN)"
MAX_PROCESSES, MAX_OTHERS = 256, 256
"""Of one snapshot. Processes and sockets above the limit are left out; the proof treats them as live."""
MAX_SEARCHES = 4
"""Of one snapshot, while each search finds a process that the one before did not."""
IT_RAN = "it ran while the sockets were read"


@dataclass(frozen=True, slots=True)
class Target:
    """A TCP socket to sample, by its addresses (`ip:port`) in the namespace that `diag` asks."""

    role: Role | None
    diag: SocketDiag
    local: str
    remote: str
    cookie: int | None = None
    """If known, only the socket with this cookie is meant: after its end a new one may have the same addresses."""
    interface: int = 0
    """As in `TcpEntry`."""


class SnapshotTaker:
    """Takes snapshots of some TCP connections, and remembers between two what cannot have changed.

    With `roots`, the holders are the programs that each of those processes has forked. Without, all of /proc is
    searched, and again after a holder ran. Peers of other sockets are looked for in the namespaces of `diags` as well,
    through the NAT of `conntracks`. `earlier` has kept
    earlier samples of the sockets.
    """

    def __init__(
        self,
        pairs: Sequence[Pair[Target]],
        diags: Sequence[SocketDiag] = (),
        roots: Mapping[Role, int] | None = None,
        earlier: EarlierSamples | None = None,
        conntracks: Sequence[Conntrack] = (),
    ) -> None:
        self.pairs, self._roots = tuple(pairs), roots
        self._targets = tuple(target for pair in pairs for target in pair)
        self._index = SocketIndex([*(target.diag for target in self._targets), *diags], conntracks)
        self._descriptors = Descriptors(self._index)
        self._deadlines = Deadlines()
        self._waits = Waits(self._descriptors, self._deadlines)
        self._threads, self._processes = Threads(), Processes()
        self._tables = DescriptorTables()
        self._everywhere = False
        """Whether all descriptor tables of the host have been read."""
        self._stale = False
        """Whether a thread ran since then."""
        self._members: set[int] = set()
        """The processes of the last snapshot."""
        self._ran: set[int] = set()
        """Processes of which a thread ran since they were last described."""
        self._same_memory: dict[int, set[int]] = {}
        """By process: the processes that share its memory. Valid until a thread runs."""
        self._described: dict[int, ProcessSample] = {}
        """Descriptions that still hold: of processes that did not run, or made in this search."""
        self._known: dict[Target, SocketSample] = {}
        self._options: dict[int, ProgramOptions | None] = {}
        self._earlier = earlier or EarlierSamples()

    def close(self) -> None:
        self._threads.close()

    def sample_sockets(self) -> tuple[SocketSample | None, ...]:
        """Both sockets of each pair, without the options that their programs have set: 30 us each."""
        samples = tuple(self._bare_sample(target) for target in self._targets)
        for sample in filter(None, samples):
            self._earlier.keep(sample)
        return samples

    def take(self) -> Snapshot:
        """One snapshot of the only pair. Its number and the programs' counters are the caller's to add."""
        (snapshot,) = self.take_all()
        return snapshot

    def take_all(self, fresh: bool = False, calm: bool = False) -> tuple[Snapshot, ...]:
        """One snapshot of all pairs, given once for each pair: only `sockets` differs.

        `fresh` searches all of /proc again, if it is searched at all. `calm` says that nothing is to be proven: then
        one search is enough, which costs half.
        """
        self._deadlines.begin()
        self._waits.begin()
        for target in self._targets:
            if target not in self._known:
                self._sample_target(target)
        roles, members, late = self._find_members(fresh, calm)
        now_ns = time.time_ns()
        before = tuple(self._thread_sample(thread, roles, now_ns) for thread in self._all(members - late))
        processes = tuple(self._describe(pid) for pid in sorted(members | self._bystanders(members)))
        pairs = [Pair(*map(self._sample_target, pair)) for pair in self.pairs]
        others = tuple(self._sample_others(members))
        after = self._read_again(members, roles)
        self._members = members
        self._threads.forget_all_but(members)
        peers, unreadable, unlisted = self._peers(members), self._unreadable(), self._unlisted()
        thresholds = has_memory_thresholds()
        return tuple(
            Snapshot(
                0, before, sockets, after, Pair(None, None), others, processes, peers, unreadable, unlisted, thresholds
            )
            for sockets in pairs
        )

    def _find_members(self, fresh: bool, calm: bool) -> tuple[dict[int, Role | None], set[int], set[int]]:
        """The holders, all processes of the snapshot, and those of them that the last search found.

        What a process holds is certain only if its threads are read first, and its tables then: between the two it may
        fork, and its child is in no table that was read. So a search that finds a new process is followed by another.
        A process that the last search found has no first reading.
        """
        searches = 0
        while True:
            roles = self._search(fresh)
            members = self._reach_all(set(roles))
            late = members - self._members
            self._members |= members
            searches, fresh = searches + 1, not calm
            if not late or searches == MAX_SEARCHES:
                return roles, members, late

    def _search(self, fresh: bool) -> dict[int, Role | None]:
        """The holders. The role is None if a process holds targets of both roles."""
        roles: dict[int, Role | None] = {}
        self._forget_descriptions()
        self._read_lines(self._members)
        if self._roots is not None:
            roles = {pid: role for role, root in self._roots.items() for pid in descendants(root)[1:]}
            self._read_lines(roles.keys() - self._members)
        if self._ran or fresh:
            self._index.begin()
            self._same_memory.clear()
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
        for target in self._targets:
            if target in self._known:
                for pid in self._tables.holders([Resource.socket(self._known[target].inode)]):
                    roles_of.setdefault(pid, set()).add(target.role)
        return {pid: roles.pop() if len(roles) == 1 else None for pid, roles in roles_of.items()}

    def _scan(self) -> None:
        self._tables = scan(self._descriptors)
        self._everywhere, self._stale = True, False
        self._forget_descriptions()

    def _forget_descriptions(self) -> None:
        """What was read of a process that ran holds for one search: its lines are read again in the next."""
        for pid in self._ran:
            self._described.pop(pid, None)

    def _note_run(self, pid: int) -> None:
        self._ran.add(pid)
        self._described.pop(pid, None)

    def _any_runs(self) -> bool:
        return any(thread.line.state == "R" for thread in self._all(self._members))

    def _read_lines(self, pids: Iterable[int]) -> None:
        for pid in pids:
            for thread in self._threads.of(pid):
                with self._unless_ended(thread):
                    if thread.read():
                        self._note_run(pid)
        self._stale |= bool(self._ran)

    @contextlib.contextmanager
    def _unless_ended(self, thread: TrackedThread) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, ProcessLookupError):
            self._threads.drop(thread)
            self._note_run(thread.pid)

    def _all(self, pids: Iterable[int]) -> list[TrackedThread]:
        """Every thread whose line has been read. A zombie is left out: it does nothing any more."""
        return [
            thread for pid in sorted(pids) for thread in self._threads.known(pid) if thread.line.state not in ("Z", "X")
        ]

    def _reach_all(self, holders: set[int]) -> set[int]:
        """The holders and all that could wake them; and their children, if the end of one runs a handler (SIGCHLD)."""
        reached: set[int] = set()
        front = holders
        while front:
            reached |= self._reach(front)
            front = {child for pid in reached for child in self._describe(pid).reaps} - reached
            self._read_lines(front - self._members)
        return reached

    def _reach(self, holders: set[int]) -> set[int]:
        """The holders, the processes that could wake one of their threads, those that could wake these, and so on."""
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

    def _read_wait(self, thread: TrackedThread, somebody_ran: bool) -> None:
        """Read what it waits for again if it ran, or if another thread ran that can change it."""
        if thread.wait is not None and not (somebody_ran and thread.dynamic):
            return
        thread.sample = None
        thread.suspended = suspended(thread)
        thread.wait, thread.dynamic = self._waits.of(thread)
        if thread.wait is not None:
            thread.dynamic |= any(is_unlisted(item.resource) for item in thread.wait.items)
            sharers = (Item(Resource.process(pid), Wants.WAKE) for pid in sorted(self._sharers(thread, thread.wait)))
            thread.wait = replace(thread.wait, items=(*thread.wait.items, *sharers))

    def _sharers(self, thread: TrackedThread, wait: Wait) -> set[int]:
        """The other processes that may end its wait by what they share with it: an epoll set, a timerfd, a futex."""
        own = Item(Resource.process(thread.pid), Wants.WAKE)
        found = self._in_one_memory(thread) if own in wait.items else set()
        for kind, fd in thread.rests_on:
            for pid, table in self._tables.by_pid.items():
                others = (place for each, place in table.shareable if each == kind and pid != thread.pid)
                if any(same(KcmpType.FILE, thread.tid, task, fd, other) is not False for task, other in others):
                    found.add(pid)
        return found

    def _in_one_memory(self, thread: TrackedThread) -> set[int]:
        """Processes that share its memory: made by clone(2) with CLONE_VM and without CLONE_THREAD."""
        if thread.pid not in self._same_memory:
            others = self._tables.by_pid.keys() - {thread.pid}
            self._same_memory[thread.pid] = {
                pid for pid in others if same(KcmpType.MEMORY, thread.tid, pid) is not False
            }
        return set(self._same_memory[thread.pid])

    def _wakers(self, pids: set[int]) -> set[int]:
        items = {item for thread in self._all(pids) if thread.wait for item in thread.wait.items}
        found = {item.resource.number for item in items if item.wants in (Wants.WAKE, Wants.END)}
        ends = {end for item in items for end in self._ends(item)}
        if ends and not self._everywhere:
            self._scan()
        return found | self._tables.holders(ends)

    def _bystanders(self, members: set[int]) -> set[int]:
        """Processes that may end a wait in a way that cannot be seen. They are described, and the proof names them."""
        waited = {item for thread in self._all(members) if thread.wait for item in thread.wait.items}
        accepting = {each.resource for each in waited if each.wants is Wants.ACCEPT}
        found = self._tables.with_descriptors_in_flight() | self._tables.holders(accepting)
        if any(each.resource.kind is ResourceKind.EVENTFD for each in waited):
            found |= self._tables.that_signal()
        return found

    def _ends(self, item: Item) -> list[Resource]:
        """The resources whose holders could end a wait for this item. The holders of the targets are known already."""
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
        if pid not in self._described:
            readable = all(thread.line.syscall is not None for thread in self._all([pid]))
            alarm = self._deadlines.alarm_is_pending() if self._roots is None else False
            sample = self._processes.sample(
                pid,
                self._tables.by_pid.get(pid),
                calls_readable=readable,
                alarm_pending=alarm,
                tracees=self._waits.tracees,
            )
            reached = (SIGNALLED,) if self._tables.signals_reach(pid) else ()
            rings = self._tables.with_rings() - {pid}
            foreign = (RING_OF_ANOTHER.format(other) for other in sorted(rings) if are_related(pid, other))
            self._described[pid] = replace(sample, hidden=(*sample.hidden, *reached, *foreign))
        return self._described[pid]

    def _thread_sample(self, thread: TrackedThread, roles: Mapping[int, Role | None], now_ns: int) -> ThreadSample:
        inode = None
        if thread.wait is not None and len(thread.wait.items) == 1 and thread.line.syscall in ON_ONE_DESCRIPTOR:
            resource = thread.wait.items[0].resource
            inode = resource.number if resource.kind in SOCKETS else None
        return thread.as_sample(now_ns, roles.get(thread.pid), inode)

    def _read_again(self, members: set[int], roles: Mapping[int, Role | None]) -> tuple[ThreadSample, ...]:
        self._ran.clear()
        for thread in [thread for pid in sorted(members) for thread in self._threads.of(pid)]:
            with self._unless_ended(thread):
                if thread.read():
                    self._note_run(thread.pid)
                    thread.wait = Wait(thread.line.syscall or "", (), unknown=IT_RAN)
        self._stale |= bool(self._ran)
        now_ns = time.time_ns()
        samples = tuple(self._thread_sample(thread, roles, now_ns) for thread in self._all(members))
        for thread in self._all(self._ran):
            if thread.wait is not None and thread.wait.unknown == IT_RAN:
                thread.wait = thread.sample = None
        return samples

    def _sample_target(self, target: Target) -> SocketSample | None:
        sample = self._bare_sample(target)
        return self._with_options(sample) if sample else None

    def _bare_sample(self, target: Target) -> SocketSample | None:
        known = self._known.get(target)
        sample = target.diag.sample(
            target.role, target.local, target.remote, known.cookie if known else target.cookie, target.interface
        )
        if sample is None:
            return None
        self._known[target] = sample
        return sample

    def _sample_others(self, members: set[int]) -> Iterator[SocketSample]:
        """The TCP sockets that one of the threads waits for, and their peers, without the targets."""
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
            sample = found.diag.sample(
                None, found.entry.local, found.entry.remote, found.entry.cookie, found.entry.interface
            )
            if sample is not None:
                yield self._with_options(sample)

    def _with_options(self, sample: SocketSample) -> SocketSample:
        """The options are read again if a thread ran, which may have set them."""
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
            notsent_lowat=options.notsent_lowat,
            ulp=sample.ulp or options.ulp,
            error_queue=options.error_queue,
        )

    def _read_options(self, inode: int) -> ProgramOptions | None:
        for place in self._tables.places(Resource.socket(inode)):
            options = options_of(*place)
            if isinstance(options, ProgramOptions):
                return options
        return None

    def _peers(self, members: set[int]) -> dict[Resource, Resource]:
        """The peer of each Unix socket that a thread waits for."""
        peers = {}
        for thread in self._all(members):
            for item in thread.wait.items if thread.wait else ():
                if item.resource.kind is ResourceKind.UNIX and (other := self._unix_peer(item.resource)):
                    peers[item.resource] = other
        return peers

    def _unreadable(self) -> int:
        """How many descriptor tables could not be read."""
        if self._roots is not None:
            return len(self._tables.unreadable & self._members)
        return len(self._tables.unreadable)

    def _unlisted(self) -> bool:
        return self._roots is None and not shows_all_processes()
