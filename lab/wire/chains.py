"""Correlates the stalls of one capture by host: who waits for whom beyond a single connection.

A proxy in the cycle may turn one leg into a one-sided stall, and in a ring of three hosts no connection at all need be
mutual. A chain is told where stalled connections meet on a host that is the client of one and the server of another,
or where they close a ring of three hosts and more. It changes no outcome: that two waits on one host have to do with
each other, packets do not show.
"""

from collections import defaultdict
from dataclasses import replace

from lab.wire.stalls import Judged, host

MOST_LEGS = 16
"""Legs that are told of one chain."""


def chained(found: list[Judged]) -> list[Judged]:
    """The same, in the same order, each with the chain that it is a leg of."""
    legs = [index for index, each in enumerate(found) if each.waits]
    groups = _groups(found, legs)
    result = list(found)
    for group in groups:
        if _is_chain(found, group):
            waits = [pair for index in group[:MOST_LEGS] for pair in found[index].waits]
            told = tuple(f"{waiter} waits for {holder}" for waiter, holder in waits)
            for index in group:
                result[index] = replace(found[index], chain=told)
    return result


def _groups(found: list[Judged], legs: list[int]) -> list[list[int]]:
    """Stalled connections that a host which is server in one and client in another, or a ring, ties together."""
    clients, servers = defaultdict(list), defaultdict(list)
    for index in legs:
        verdict = found[index].verdict
        clients[host(verdict.client or "")].append(index)
        servers[host(verdict.server or "")].append(index)
    parent = {index: index for index in legs}

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
    for index in legs:
        groups[root(index)].append(index)
    return list(groups.values())


def _is_chain(found: list[Judged], group: list[int]) -> bool:
    """Whether somebody in it comes back to himself: a host that waits for a host that waits, ... for the first."""
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
