"""The cycles among the stuck threads: which threads wait for each other, and for what.

That they are stuck is decided in `deadlock`. Here each cycle gets its kind, its edges and its tail: the threads that
wait for the cycle and are not part of it. Through proxies one cycle spans several connections.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from lab.evidence import Resource, Wants
from lab.proof.enablers import WaitCondition
from lab.proof.threads import Thread

Conditions: TypeAlias = Mapping[Thread, tuple[WaitCondition, ...]]


class Kind(StrEnum):
    WRITE_WRITE = "write-write"
    READ_READ = "read-read"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class WaitForEdge:
    """An edge of the wait-for graph."""

    waiter: Thread
    waits_for: Wants
    holder: Thread
    resource: Resource
    connection: frozenset[int]
    """The inodes of its two ends, if the resource is a TCP socket."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """Threads of which each waits for another one of them."""

    kind: Kind
    threads: frozenset[Thread]
    edges: tuple[WaitForEdge, ...]


def cycles(stuck: Conditions) -> tuple[Cycle, ...]:
    """Write-write cycles first, then read-read cycles. What remains is mixed."""
    found = [*_cycles_of(stuck, Kind.WRITE_WRITE, _writes), *_cycles_of(stuck, Kind.READ_READ, _reads)]
    told = {thread for cycle in found for thread in cycle.threads}
    mixed = _cycles_of(stuck, Kind.MIXED, lambda conditions: any(condition.tcp for condition in conditions))
    return (*found, *(cycle for cycle in mixed if not cycle.threads & told))


def waiters_on_cycle(stuck: Conditions, cycle: Cycle) -> tuple[WaitForEdge, ...]:
    """The stuck threads outside the cycle that wait for it, each with one edge towards it."""
    towards: dict[Thread, WaitForEdge] = {}
    reached = set(cycle.threads)
    waiters = _reversed(stuck)
    front = list(cycle.threads)
    while front:
        target = front.pop()
        for waiter, condition in waiters.get(target, ()):
            if waiter not in reached:
                reached.add(waiter)
                towards[waiter] = _dependency(waiter, condition, target)
                front.append(waiter)
    return tuple(sorted(towards.values(), key=lambda edge: (edge.waiter.pid, edge.waiter.tid)))


def reachable(stuck: Conditions, start: Iterable[Thread]) -> frozenset[Thread]:
    """`start`, and all threads that could free one of them, directly or through others."""
    found = set(start)
    front = list(found)
    while front:
        for condition in stuck.get(front.pop(), ()):
            fresh = set(condition.enablers) - found
            found |= fresh
            front += fresh
    return frozenset(found)


def _writes(conditions: Iterable[WaitCondition]) -> bool:
    return any(map(_for_a_writer, conditions))


def _for_a_writer(condition: WaitCondition) -> bool:
    """Whether it waits for room, or for data that its peer cannot deliver since no acknowledgment reaches the peer."""
    return condition.writes or condition.starves


def _reads(conditions: tuple[WaitCondition, ...]) -> bool:
    return any(condition.item.wants is Wants.READ and condition.tcp for condition in conditions) and not _writes(
        conditions
    )


def _cycles_of(stuck: Conditions, kind: Kind, plays: Callable[[tuple[WaitCondition, ...]], bool]) -> Iterator[Cycle]:
    """Strongly connected components over at least one TCP connection, with at least two threads that play the part."""
    part = {thread for thread, conditions in stuck.items() if plays(conditions)}
    members = {
        thread
        for thread, conditions in stuck.items()
        if thread in part or not any(condition.tcp for condition in conditions)
    }
    edges = {thread: tuple(_edges(thread, stuck[thread], members, part, kind)) for thread in members}
    graph = {thread: [edge.holder for edge in found] for thread, found in edges.items()}
    for component in components(graph):
        inside = tuple(edge for thread in component for edge in edges[thread] if edge.holder in component)
        if len(component & part) >= 2 and any(edge.connection for edge in inside):
            yield Cycle(kind, component, tuple(sorted(inside, key=_order)))


def _edges(
    waiter: Thread, conditions: tuple[WaitCondition, ...], members: set[Thread], part: set[Thread], kind: Kind
) -> Iterator[WaitForEdge]:
    """To the holders that play the part; to other members only if no holder plays it.

    A thread that plays the part gets edges for the waits of that kind only, not for a self-pipe that it polls as well.
    """
    for condition in conditions:
        if waiter in part and not (_for_a_writer(condition) if kind is Kind.WRITE_WRITE else condition.tcp):
            continue
        holders = [each for each in condition.holders if each in part] or [h for h in condition.holders if h in members]
        yield from (_dependency(waiter, condition, holder) for holder in holders)


def _dependency(waiter: Thread, condition: WaitCondition, holder: Thread) -> WaitForEdge:
    return WaitForEdge(waiter, condition.item.wants, holder, condition.item.resource, condition.connection)


def _order(edge: WaitForEdge) -> tuple[int, int, int, int]:
    return edge.waiter.pid, edge.waiter.tid, edge.holder.pid, edge.holder.tid


def _reversed(stuck: Conditions) -> dict[Thread, list[tuple[Thread, WaitCondition]]]:
    waiters: dict[Thread, list[tuple[Thread, WaitCondition]]] = {}
    for thread, conditions in stuck.items():
        for condition in conditions:
            for enabler in condition.holders:
                waiters.setdefault(enabler, []).append((thread, condition))
    return waiters


def components(graph: Mapping[Thread, list[Thread]]) -> list[frozenset[Thread]]:
    """The strongly connected components (Kosaraju): in order of leaving, then against the edges."""
    against: dict[Thread, list[Thread]] = {node: [] for node in graph}
    for node, targets in graph.items():
        for target in targets:
            against[target].append(node)
    left = _in_order_of_leaving(graph)
    found, seen = [], set[Thread]()
    for node in reversed(left):
        if node in seen:
            continue
        component, front = {node}, [node]
        seen.add(node)
        while front:
            fresh = [each for each in dict.fromkeys(against[front.pop()]) if each not in seen]
            seen.update(fresh)
            component.update(fresh)
            front += fresh
        found.append(frozenset(component))
    return found


def _in_order_of_leaving(graph: Mapping[Thread, list[Thread]]) -> list[Thread]:
    left: list[Thread] = []
    seen: set[Thread] = set()
    for root in graph:
        if root in seen:
            continue
        seen.add(root)
        path = [(root, iter(graph[root]))]
        while path:
            node, targets = path[-1]
            step = next((target for target in targets if target not in seen), None)
            if step is None:
                left.append(node)
                path.pop()
            else:
                seen.add(step)
                path.append((step, iter(graph[step])))
    return left
