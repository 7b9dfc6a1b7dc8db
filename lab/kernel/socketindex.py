"""Finds sockets across network namespaces: by inode, which descriptors tell, and by the addresses of the other end."""

from collections.abc import Sequence
from dataclasses import dataclass

from lab.kernel.sockdiag import SocketDiag, TcpEntry, UnixEntry


@dataclass(frozen=True, slots=True)
class Located:
    """A TCP socket, and whom to ask about it."""

    diag: SocketDiag
    entry: TcpEntry


class SocketIndex:
    """All TCP and Unix sockets of some network namespaces, dumped anew when an inode is asked for that is not known."""

    def __init__(self, diags: Sequence[SocketDiag]) -> None:
        self._diags = tuple(dict.fromkeys(diags))
        self._tcp: dict[int, Located] = {}
        self._by_addresses: dict[tuple[str, str], list[Located]] = {}
        self._unix: dict[int, UnixEntry] = {}
        self._unix_abroad: set[int] = set()
        """Peers of Unix sockets that live in a namespace which is not looked at."""
        self._may_refresh = True

    def begin(self) -> None:
        """Somebody ran since the last dump: one more may be made, for an inode or a peer that is not known yet.

        A socket that no dump has is of another kind, or not connected yet; nothing is remembered of it.
        """
        self._may_refresh = True

    def resource(self, inode: int) -> str:
        """The text of `Item.resource` for a socket's inode."""
        if not self._knows(inode):
            if inode in self._unix_abroad:
                return f"unix:{inode}"
            return f"other:socket-{inode}"
        if inode in self._unix:
            return f"unix:{inode}"
        return f"listener:{inode}" if self._tcp[inode].entry.listens else f"socket:{inode}"

    def tcp(self, inode: int) -> Located | None:
        return self._tcp.get(inode) if self._knows(inode) else None

    def peer(self, inode: int) -> Located | None:
        """The other end. None if it is not in these namespaces, or if several sockets have its addresses."""
        own = self.tcp(inode)
        if own is None:
            return None
        addresses = own.entry.remote, own.entry.local
        if addresses not in self._by_addresses and self._may_refresh:
            self.refresh()
        found = self._by_addresses.get(addresses, [])
        found = [each for each in found if each.diag is own.diag] or found
        return found[0] if len(found) == 1 else None

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
        """Dump again: about 0.8 ms a namespace with few sockets, 5 us a socket more."""
        self._may_refresh = False
        found = [Located(diag, entry) for diag in self._diags for entry in diag.entries() if entry.inode]
        self._tcp = {each.entry.inode: each for each in found}
        self._by_addresses = {}
        for each in found:
            self._by_addresses.setdefault((each.entry.local, each.entry.remote), []).append(each)
        self._unix = {entry.inode: entry for diag in self._diags for entry in diag.unix_entries()}
        self._unix_abroad = {entry.peer for entry in self._unix.values() if entry.peer} - self._unix.keys()
