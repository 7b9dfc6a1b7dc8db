"""One side of the connection in the last snapshot: its socket, and what its program waits for."""

from dataclasses import dataclass

from lab.evidence import Connected, Ended, Evidence, SocketSample, ThreadSample
from lab.proof.account import last_with_both
from lab.spec import Pair, Role
from lab.syscalls import RECEIVES, SENDS


@dataclass(frozen=True, slots=True)
class ShownSide:
    role: Role
    socket: SocketSample | None
    threads: tuple[ThreadSample, ...]
    connected: Connected | None
    ended: Ended | None

    @property
    def sends(self) -> bool:
        """Whether a thread is inside a send on the connection."""
        return any(thread.syscall in SENDS and self.on_connection(thread) for thread in self.threads)

    @property
    def receives(self) -> bool:
        return any(thread.syscall in RECEIVES and self.on_connection(thread) for thread in self.threads)

    @property
    def foremost(self) -> ThreadSample | None:
        """The thread that is in a call on the connection, else the first thread."""
        return next(filter(self.on_connection, self.threads), next(iter(self.threads), None))

    def on_connection(self, thread: ThreadSample) -> bool:
        return self.socket is not None and thread.socket_inode == self.socket.inode


def sides(evidence: Evidence) -> Pair[ShownSide]:
    """Of the last snapshot with both sockets, which the account is taken from too; else of the last snapshot."""
    last = last_with_both(evidence) or (evidence.snapshots[-1] if evidence.snapshots else None)
    found = []
    for role in Role:
        threads = tuple(thread for thread in last.threads_after if thread.role is role) if last else ()
        socket = last.sockets[role] if last else None
        found.append(ShownSide(role, socket, threads, evidence.connected[role], evidence.ended[role]))
    return Pair(found[0], found[1])
