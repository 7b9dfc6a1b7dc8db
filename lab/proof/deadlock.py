"""What every thread waits for; the live, the stuck, and the knots among the stuck: the structural proof.

A thread waits for any one of several things (the OR model). It is live if it may run, if the two stacks alone can bring
one of the things, or if a live thread might; that is the least fixpoint. A thread that is not live is stuck, and stays
stuck: every thread that could free it is stuck as well. No time-out is needed: the state is an invariant, as long as
answered probes keep the connection alive (RFC 9293, MUST-37). What is unknown is live: it can prevent a proof, never
make one.

A knot is a cycle of stuck threads. It rests on all threads that can be reached from it over the edges. Their listeners,
time limits, alarms and housekeeping give its grade; those of other threads do not matter.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from lab.evidence import ProcessSample, Resource, ResourceKind, Snapshot
from lab.proof.cycles import Conditions, Cycle, Kind, WaitForEdge, cycles, reachable, waiters_on_cycle
from lab.proof.enablers import Holdings, WaitCondition
from lab.proof.premises import ALWAYS, of_wait
from lab.proof.stack.ruling import Argument, Ends, Possible
from lab.proof.stack.traits import UNKNOWN_KERNEL, KernelTraits
from lab.proof.threads import Thread, threads_of
from lab.reason import Qualifier, Reason, Why, because
from lab.spec import Grade, Role


@dataclass(frozen=True, slots=True)
class LiveThread:
    """A thread that may go on by itself, or that the stacks or another live thread may wake."""

    thread: Thread
    waits_for: Reason
    why: Reason
    name: str
    told: Reason
    """Both in one."""

    @classmethod
    def of(cls, thread: Thread, waits_for: Reason, why: Reason) -> "LiveThread":
        return cls(thread, waits_for, why, thread.name, because(Why.LIVE, waits_for, why))


@dataclass(frozen=True, slots=True)
class Knot:
    """Threads that wait for each other forever, within what the grade names."""

    kind: Kind
    grade: Grade
    """Never CONSISTENT: a knot is proven, or it is none."""
    edges: tuple[WaitForEdge, ...]
    tail: tuple[WaitForEdge, ...]
    """Threads outside the cycle that wait for it, and at least as long."""
    connections: frozenset[frozenset[int]]
    """The TCP connections in the cycle, each as the inodes of its two ends."""
    closed_world: tuple[Qualifier, ...]
    """Threads that wait for a new connection too: it holds as long as none is opened."""
    qualifiers: tuple[Qualifier, ...]
    holds_until_ns: int | None
    """The earliest time limit among all that it rests on."""
    ends: Ends
    """Whether TCP itself ends a connection that it rests on."""
    arguments: tuple[Reason, ...]
    """Of each socket in the cycle, why the stacks alone cannot move it."""
    premises: tuple[str, ...]
    """All that it stands on, by id (`lab.proof.premises`)."""
    acks_refused: bool
    """An end drops its peer's acknowledgments, so what the peer has is counted at both ends."""

    @property
    def threads(self) -> frozenset[Thread]:
        return frozenset(edge.waiter for edge in self.edges)


@dataclass(frozen=True, slots=True)
class Analysis:
    """What one snapshot shows: the knots, and who is not in one."""

    knots: tuple[Knot, ...]
    live: tuple[LiveThread, ...]
    missing: tuple[Reason, ...]
    """What was not observed, and may be all that prevents a proof."""
    _needs: Conditions
    _roots: Conditions
    """The same, without those of a thread that is live by itself."""
    _holdings: Holdings
    _against: dict[tuple[Thread, ...], tuple[LiveThread, ...]] = field(default_factory=dict)
    """What was worked out already: one process may hold a thousand connections."""

    def knot(self, one: int, other: int, kind: Kind = Kind.WRITE_WRITE) -> Knot | None:
        """The knot of this kind that the connection between these two inodes is part of."""
        ends = frozenset((one, other))
        return next((knot for knot in self.knots if knot.kind is kind and ends in knot.connections), None)

    def against(self, *inodes: int) -> tuple[LiveThread, ...]:
        """The live threads that keep the holders of these sockets from being stuck: the diagnosis without a proof."""
        found = (each for inode in inodes for each in self._holdings.holders(Resource.socket(inode)))
        holders = tuple(dict.fromkeys(found))
        if holders not in self._against:
            self._against[holders] = self._live_around(holders)
        return self._against[holders]

    def _live_around(self, holders: tuple[Thread, ...]) -> tuple[LiveThread, ...]:
        concerned = reachable(self._roots, holders)
        unseen = tuple(
            LiveThread.of(thread, Reason(Why.WAITS_UNKNOWN), thread.live)
            for thread in holders
            if not thread.pid and thread.live
        )
        known = tuple(live for live in self.live if live.thread in concerned)
        return (*known, *(each for each in unseen if each.thread not in {live.thread for live in known}))

    def waits(self, inode: int) -> tuple[Reason, ...]:
        """Of each thread of the holders of this socket, what it waits for."""
        threads = [each for each in self._holdings.holders(Resource.socket(inode)) if each in self._needs]
        return tuple(because(Why.THREAD_WAITS, each.name, _waits_for(each, self._needs[each])) for each in threads)

    def suspended(self, *inodes: int) -> tuple[Reason, ...]:
        """Threads that are stopped, traced or frozen: they are live, for they may be set going.

        Of those that keep the holders of these sockets from being stuck; of all, where nobody looked for holders.
        """
        looked_for = bool(self._holdings.processes)
        threads = [each.thread for each in self.against(*inodes)] if looked_for else list(self._needs)
        return tuple(because(Why.THREAD_IS_SUSPENDED, each.name, each.suspended) for each in threads if each.suspended)

    def seen_from(self, snapshot: Snapshot) -> "Analysis":
        """The same of another connection in the same snapshot: only what is missing of its own sockets differs."""
        holders = dict.fromkeys(_missing_holders(snapshot))
        others = (each for each in self.missing if each.why not in OF_ITS_SOCKETS)
        return replace(self, missing=tuple(holders | dict.fromkeys(others)))


OF_ITS_SOCKETS = frozenset({Why.NOT_LOOKED_FOR_HOLDERS, Why.NO_SOCKET, Why.HOLDER_UNREADABLE})
"""What may be missing of the two sockets of a connection."""


def analyse(snapshot: Snapshot, now_ns: int, kernel: KernelTraits = UNKNOWN_KERNEL) -> Analysis:
    """`now_ns` is CLOCK_REALTIME: time limits less than a second after it count as passed."""
    threads = threads_of(snapshot, now_ns)
    holdings = Holdings(snapshot, threads, kernel)
    conditions: dict[Thread, tuple[WaitCondition, ...]] = {thread: holdings.conditions(thread) for thread in threads}
    reasons = _live(conditions)
    stuck = {thread: found for thread, found in conditions.items() if thread not in reasons}
    return Analysis(
        knots=tuple(_knot(cycle, stuck, holdings, snapshot) for cycle in cycles(stuck)),
        live=tuple(
            LiveThread.of(thread, _waits_for(thread, conditions.get(thread, ())), why)
            for thread, why in reasons.items()
        ),
        missing=tuple(dict.fromkeys(_missing(snapshot, threads, reasons, conditions))),
        _needs=conditions,
        _roots={thread: () if thread.live else found for thread, found in conditions.items()},
        _holdings=holdings,
    )


def _live(conditions: Conditions) -> dict[Thread, Reason]:
    """All live threads, each with the reason: the least fixpoint."""
    reasons: dict[Thread, Reason] = {}
    waiters: dict[Thread, list[tuple[Thread, WaitCondition]]] = {}
    for thread, found in conditions.items():
        moving = next((condition.stacks for condition in found if not condition.stacks.excluded), None)
        if thread.live:
            reasons[thread] = thread.live
        elif moving:
            sure = moving.possible is Possible.YES
            reasons[thread] = moving.reason if sure else because(Why.NOT_KNOWN, moving.reason)
        for condition in found:
            for enabler in condition.enablers:
                waiters.setdefault(enabler, []).append((thread, condition))
    reasons |= {enabler: enabler.live for enabler in waiters if enabler.live}
    front = list(reasons)
    while front:
        enabler = front.pop()
        for waiter, condition in waiters.get(enabler, ()):
            if waiter not in reasons:
                item = condition.item
                reasons[waiter] = because(Why.COULD_END, enabler.name, item.wants, str(item.resource))
                front.append(waiter)
    return reasons


def _waits_for(thread: Thread, conditions: tuple[WaitCondition, ...]) -> Reason:
    if thread.wait is None:
        return Reason(Why.WAITS_UNKNOWN)
    items = tuple(because(Why.CONDITION, each.item.wants, str(each.item.resource)) for each in conditions)
    return because(Why.WAITS, thread.wait.call, items or Reason(Why.NOTHING_KNOWN))


def _knot(cycle: Cycle, stuck: Conditions, holdings: Holdings, snapshot: Snapshot) -> Knot:
    ground = sorted(_ground(cycle, stuck, holdings), key=lambda thread: (thread.pid, thread.tid))
    conditions = {thread: stuck.get(thread, ()) for thread in ground}
    rulings = [condition.stacks for found in conditions.values() for condition in found]
    closed_world = tuple(
        Qualifier(because(Why.NEW_CONNECTION, thread.name, str(condition.item.resource)), "no-new-connection")
        for thread, found in conditions.items()
        for condition in found
        if condition.newcomer
    )
    qualifiers = tuple(dict.fromkeys(_qualifiers(conditions, holdings, snapshot)))
    until_ns = _until(ground)
    in_cycle = {edge.resource for edge in cycle.edges if edge.connection}
    arguments = dict.fromkeys(
        condition.stacks.reason
        for thread in sorted(cycle.threads, key=lambda thread: (thread.pid, thread.tid))
        for condition in conditions[thread]
        if condition.item.resource in in_cycle
    )
    return Knot(
        kind=cycle.kind,
        grade=_grade(until_ns, qualifiers, closed_world),
        edges=cycle.edges,
        tail=tuple(
            edge
            for edge in waiters_on_cycle(stuck, cycle)
            if _until(reachable(stuck, [edge.waiter])) in (None, until_ns)
        ),
        connections=frozenset(edge.connection for edge in cycle.edges if edge.connection),
        closed_world=closed_world,
        qualifiers=qualifiers,
        holds_until_ns=until_ns,
        ends=next((each.ends for each in rulings if each.ends is not Ends.NEVER), Ends.NEVER),
        arguments=tuple(arguments),
        premises=_premises(conditions, (*qualifiers, *closed_world)),
        acks_refused=any(each.argument is Argument.ACK_STARVATION for each in rulings),
    )


def _premises(conditions: Conditions, qualifiers: Iterable[Qualifier]) -> tuple[str, ...]:
    """The premises of every proof, of each wait, of each ruling and of each qualifier."""
    found = dict.fromkeys(ALWAYS)
    for thread, each in conditions.items():
        found |= dict.fromkeys(of_wait(thread.wait))
        found |= dict.fromkeys(premise for condition in each for premise in condition.stacks.premises)
    return tuple(found | dict.fromkeys(each.premise for each in qualifiers))


def _ground(cycle: Cycle, stuck: Conditions, holdings: Holdings) -> set[Thread]:
    """All threads that the knot rests on: those that it reaches, and stuck children whose end would run a handler."""
    ground: set[Thread] = set()
    front = reachable(stuck, cycle.threads)
    while front:
        ground |= front
        reaped = [holdings.threads(child) for thread in front for child in holdings.reaped(thread.pid)]
        front = reachable(stuck, [each for threads in reaped for each in threads if each in stuck]) - ground
    return ground


def _until(ground: Iterable[Thread]) -> int | None:
    return min((thread.until_ns for thread in ground if thread.until_ns is not None), default=None)


def _grade(until_ns: int | None, qualifiers: tuple[Qualifier, ...], closed_world: tuple[Qualifier, ...]) -> Grade:
    """The word for the narrowest limit; the others are named beside it."""
    if until_ns is not None:
        return Grade.PROVEN_UNTIL
    if qualifiers:
        return Grade.QUALIFIED
    return Grade.PROVEN_CLOSED_WORLD if closed_world else Grade.PROVEN


def _qualifiers(conditions: Conditions, holdings: Holdings, snapshot: Snapshot) -> Iterator[Qualifier]:
    """What the proof assumes and nobody could observe: first of all processes, then of those that the knot rests on."""
    yield from _unseen_descriptors(holdings, snapshot)
    yield from _outsiders(conditions, holdings, snapshot.thresholds)
    for thread, found in conditions.items():
        yield from _of_thread(thread, found)
    for pid in dict.fromkeys(thread.pid for thread in conditions):
        process = holdings.processes.get(pid)
        if process is not None:
            yield from _alarms(process)
            yield from (
                Qualifier(because(Why.HIDDEN, process.name, each), "no-hidden-handler") for each in process.hidden
            )
            yield from _children(process, conditions, holdings)


def _unseen_descriptors(holdings: Holdings, snapshot: Snapshot) -> Iterator[Qualifier]:
    if snapshot.unreadable:
        yield Qualifier(because(Why.UNREADABLE_TABLES, snapshot.unreadable), "all-tables-read")
    if snapshot.unlisted:
        yield Qualifier(Reason(Why.UNLISTED), "all-tables-read")
    for process in holdings.processes.values():
        if process.resources is None:
            yield Qualifier(because(Why.NO_TABLE, process.name), "all-tables-read")
        if process.in_flight:
            yield Qualifier(because(Why.IN_FLIGHT, process.in_flight, process.name), "no-descriptor-in-flight")


def _outsiders(conditions: Conditions, holdings: Holdings, thresholds: bool) -> Iterator[Qualifier]:
    """Who may end a wait of the knot although no descriptor that the proof follows shows it."""
    waited = dict.fromkeys((each.item.resource, each.newcomer) for found in conditions.values() for each in found)
    members = {thread.pid for thread in conditions}
    for resource, listens in waited:
        eventfd = resource.kind is ResourceKind.EVENTFD
        if eventfd and thresholds:
            yield Qualifier(because(Why.MAY_BE_A_THRESHOLD, str(resource)), "eventfd-by-holder")
        for process in holdings.processes.values():
            if listens and process.pid not in members and resource in (process.resources or ()):
                yield Qualifier(because(Why.MAY_SHUT_DOWN, process.name, str(resource)), "no-new-connection")
            if eventfd and process.signals:
                yield Qualifier(because(Why.MAY_SIGNAL_EVENTFD, process.name, str(resource)), "eventfd-by-holder")


def _of_thread(thread: Thread, conditions: tuple[WaitCondition, ...]) -> Iterator[Qualifier]:
    if thread.wait and thread.wait.presumed and thread.until_ns is not None:
        yield Qualifier(because(Why.PRESUMED_DATE, thread.name), "dated-time-limit")
    if thread.housekeeping:
        yield Qualifier(because(Why.HOUSEKEEPING, thread.name, thread.housekeeping), "runtime-housekeeping")
    if any(condition.stacks.ends is Ends.BY_TCP_RETRIES2 for condition in conditions):
        yield Qualifier(because(Why.TCP_GIVES_UP, thread.name), "probes-keep-connection")
    yield from (each for condition in conditions for each in condition.stacks.qualifiers)


def _children(process: ProcessSample, conditions: Conditions, holdings: Holdings) -> Iterator[Qualifier]:
    for child in process.reaps:
        if not set(holdings.threads(child)) <= conditions.keys():
            yield Qualifier(because(Why.CHILD_MAY_END, child, process.name), "no-hidden-handler")


def _alarms(process: ProcessSample) -> Iterator[Qualifier]:
    """setitimer() and alarm() cannot be seen, and the handler may do anything."""
    name = process.name
    if process.catches_alarm is None:
        yield Qualifier(because(Why.ALARM_NOT_READ, name), "no-alarm")
    elif process.catches_alarm:
        yield Qualifier(because(Why.CATCHES_ALARM, name), "no-alarm")
    elif process.alarm_ends_it is None:
        yield Qualifier(because(Why.ALARMS_HIDDEN, name), "no-alarm")
    elif process.alarm_ends_it:
        yield Qualifier(because(Why.ENDED_BY_ALARM, name), "no-alarm")
    if process.posix_timers is None:
        yield Qualifier(because(Why.TIMERS_NOT_READ, name), "no-alarm")
    elif process.posix_timers:
        yield Qualifier(because(Why.POSIX_TIMERS, name, process.posix_timers), "no-alarm")


def _missing(
    snapshot: Snapshot, threads: Iterable[Thread], reasons: dict[Thread, Reason], conditions: Conditions
) -> Iterator[Reason]:
    yield from _missing_holders(snapshot)
    if not snapshot.threads_before or not snapshot.threads_after:
        yield Reason(Why.BOTH_READINGS)
    for process in snapshot.processes or ():
        if process.missing:
            yield because(Why.UNSEEN, process.name, process.missing)
    for thread in dict.fromkeys((*threads, *reasons)):
        if thread.missing:
            yield thread.missing
    for found in conditions.values():
        for condition in found:
            if condition.stacks.possible is Possible.UNKNOWN:
                yield condition.stacks.reason


def _missing_holders(snapshot: Snapshot) -> Iterator[Reason]:
    if snapshot.processes is None:
        yield Reason(Why.NOT_LOOKED_FOR_HOLDERS)
    held = {resource for process in snapshot.processes or () for resource in process.resources or ()}
    for role in Role:
        socket = snapshot.sockets[role]
        if socket is None:
            yield because(Why.NO_SOCKET, role)
        elif (snapshot.unreadable or snapshot.unlisted) and socket.inode and Resource.socket(socket.inode) not in held:
            yield because(Why.HOLDER_UNREADABLE, role, snapshot.unreadable + snapshot.unlisted)
