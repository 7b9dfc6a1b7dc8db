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

from lab.evidence import ProcessSample, Snapshot
from lab.proof.autotune import Stack
from lab.proof.cut import Thread, threads_of
from lab.proof.holders import Holdings, Need, listed
from lab.proof.knots import Circle, Dependency, Kind, Needs, circles, reachable, tail
from lab.proof.writable import UNKNOWN_STACK, Can
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
    edges: tuple[Dependency, ...]
    tail: tuple[Dependency, ...]
    """Who waits for the circle, and no less long, without being in it."""
    connections: frozenset[frozenset[int]]
    """The TCP connections in the circle, each as the inodes of its two ends."""
    closed_world: tuple[str, ...]
    """Who waits for a new connection too: it holds as long as none is opened."""
    qualifiers: tuple[str, ...]
    holds_until_ns: int | None
    """The earliest time limit among all that it rests on."""
    why: tuple[str, ...]
    """Of each socket in the circle, why the stacks alone cannot move it."""

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
    _needs: Needs
    _holdings: Holdings

    def knot(self, one: int, other: int, kind: Kind = Kind.WRITE_WRITE) -> Knot | None:
        """The knot of this kind that the connection between these two inodes is part of."""
        ends = frozenset((one, other))
        return next((knot for knot in self.knots if knot.kind is kind and ends in knot.connections), None)

    def against(self, *inodes: int) -> tuple[Live, ...]:
        """The live threads that keep the holders of these sockets from being stuck: the diagnosis of every `no`."""
        holders = [thread for inode in inodes for thread in self._holdings.holders(f"socket:{inode}")]
        roots = {thread: () if thread.live else needs for thread, needs in self._needs.items()}
        concerned = reachable(roots, holders)
        unseen = tuple(Live(thread, "unknown", thread.live) for thread in holders if not thread.pid and thread.live)
        known = tuple(live for live in self.live if live.thread in concerned)
        return (*known, *(each for each in unseen if each.thread not in {live.thread for live in known}))


def analyse(snapshot: Snapshot, now_ns: int, stack: Stack = UNKNOWN_STACK) -> Analysis:
    """`now_ns` is CLOCK_REALTIME: time limits less than a second after it count as passed."""
    threads = threads_of(snapshot, now_ns)
    holdings = Holdings(snapshot, threads, stack)
    needs: dict[Thread, tuple[Need, ...]] = {thread: holdings.needs(thread) for thread in threads}
    reasons = _live(needs)
    stuck = {thread: found for thread, found in needs.items() if thread not in reasons}
    return Analysis(
        knots=tuple(_knot(circle, stuck, holdings, snapshot) for circle in circles(stuck)),
        live=tuple(Live(thread, _waits_for(thread, needs.get(thread, ())), why) for thread, why in reasons.items()),
        suspended=tuple(f"{thread.name} is {thread.suspended}" for thread in threads if thread.suspended),
        missing=tuple(dict.fromkeys(_missing(snapshot, threads, reasons, needs))),
        _needs=needs,
        _holdings=holdings,
    )


def _live(needs: Needs) -> dict[Thread, str]:
    """The least fixpoint, with the reason for each."""
    reasons: dict[Thread, str] = {}
    waiters: dict[Thread, list[tuple[Thread, Need]]] = {}
    for thread, found in needs.items():
        moving = next((need.stacks for need in found if need.stacks.can is not Can.NO), None)
        if thread.live:
            reasons[thread] = thread.live
        elif moving:
            reasons[thread] = moving.why if moving.can is Can.YES else f"not known: {moving.why}"
        for need in found:
            for helper in need.helpers:
                waiters.setdefault(helper, []).append((thread, need))
    reasons |= {helper: helper.live for helper in waiters if helper.live}
    front = list(reasons)
    while front:
        helper = front.pop()
        for waiter, need in waiters.get(helper, ()):
            if waiter not in reasons:
                reasons[waiter] = f"{helper.name} could end its wait for {need.words} ({need.item.resource})"
                front.append(waiter)
    return reasons


def _waits_for(thread: Thread, needs: tuple[Need, ...]) -> str:
    if thread.wait is None:
        return "unknown"
    words = " or ".join(listed(needs)) or "nothing that is known"
    return f"{thread.wait.call}: {words}"


def _knot(circle: Circle, stuck: Needs, holdings: Holdings, snapshot: Snapshot) -> Knot:
    ground = sorted(_ground(circle, stuck, holdings), key=lambda thread: (thread.pid, thread.tid))
    needs = {thread: stuck.get(thread, ()) for thread in ground}
    closed_world = tuple(
        f"{thread.name} waits for a new connection too ({need.item.resource})"
        for thread, found in needs.items()
        for need in found
        if need.newcomer
    )
    qualifiers = tuple(dict.fromkeys(_qualifiers(needs, holdings, snapshot)))
    until_ns = _until(ground)
    told = {edge.resource for edge in circle.edges if edge.connection}
    moves = [need.stacks.why for thread in circle.threads for need in needs[thread] if need.item.resource in told]
    return Knot(
        kind=circle.kind,
        grade=_grade(until_ns, qualifiers, closed_world),
        edges=circle.edges,
        tail=tuple(edge for edge in tail(stuck, circle) if _until(reachable(stuck, [edge.waiter])) in (None, until_ns)),
        connections=frozenset(edge.connection for edge in circle.edges if edge.connection),
        closed_world=closed_world,
        qualifiers=qualifiers,
        holds_until_ns=until_ns,
        why=tuple(sorted(set(moves))),
    )


def _ground(circle: Circle, stuck: Needs, holdings: Holdings) -> set[Thread]:
    """All that its stillness rests on: whom it reaches, and the stuck children whose end would run a handler there."""
    ground: set[Thread] = set()
    front = reachable(stuck, circle.threads)
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


def _qualifiers(needs: Needs, holdings: Holdings, snapshot: Snapshot) -> Iterator[str]:
    """What the proof rests on and nobody could see; first what anybody might hold, then the knot's own processes."""
    if snapshot.unreadable:
        yield f"unreadable fd tables: {snapshot.unreadable}"
    for process in holdings.processes.values():
        if process.resources is None:
            yield f"the descriptors of {_named(process)} could not be read"
        if process.in_flight:
            yield f"{process.in_flight} descriptors that {_named(process)} may have are in no table (scm_fds, io_uring)"
    yield from _bystanders(needs, holdings)
    for thread, found in needs.items():
        if thread.wait and thread.wait.presumed and thread.until_ns is not None:
            yield f"{thread.name} has slept since its call began: a wake-up in vain before cannot be seen (timer_list)"
        if thread.housekeeping:
            yield f"{thread.name} is taken for housekeeping of {thread.housekeeping}"
        if any(need.stacks.ends_itself for need in found):
            yield f"TCP itself ends the wait of {thread.name} after tcp_retries2: too few acknowledgments reach it"
        yield from dict.fromkeys(need.stacks.but_for for need in found if need.stacks.but_for)
    for pid in dict.fromkeys(thread.pid for thread in needs):
        process_of = holdings.processes.get(pid)
        if process_of is not None:
            yield from _alarms(process_of)
            yield from (f"{_named(process_of)} {each}" for each in process_of.hidden)
            for child in process_of.reaps:
                if not set(holdings.threads(child)) <= needs.keys():
                    yield f"child {child} of {_named(process_of)} may end, which a signal tells it (SIGCHLD)"


def _bystanders(needs: Needs, holdings: Holdings) -> Iterator[str]:
    """Who is no part of the knot, and may end a wait of it although no descriptor tells."""
    waited = dict.fromkeys((need.item.resource, need.newcomer) for found in needs.values() for need in found)
    members = {thread.pid for thread in needs}
    others = [process for process in holdings.processes.values() if process.pid not in members]
    for process in others:
        for resource, listens in waited:
            if listens and resource in (process.resources or ()):
                yield f"{_named(process)} has {resource} too, and may shut it down"
            if resource.startswith("eventfd:") and process.signals:
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


def _missing(snapshot: Snapshot, threads: Iterable[Thread], reasons: dict[Thread, str], needs: Needs) -> Iterator[str]:
    if snapshot.processes is None:
        yield "who holds the two sockets: the processes were not looked at"
    held = {resource for process in snapshot.processes or () for resource in process.resources or ()}
    for socket, role in zip(snapshot.sockets, ("client", "server"), strict=True):
        if socket is None:
            yield f"the {role}'s socket (inet_diag)"
        elif snapshot.unreadable and socket.inode and f"socket:{socket.inode}" not in held:
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
    for found in needs.values():
        for need in found:
            if need.stacks.can is Can.UNKNOWN:
                yield need.stacks.why


def _named(process: ProcessSample) -> str:
    return f"{process.pid} {process.comm}"
