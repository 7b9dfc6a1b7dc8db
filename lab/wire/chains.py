"""Finds chains of stalls in one capture: connections that wait for each other across hosts.

A proxy in a cycle may turn one of its connections into a one-sided stall, and in a ring of three hosts no connection
need be mutual. Stalled connections are a chain if they meet on a host that is the client of one and the server of
another, and some host waits, over one or more connections, for itself. A chain changes no outcome: packets do not show
that two waits on one host depend on each other.
"""

from collections import defaultdict
from dataclasses import replace

from lab.tcp.address import host
from lab.wire.judge import PacketJudgement

MAX_CONNECTIONS = 16
"""Connections of one chain whose waits are listed."""


def chained(found: list[PacketJudgement]) -> list[PacketJudgement]:
    """The same, in the same order, each with the chain that it is part of."""
    stalled = [index for index, each in enumerate(found) if each.waits]
    result = list(found)
    for group in _groups(found, stalled):
        if _is_chain(found, group):
            waits = [pair for index in group[:MAX_CONNECTIONS] for pair in found[index].waits]
            chain = tuple(f"{waiter} waits for {holder}" for waiter, holder in waits)
            for index in group:
                result[index] = replace(found[index], chain=chain)
    return result


def _groups(found: list[PacketJudgement], stalled: list[int]) -> list[list[int]]:
    """The stalled connections, grouped: a host that is server of one and client of another joins the two."""
    clients, servers = defaultdict(list), defaultdict(list)
    for index in stalled:
        verdict = found[index].verdict
        clients[host(verdict.client or "")].append(index)
        servers[host(verdict.server or "")].append(index)
    parent = {index: index for index in stalled}

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for name in clients.keys() & servers.keys():
        together = clients[name] + servers[name]
        for index in together[1:]:
            parent[root(index)] = root(together[0])
    groups = defaultdict(list)
    for index in stalled:
        groups[root(index)].append(index)
    return list(groups.values())


def _is_chain(found: list[PacketJudgement], group: list[int]) -> bool:
    """Whether some host waits for a host that waits for a host, and so on, back to the first."""
    if len(group) < 2:
        return False
    waits = defaultdict(set)
    for index in group:
        for waiter, holder in found[index].waits:
            waits[host(waiter)].add(host(holder))
    return any(_reaches(waits, name, name) for name in list(waits))


def _reaches(waits: "defaultdict[str, set[str]]", start: str, goal: str) -> bool:
    seen, ahead = set(), list(waits[start])
    while ahead:
        name = ahead.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            ahead += waits.get(name, ())
    return False
