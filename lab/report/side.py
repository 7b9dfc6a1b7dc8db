"""One side of the connection in the last snapshot, for people: its socket, and what its program waits for."""

from dataclasses import dataclass

from lab.evidence import Connected, Ended, Evidence, SocketSample, ThreadSample
from lab.proof.account import last_with_both
from lab.spec import Pair, Role
from lab.syscalls import RECEIVES, SENDS


@dataclass(frozen=True, slots=True)
class Side:
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
        """The thread that is inside a call on the connection; else the first."""
        return next(filter(self.on_connection, self.threads), next(iter(self.threads), None))

    def on_connection(self, thread: ThreadSample) -> bool:
        return self.socket is not None and thread.socket_inode == self.socket.inode


def sides(evidence: Evidence) -> Pair[Side]:
    """Of the last snapshot with both sockets, which is the one that the account is drawn from; else of the last."""
    snapshot = last_with_both(evidence) or (evidence.snapshots[-1] if evidence.snapshots else None)
    found = []
    for role in Role:
        threads = tuple(thread for thread in snapshot.threads_after if thread.role is role) if snapshot else ()
        socket = snapshot.sockets[role] if snapshot else None
        found.append(Side(role, socket, threads, evidence.connected[role], evidence.ended[role]))
    return Pair(found[0], found[1])
