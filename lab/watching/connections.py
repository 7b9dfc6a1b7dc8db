"""Which connections there are, which end is the client's, which fit the targets, and whether one came or went.

Sockets become connections by their addresses, each with its peer where that is on this host, beyond NAT as well.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lab.kernel.sockets.peers import PeerLookup
from lab.kernel.sockets.sock_diag import Located, SocketDiag, TcpEntry
from lab.spec import Pair
from lab.tcp.address import port
from lab.watching.namespaces import Namespaces, OpenNamespace, TargetNamespaces, TargetProcesses, Targets


@dataclass(frozen=True, slots=True)
class WatchedConnection:
    """Two sockets of this host, or one."""

    ends: Pair[Located | None]
    """None: no socket of this host was found to be the other end (another host, or NAT in between)."""
    roles: str
    """`seen` where listening told who is the server, else `guessed`."""
    lacking: str | None = None
    """The question about NAT that could not be asked."""

    @property
    def key(self) -> tuple[int, ...]:
        return tuple(end.entry.cookie for end in self.ends if end)

    @property
    def identity(self) -> frozenset[tuple[SocketDiag, int]]:
        """With the namespaces: one that was closed and is open again is asked through another SocketDiag."""
        return frozenset((end.diag, end.entry.cookie) for end in self.ends if end)


@dataclass(frozen=True, slots=True)
class Choice:
    """What the targets amount to at this moment."""

    everything: bool
    diags: frozenset[SocketDiag]
    inodes: frozenset[int]
    ports: frozenset[int]

    def fits(self, end: Located) -> bool:
        if self.everything or end.diag in self.diags or end.entry.inode in self.inodes:
            return True
        return any(port(address) in self.ports for address in (end.entry.local, end.entry.remote))


@dataclass(frozen=True, slots=True)
class Listing:
    """The sockets of one namespace, and how many connections it had opened when they were listed."""

    opened: int
    entries: Sequence[TcpEntry]

    @classmethod
    def of(cls, place: OpenNamespace) -> "Listing":
        return cls(place.counters.opened(), place.diag.entries())

    def renewed(self, place: OpenNamespace) -> "Listing":
        """The same as long as the namespace has opened no connection since, and each listed one was accepted."""
        if place.counters.opened() == self.opened and all(entry.inode for entry in self.entries):
            return self
        return Listing.of(place)


class ConnectionFinder:
    """Finds the connections that fit the targets, as often as it is asked."""

    def __init__(self, targets: Targets, namespaces: Namespaces, report: Callable[[str], None]) -> None:
        """`report` is told of each target that ends while others are still watched."""
        self._everything, self._ports = targets.everything, frozenset(targets.ports)
        self._namespaces = namespaces
        self._processes = TargetProcesses(targets, report)
        self._chosen = TargetNamespaces(targets, namespaces, report)
        self._inodes: frozenset[int] = frozenset()
        """The sockets of the target processes when the connections were found last."""
        self._listings: dict[SocketDiag, Listing] = {}
        self.homes: dict[int, SocketDiag] = {}
        """Whom to ask about each socket of this host, by its inode."""

    def find(self) -> list[WatchedConnection]:
        """All that fit now."""
        self._listings = {each.diag: Listing.of(each) for each in self._namespaces}
        return self._among_listed()

    def changed_since(self, found: Iterable[WatchedConnection]) -> bool:
        """Whether a connection that fits came or went since these were found."""
        followed = self._chosen.follow(came=self._namespaces.find())
        if not (self._list_again() or followed):
            return False
        return _identities(self._among_listed()) != _identities(found)

    def _list_again(self) -> bool:
        """Whether a connection that fits may have come, or gone with its namespace."""
        before = self._listings
        self._listings = {each.diag: self._listed_again(each) for each in self._namespaces}
        same = before.keys() == self._listings.keys() and all(before[d] is now for d, now in self._listings.items())
        return not same or self._processes.sockets() != self._inodes

    def _listed_again(self, place: OpenNamespace) -> Listing:
        known = self._listings.get(place.diag)
        return known.renewed(place) if known else Listing.of(place)

    def _among_listed(self) -> list[WatchedConnection]:
        self._inodes = self._processes.sockets()
        ends = [Located(diag, entry) for diag, listing in self._listings.items() for entry in listing.entries]
        self.homes = {end.entry.inode: end.diag for end in ends if end.entry.inode}
        choice = Choice(self._everything, self._chosen.diags, self._inodes, self._ports)
        return connections_among(ends, choice, PeerLookup(ends, self._namespaces.conntracks))


def connections_among(ends: Sequence[Located], choice: Choice, peers: PeerLookup) -> list[WatchedConnection]:
    """One for each pair of accepted sockets of which one fits. Beyond NAT only the peer of one that fits is found."""
    listening = {(end.diag, port(end.entry.local)) for end in ends if end.entry.listens}
    found: dict[frozenset[int], WatchedConnection] = {}
    for end in ends:
        if end.entry.listens or not end.entry.inode:
            continue
        fits = choice.fits(end)
        peer = peers.find(end) or (peers.beyond_nat(end) if fits else None)
        if fits or (peer and choice.fits(peer)):
            connection = _connection(end, peer, listening, peers.lacking)
            found[frozenset(connection.key)] = connection
    return list(found.values())


def _connection(
    end: Located, peer: Located | None, listening: set[tuple[SocketDiag, int]], lacking: str | None
) -> WatchedConnection:
    """The server is the end whose port is listened on; where that tells nothing, the one with the lower port.

    Beyond NAT that is the peer's own port, and not the published one that this end has connected to.
    """
    own, other = port(end.entry.local), port(peer.entry.local if peer else end.entry.remote)
    here = (end.diag, own) in listening
    there = peer is not None and (peer.diag, other) in listening
    seen = here != there
    is_server = here if seen else own < other
    return WatchedConnection(Pair(peer, end) if is_server else Pair(end, peer), "seen" if seen else "guessed", lacking)


def _identities(connections: Iterable[WatchedConnection]) -> set[frozenset[tuple[SocketDiag, int]]]:
    return {each.identity for each in connections}
