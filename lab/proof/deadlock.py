"""What every thread waits for; the live, the stuck, and the knots among the stuck: the structural proof.

A thread waits for any one of several things (the OR model). It is live if it may run, if the two stacks alone can bring
one of the things, or if a live thread might; that is the least fixpoint. Whoever is not live is stuck, and stays so:
each that could free it is stuck as well. No time-out is needed, the state is an invariant (while answered probes keep
the connection alive: RFC 9293, MUST-37). Everything unknown is live, so an unknown can prevent a proof, never make one.

A knot holds as far as what its stillness rests on: all threads that can be reached over the edges from it. Their
listeners, time limits, alarms and housekeeping give its grade; those of strangers do not matter.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lab.evidence import ProcessSample, Resource, ResourceKind, Snapshot
from lab.proof.cycles import Conditions, Cycle, Kind, WaitForEdge, cycles, reachable, waiters_on_cycle
from lab.proof.enablers import Holdings, WaitCondition, listed
from lab.proof.send_buffer import KernelTraits
from lab.proof.threads import Thread, threads_of
from lab.proof.writable import UNKNOWN_KERNEL, Possible
from lab.spec import Grade


@dataclass(frozen=True, slots=True)
class Live:
    """A thread that may go on, or that somebody may set going."""

    thread: Thread
    waits_for: str
    why: str


@dataclass(frozen=True, slots=True)
class Knot:
    """Threads that wait for each other for ever, within what the grade names."""

    kind: Kind
    grade: Grade
    """Never CONSISTENT: a knot is proven, or it is none."""
    edges: tuple[WaitForEdge, ...]
    tail: tuple[WaitForEdge, ...]
    """Who waits for the cycle, and no less long, without being in it."""
    connections: frozenset[frozenset[int]]
    """The TCP connections in the cycle, each as the inodes of its two ends."""
    closed_world: tuple[str, ...]
    """Who waits for a new connection too: it holds as long as none is opened."""
    qualifiers: tuple[str, ...]
    holds_until_ns: int | None
    """The earliest time limit among all that it rests on."""
    why: tuple[str, ...]
    """Of each socket in the cycle, why the stacks alone cannot move it."""

    @property
    def threads(self) -> frozenset[Thread]:
        return frozenset(edge.waiter for edge in self.edges)


@dataclass(frozen=True, slots=True)
class Analysis:
    knots: tuple[Knot, ...]
    live: tuple[Live, ...]
    suspended: tuple[str, ...]
    """Threads that are stopped, traced or frozen: they are live, for they may be set going."""
    missing: tuple[str, ...]
    """What was not observed, and may be all that prevents a proof."""
    _needs: Conditions
    _holdings: Holdings

    def knot(self, one: int, other: int, kind: Kind = Kind.WRITE_WRITE) -> Knot | None:
        """The knot of this kind that the connection between these two inodes is part of."""
        ends = frozenset((one, other))
        return next((knot for knot in self.knots if knot.kind is kind and ends in knot.connections), None)

    def against(self, *inodes: int) -> tuple[Live, ...]:
        """The live threads that keep the holders of these sockets from being stuck: the diagnosis of every `no`."""
        holders = [thread for inode in inodes for thread in self._holdings.holders(Resource.socket(inode))]
        roots = {thread: () if thread.live else conditions for thread, conditions in self._needs.items()}
        concerned = reachable(roots, holders)
        unseen = tuple(Live(thread, "unknown", thread.live) for thread in holders if not thread.pid and thread.live)
        known = tuple(live for live in self.live if live.thread in concerned)
        return (*known, *(each for each in unseen if each.thread not in {live.thread for live in known}))


def analyse(snapshot: Snapshot, now_ns: int, stack: KernelTraits = UNKNOWN_KERNEL) -> Analysis:
    """`now_ns` is CLOCK_REALTIME: time limits less than a second after it count as passed."""
    threads = threads_of(snapshot, now_ns)
    holdings = Holdings(snapshot, threads, stack)
    conditions: dict[Thread, tuple[WaitCondition, ...]] = {thread: holdings.conditions(thread) for thread in threads}
    reasons = _live(conditions)
    stuck = {thread: found for thread, found in conditions.items() if thread not in reasons}
    return Analysis(
        knots=tuple(_knot(cycle, stuck, holdings, snapshot) for cycle in cycles(stuck)),
        live=tuple(
            Live(thread, _waits_for(thread, conditions.get(thread, ())), why) for thread, why in reasons.items()
        ),
        suspended=tuple(f"{thread.name} is {thread.suspended}" for thread in threads if thread.suspended),
        missing=tuple(dict.fromkeys(_missing(snapshot, threads, reasons, conditions))),
        _needs=conditions,
        _holdings=holdings,
    )


def _live(conditions: Conditions) -> dict[Thread, str]:
    """The least fixpoint, with the reason for each."""
    reasons: dict[Thread, str] = {}
    waiters: dict[Thread, list[tuple[Thread, WaitCondition]]] = {}
    for thread, found in conditions.items():
        moving = next((condition.stacks for condition in found if condition.stacks.possible is not Possible.NO), None)
        if thread.live:
            reasons[thread] = thread.live
        elif moving:
            reasons[thread] = moving.why if moving.possible is Possible.YES else f"not known: {moving.why}"
        for condition in found:
            for enabler in condition.enablers:
                waiters.setdefault(enabler, []).append((thread, condition))
    reasons |= {enabler: enabler.live for enabler in waiters if enabler.live}
    front = list(reasons)
    while front:
        enabler = front.pop()
        for waiter, condition in waiters.get(enabler, ()):
            if waiter not in reasons:
                reasons[waiter] = f"{enabler.name} could end its wait for {condition.words} ({condition.item.resource})"
                front.append(waiter)
    return reasons


def _waits_for(thread: Thread, conditions: tuple[WaitCondition, ...]) -> str:
    if thread.wait is None:
        return "unknown"
    words = " or ".join(listed(conditions)) or "nothing that is known"
    return f"{thread.wait.call}: {words}"


def _knot(cycle: Cycle, stuck: Conditions, holdings: Holdings, snapshot: Snapshot) -> Knot:
    ground = sorted(_ground(cycle, stuck, holdings), key=lambda thread: (thread.pid, thread.tid))
    conditions = {thread: stuck.get(thread, ()) for thread in ground}
    closed_world = tuple(
        f"{thread.name} waits for a new connection too ({condition.item.resource})"
        for thread, found in conditions.items()
        for condition in found
        if condition.newcomer
    )
    qualifiers = tuple(dict.fromkeys(_qualifiers(conditions, holdings, snapshot)))
    until_ns = _until(ground)
    told = {edge.resource for edge in cycle.edges if edge.connection}
    moves = [
        condition.stacks.why
        for thread in cycle.threads
        for condition in conditions[thread]
        if condition.item.resource in told
    ]
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
        why=tuple(sorted(set(moves))),
    )


def _ground(cycle: Cycle, stuck: Conditions, holdings: Holdings) -> set[Thread]:
    """All that its stillness rests on: whom it reaches, and the stuck children whose end would run a handler there."""
    ground: set[Thread] = set()
    front = reachable(stuck, cycle.threads)
    while front:
        ground |= front
        reaped = [holdings.threads(child) for thread in front for child in holdings.reaped(thread.pid)]
        front = reachable(stuck, [each for threads in reaped for each in threads if each in stuck]) - ground
    return ground


def _until(ground: Iterable[Thread]) -> int | None:
    return min((thread.until_ns for thread in ground if thread.until_ns is not None), default=None)


def _grade(until_ns: int | None, qualifiers: tuple[str, ...], closed_world: tuple[str, ...]) -> Grade:
    """The word for the narrowest limit; the others are named beside it."""
    if until_ns is not None:
        return Grade.PROVEN_UNTIL
    if qualifiers:
        return Grade.QUALIFIED
    return Grade.PROVEN_CLOSED_WORLD if closed_world else Grade.PROVEN


def _qualifiers(conditions: Conditions, holdings: Holdings, snapshot: Snapshot) -> Iterator[str]:
    """What the proof rests on and nobody could see; first what anybody might hold, then the knot's own processes."""
    if snapshot.unreadable:
        yield f"unreadable fd tables: {snapshot.unreadable}"
    for process in holdings.processes.values():
        if process.resources is None:
            yield f"the descriptors of {_named(process)} could not be read"
        if process.in_flight:
            yield f"{process.in_flight} descriptors that {_named(process)} may have are in no table (scm_fds, io_uring)"
    yield from _bystanders(conditions, holdings)
    for thread, found in conditions.items():
        if thread.wait and thread.wait.presumed and thread.until_ns is not None:
            yield f"{thread.name} has slept since its call began: a wake-up in vain before cannot be seen (timer_list)"
        if thread.housekeeping:
            yield f"{thread.name} is taken for housekeeping of {thread.housekeeping}"
        if any(condition.stacks.tcp_gives_up for condition in found):
            yield f"TCP itself ends the wait of {thread.name} after tcp_retries2: too few acknowledgments reach it"
        yield from dict.fromkeys(condition.stacks.assumption for condition in found if condition.stacks.assumption)
    for pid in dict.fromkeys(thread.pid for thread in conditions):
        process_of = holdings.processes.get(pid)
        if process_of is not None:
            yield from _alarms(process_of)
            yield from (f"{_named(process_of)} {each}" for each in process_of.hidden)
            for child in process_of.reaps:
                if not set(holdings.threads(child)) <= conditions.keys():
                    yield f"child {child} of {_named(process_of)} may end, which a signal tells it (SIGCHLD)"


def _bystanders(conditions: Conditions, holdings: Holdings) -> Iterator[str]:
    """Who is no part of the knot, and may end a wait of it although no descriptor tells."""
    waited = dict.fromkeys(
        (condition.item.resource, condition.newcomer) for found in conditions.values() for condition in found
    )
    members = {thread.pid for thread in conditions}
    others = [process for process in holdings.processes.values() if process.pid not in members]
    for process in others:
        for resource, listens in waited:
            if listens and resource in (process.resources or ()):
                yield f"{_named(process)} has {resource} too, and may shut it down"
            if resource.kind is ResourceKind.EVENTFD and process.signals:
                yield f"{_named(process)} has an io_uring or a context of io_setup(2), which may signal {resource}"


def _alarms(process: ProcessSample) -> Iterator[str]:
    """setitimer() and alarm() cannot be seen, and the handler may do anything."""
    if process.catches_alarm is None:
        yield f"whether {_named(process)} catches SIGALRM could not be read"
    elif process.catches_alarm:
        yield f"{_named(process)} catches SIGALRM: an alarm cannot be seen"
    elif process.alarm_ends_it:
        yield f"{_named(process)} would be ended by SIGALRM, and an alarm is pending on this machine (timer_list)"
    if process.posix_timers is None:
        yield f"the POSIX timers of {_named(process)} could not be read"
    elif process.posix_timers:
        yield f"{_named(process)} has {process.posix_timers} POSIX timers"


def _missing(
    snapshot: Snapshot, threads: Iterable[Thread], reasons: dict[Thread, str], conditions: Conditions
) -> Iterator[str]:
    if snapshot.processes is None:
        yield "who holds the two sockets: the processes were not looked at"
    held = {resource for process in snapshot.processes or () for resource in process.resources or ()}
    for socket, role in zip(snapshot.sockets, ("client", "server"), strict=True):
        if socket is None:
            yield f"the {role}'s socket (inet_diag)"
        elif snapshot.unreadable and socket.inode and Resource.socket(socket.inode) not in held:
            tables = f"{snapshot.unreadable} descriptor tables could not be read"
            yield f"who holds the {role}'s socket: {tables} (CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH)"
    if not snapshot.threads_before or not snapshot.threads_after:
        yield "both readings of the threads around that of the sockets"
    for process in snapshot.processes or ():
        if process.missing:
            yield f"{_named(process)}: {process.missing}"
    for thread in dict.fromkeys((*threads, *reasons)):
        if thread.missing:
            yield thread.missing
    for found in conditions.values():
        for condition in found:
            if condition.stacks.possible is Possible.UNKNOWN:
                yield condition.stacks.why


def _named(process: ProcessSample) -> str:
    return f"{process.pid} {process.comm}"
