"""Finds the other end of a connection: the socket with the reversed addresses, or with what NAT makes of them."""

from collections.abc import Iterable, Sequence
from functools import cached_property

from lab.errors import EnvironmentLacksError
from lab.kernel.sockets.conntrack import Conntrack, Way
from lab.kernel.sockets.sock_diag import Located

HOPS = 4
"""At most so many namespaces with a NAT lie between two ends on one host: the host's, its nodes' and its pods'."""
QUESTIONS = 10_000
"""At most so many NAT lookups for one list of sockets: 0.2 s."""


class PeerLookup:
    """Finds peers in one list of sockets, through the NAT of the namespaces of `conntracks`."""

    def __init__(self, sockets: Iterable[Located], conntracks: Sequence[Conntrack] = ()) -> None:
        self._by_way: dict[Way, list[Located]] = {}
        for each in sockets:
            self._by_way.setdefault(_way(each), []).append(each)
        self._conntracks = conntracks
        self._questions = 0
        self._found: dict[Located, Located | None] = {}
        """By socket: its peer through a NAT."""
        self.lacking: str | None = None
        """Why NAT could not be asked."""

    def find(self, end: Located) -> Located | None:
        """The only socket with the reversed addresses. One in the same namespace comes before those in others."""
        found = [each for each in self._by_way.get(_reverse(_way(end)), ()) if each is not end]
        found = [each for each in found if each.diag is end.diag] or found
        return found[0] if len(found) == 1 else None

    def beyond_nat(self, end: Located) -> Located | None:
        """The peer through a NAT: each of the two must be the only socket that the other's packets can reach."""
        if end not in self._found:
            other = self._reached_by(end)
            self._found[end] = other if other and self._reached_by(other) is end else None
        return self._found[end]

    def _reached_by(self, end: Located) -> Located | None:
        """The only socket that this one's packets reach, after the namespaces on the way have translated them."""
        ways = [_way(end)]
        if _reverse(ways[0]) in self._by_way:
            return None
        for _, way in zip(range(HOPS), ways):  # noqa: B905 - it grows meanwhile
            ways += [new for each in self._tracking if (new := self._translated(each, way)) and new not in ways]
        found = [each for way in ways for each in self._by_way.get(_reverse(way), ())]
        return found[0] if len(found) == 1 else None

    @cached_property
    def _tracking(self) -> list[Conntrack]:
        return [each for each in self._conntracks if each.tracks()]

    def _translated(self, conntrack: Conntrack, way: Way) -> Way | None:
        self._questions += 1
        if self._questions > QUESTIONS:
            self.lacking = f"NAT was asked {QUESTIONS:,} times already"
            return None
        try:
            return conntrack.translated(way)
        except EnvironmentLacksError as error:
            self.lacking = str(error)
            return None


def _way(end: Located) -> Way:
    """Source and destination of the packets that it sends."""
    return end.entry.local, end.entry.remote


def _reverse(way: Way) -> Way:
    return way[1], way[0]
