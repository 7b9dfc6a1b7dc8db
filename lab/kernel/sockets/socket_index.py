"""Finds sockets of several network namespaces: by their inode, which /proc shows, and the peer of each."""

from collections.abc import Sequence
from dataclasses import replace

from lab.evidence import Resource, ResourceKind, SocketSample
from lab.kernel.sockets.conntrack import Conntrack
from lab.kernel.sockets.peers import PeerLookup
from lab.kernel.sockets.sock_diag import Located, SocketDiag, UnixEntry
from lab.tcp.address import port

UNLISTED = "socket-"
"""The `id` of a socket that is in no list begins so: it is of another kind, or it was made after the list."""
SOCKETS = frozenset({ResourceKind.SOCKET, ResourceKind.LISTENER, ResourceKind.UNIX})


def is_unlisted(resource: Resource) -> bool:
    """Whether it is a socket that was in no list."""
    return resource.kind is ResourceKind.OTHER and str(resource.id).startswith(UNLISTED)


def is_socket(resource: Resource) -> bool:
    """Whether it is a socket of any kind."""
    return resource.kind in SOCKETS or is_unlisted(resource)


class SocketIndex:
    """All TCP and Unix sockets of some network namespaces. It dumps them again if it is asked for an unknown inode.

    Peers are found through the NAT of `conntracks` as well.
    """

    def __init__(self, diags: Sequence[SocketDiag], conntracks: Sequence[Conntrack] = ()) -> None:
        self._diags, self._conntracks = tuple(dict.fromkeys(diags)), conntracks
        self._tcp: dict[int, Located] = {}
        self._peers = PeerLookup(())
        self._unix: dict[int, UnixEntry] = {}
        self._unix_abroad: set[int] = set()
        """Inodes of Unix sockets in other namespaces, known as peers only."""
        self._unaccepted: set[tuple[SocketDiag, int]] = set()
        """The ports, and where, of connections that no program has accepted yet."""
        self._may_refresh = True

    def begin(self) -> None:
        """Allow one more dump, if an inode or a peer is unknown: a thread ran since the last one, and may have made it.

        A socket that is in no dump is of another kind, or not connected yet. Nothing is remembered about it.
        """
        self._may_refresh = True

    def resource(self, inode: int) -> Resource:
        """The socket with this inode, as a resource."""
        if not self._knows(inode):
            if inode in self._unix_abroad:
                return Resource(ResourceKind.UNIX, inode)
            return Resource(ResourceKind.OTHER, f"{UNLISTED}{inode}")
        if inode in self._unix:
            return Resource(ResourceKind.UNIX, inode)
        kind = ResourceKind.LISTENER if self._tcp[inode].entry.listens else ResourceKind.SOCKET
        return Resource(kind, inode)

    def tcp(self, inode: int) -> Located | None:
        return self._tcp.get(inode) if self._knows(inode) else None

    def peer(self, inode: int) -> Located | None:
        """The other end. None if it is not in these namespaces, or if several sockets could be it."""
        found = self._peer(inode)
        if found is None and self._may_refresh and self.tcp(inode):
            self.refresh()
            found = self._peer(inode)
        return found

    def _peer(self, inode: int) -> Located | None:
        own = self.tcp(inode)
        return (self._peers.find(own) or self._peers.beyond_nat(own)) if own else None

    def without_nat(self, sample: SocketSample) -> SocketSample:
        """The sample with the peer's own address as the remote one, whatever NAT made of it."""
        peer = self.peer(sample.inode) if self._conntracks else None
        return replace(sample, remote=peer.entry.local) if peer and peer.entry.local != sample.remote else sample

    def is_being_connected(self, inode: int) -> bool:
        """Whether a request for the listening socket is under way.

        SYN-SENT or SYN-RECEIVED, also with TCP_DEFER_ACCEPT. Or it lies in the queue of another listening socket of the
        same port, which hands it over when that is closed (SO_REUSEPORT, tcp_migrate_req).
        """
        listener = self.tcp(inode)
        if listener is None:
            return False
        number = port(listener.entry.local)
        called = any(number in diag.called_ports() for diag in self._diags)
        return called or number in listener.diag.requested_ports() or (listener.diag, number) in self._unaccepted

    def unix(self, inode: int) -> UnixEntry | None:
        entry = self._unix.get(inode)
        if (entry is None or entry.peer is None) and self._may_refresh:
            self.refresh()
        return self._unix.get(inode)

    def _knows(self, inode: int) -> bool:
        if inode in self._tcp or inode in self._unix:
            return True
        if self._may_refresh:
            self.refresh()
        return inode in self._tcp or inode in self._unix

    def refresh(self) -> None:
        """Dump again: 0.8 ms for a namespace with few sockets, and 5 us for each socket more."""
        self._may_refresh = False
        dumped = [Located(diag, entry) for diag in self._diags for entry in diag.entries()]
        found = [each for each in dumped if each.entry.inode]
        waiting = (each for each in dumped if not each.entry.inode and each.entry.established)
        self._unaccepted = {(each.diag, port(each.entry.local)) for each in waiting}
        self._tcp = {each.entry.inode: each for each in found}
        self._peers = PeerLookup(found, self._conntracks)
        self._unix = {entry.inode: entry for diag in self._diags for entry in diag.unix_entries()}
        self._unix_abroad = {entry.peer for entry in self._unix.values() if entry.peer} - self._unix.keys()
