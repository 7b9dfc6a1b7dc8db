"""The knots among the stuck: which threads wait for each other in a circle, and for what.

That they are stuck is settled before. Here it is only told who waits for whom, so that the circle has a name: through
proxies it is one circle over several connections, and a thread that waits for it without being in it is its tail.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from lab.evidence import Wants
from lab.proof.cut import Thread
from lab.proof.holders import Need

Needs: TypeAlias = Mapping[Thread, tuple[Need, ...]]


class Kind(StrEnum):
    WRITE_WRITE = "write-write"
    READ_READ = "read-read"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Dependency:
    """An edge of the wait-for graph."""

    waiter: Thread
    waits_for: str
    holder: Thread
    resource: str
    connection: frozenset[int]
    """The inodes of its two ends, if the resource is a TCP socket."""


@dataclass(frozen=True, slots=True)
class Circle:
    kind: Kind
    threads: frozenset[Thread]
    edges: tuple[Dependency, ...]


def circles(stuck: Needs) -> tuple[Circle, ...]:
    """First what is written, then what is read; what is left is mixed."""
    found = [*_circles_of(stuck, Kind.WRITE_WRITE, _writes), *_circles_of(stuck, Kind.READ_READ, _reads)]
    told = {thread for circle in found for thread in circle.threads}
    mixed = _circles_of(stuck, Kind.MIXED, lambda needs: any(need.tcp for need in needs))
    return (*found, *(circle for circle in mixed if not circle.threads & told))


def tail(stuck: Needs, circle: Circle) -> tuple[Dependency, ...]:
    """The stuck outside of the circle that wait for it, each with one edge of the way to it."""
    towards: dict[Thread, Dependency] = {}
    reached = set(circle.threads)
    waiters = _reversed(stuck)
    front = list(circle.threads)
    while front:
        target = front.pop()
        for waiter, need in waiters.get(target, ()):
            if waiter not in reached:
                reached.add(waiter)
                towards[waiter] = _dependency(waiter, need, target)
                front.append(waiter)
    return tuple(sorted(towards.values(), key=lambda edge: (edge.waiter.pid, edge.waiter.tid)))


def reachable(stuck: Needs, start: Iterable[Thread]) -> frozenset[Thread]:
    """All whose stillness the stillness of `start` rests on, themselves included."""
    found = set(start)
    front = list(found)
    while front:
        for need in stuck.get(front.pop(), ()):
            fresh = set(need.helpers) - found
            found |= fresh
            front += fresh
    return frozenset(found)


def _writes(needs: Iterable[Need]) -> bool:
    return any(map(_for_a_writer, needs))


def _for_a_writer(need: Need) -> bool:
    """Whether it waits for room, or for what a writer without acknowledgments cannot deliver."""
    return need.writes or need.starves


def _reads(needs: tuple[Need, ...]) -> bool:
    return any(need.item.wants is Wants.READ and need.tcp for need in needs) and not _writes(needs)


def _circles_of(stuck: Needs, kind: Kind, plays: Callable[[tuple[Need, ...]], bool]) -> Iterator[Circle]:
    """Strongly connected threads of whom at least two play the part, over at least one TCP connection."""
    part = {thread for thread, needs in stuck.items() if plays(needs)}
    members = {thread for thread, needs in stuck.items() if thread in part or not any(need.tcp for need in needs)}
    edges = {thread: tuple(_edges(thread, stuck[thread], members, part, kind)) for thread in members}
    graph = {thread: [edge.holder for edge in found] for thread, found in edges.items()}
    for component in components(graph):
        inside = tuple(edge for thread in component for edge in edges[thread] if edge.holder in component)
        if len(component & part) >= 2 and any(edge.connection for edge in inside):
            yield Circle(kind, component, tuple(sorted(inside, key=_order)))


def _edges(
    waiter: Thread, needs: tuple[Need, ...], members: set[Thread], part: set[Thread], kind: Kind
) -> Iterator[Dependency]:
    """To the holders that play a part themselves; to bystanders of their processes only where nobody else holds it.

    Who plays a part is in the circle for what the part is about, not for the self-pipe that it polls besides.
    """
    for need in needs:
        if waiter in part and not (_for_a_writer(need) if kind is Kind.WRITE_WRITE else need.tcp):
            continue
        holders = [each for each in need.holders if each in part] or [h for h in need.holders if h in members]
        yield from (_dependency(waiter, need, holder) for holder in holders)


def _dependency(waiter: Thread, need: Need, holder: Thread) -> Dependency:
    return Dependency(waiter, need.words, holder, need.item.resource, need.connection)


def _order(edge: Dependency) -> tuple[int, int, int, int]:
    return edge.waiter.pid, edge.waiter.tid, edge.holder.pid, edge.holder.tid


def _reversed(stuck: Needs) -> dict[Thread, list[tuple[Thread, Need]]]:
    waiters: dict[Thread, list[tuple[Thread, Need]]] = {}
    for thread, needs in stuck.items():
        for need in needs:
            for helper in need.holders:
                waiters.setdefault(helper, []).append((thread, need))
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
