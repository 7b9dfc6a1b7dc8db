"""Finds the other end of a connection: the socket with the reversed addresses, or with what NAT makes of them."""

from collections.abc import Iterable, Sequence
from functools import cached_property

from lab.errors import EnvironmentLacksError
from lab.kernel.sockets.conntrack import Conntrack, Way
from lab.kernel.sockets.sock_diag import Located

HOPS = 4
"""Namespaces with a NAT between two ends of one host: the host's, and those of its nodes and pods."""
QUESTIONS = 10_000
"""At most, of one list of sockets: 0.2 s."""


class PeerLookup:
    """Of one list of sockets. NAT is looked for in the namespaces of `conntracks`."""

    def __init__(self, sockets: Iterable[Located], conntracks: Sequence[Conntrack] = ()) -> None:
        self._by_way: dict[Way, list[Located]] = {}
        for each in sockets:
            self._by_way.setdefault(_way(each), []).append(each)
        self._conntracks = conntracks
        self._questions = 0
        self._found: dict[Located, Located | None] = {}
        """Beyond a NAT."""
        self.lacking: str | None = None
        """What NAT could not be asked for."""

    def find(self, end: Located) -> Located | None:
        """The only socket with the reversed addresses, of its own namespace rather than of another with the same."""
        found = [each for each in self._by_way.get(_reverse(_way(end)), ()) if each is not end]
        found = [each for each in found if each.diag is end.diag] or found
        return found[0] if len(found) == 1 else None

    def beyond_nat(self, end: Located) -> Located | None:
        """Where no socket has the reversed addresses. Each must be the only one to which the other's packets come."""
        if end not in self._found:
            other = self._reached_by(end)
            self._found[end] = other if other and self._reached_by(other) is end else None
        return self._found[end]

    def _reached_by(self, end: Located) -> Located | None:
        """The only socket to which this one's packets come, as they leave the namespaces that change them."""
        ways = [_way(end)]
        if _reverse(ways[0]) in self._by_way:
            return None
        for _, way in zip(range(HOPS), ways):  # noqa: B905 - it grows meanwhile
            ways += [new for each in self._tracking if (new := self._leaves_as(each, way)) and new not in ways]
        found = [each for way in ways for each in self._by_way.get(_reverse(way), ())]
        return found[0] if len(found) == 1 else None

    @cached_property
    def _tracking(self) -> list[Conntrack]:
        return [each for each in self._conntracks if each.tracks()]

    def _leaves_as(self, conntrack: Conntrack, way: Way) -> Way | None:
        self._questions += 1
        if self._questions > QUESTIONS:
            self.lacking = f"NAT was asked for {QUESTIONS:,} times already"
            return None
        try:
            return conntrack.translated(way)
        except EnvironmentLacksError as error:
            self.lacking = str(error)
            return None


def _way(end: Located) -> Way:
    """Of the packets that it sends."""
    return end.entry.local, end.entry.remote


def _reverse(way: Way) -> Way:
    return way[1], way[0]
