"""Who could end a wait: for every item that a thread waits for, the two stacks, and the threads that hold the resource.

Whatever is not known of a holder stands as an unseen one, and is live.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address

from lab.evidence import (
    Item,
    Looks,
    ProcessSample,
    Resource,
    ResourceKind,
    Snapshot,
    SocketSample,
    Wants,
)
from lab.proof.send_buffer import KernelTraits
from lab.proof.threads import Thread, unseen
from lab.proof.writable import (
    LEAST_OVERHEAD,
    Possible,
    Rule,
    Ruling,
    are_one_connection,
    could_read,
    could_receive_data,
    could_signal_writable,
    could_write,
)

POLLS = frozenset({"poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2"})
"""Calls that SO_SNDTIMEO and SO_RCVTIMEO do not limit."""

LARGEST_OPTIONS = 40
"""Bytes: TCP's options, of which tcpi_snd_mss leaves out those of the moment."""

NOBODY = Ruling(Possible.NO, "only a thread can")


@dataclass(frozen=True, slots=True)
class WaitCondition:
    """One item of one thread's wait, and all that could bring it."""

    item: Item
    stacks: Ruling
    enablers: tuple[Thread, ...]
    """Any of them, if it ran, might end the wait."""
    holders: tuple[Thread, ...]
    """Those of the enablers that hold what is waited for: the peer's end, the other end of a pipe."""
    connection: frozenset[int] = frozenset()
    """The inodes of both ends, if it is a TCP connection."""
    newcomer: bool = False
    """A new connection from outside would end it."""

    @property
    def tcp(self) -> bool:
        return bool(self.connection)

    @property
    def writes(self) -> bool:
        """Whether it surely is a wait for room.

        Edge-triggered programs (Go, tokio, nginx) leave OUT armed for ever: it tells nothing unless the queue is full.
        """
        if self.item.wants is not Wants.WRITE:
            return False
        return self.stacks.rule is not Rule.EMPTY if self.tcp else not self.item.edge

    @property
    def starves(self) -> bool:
        """Whether it is a wait for data that the peer has sent in vain, since no acknowledgment reaches it."""
        return self.tcp and self.item.wants is Wants.READ and self.stacks.rule is Rule.ACK_STARVED

    @property
    def words(self) -> str:
        return _WORDS[self.item.wants]


_WORDS = {
    Wants.WRITE: "room to write",
    Wants.READ: "data to read",
    Wants.ACCEPT: "a new connection",
    Wants.WAKE: "a wake-up",
    Wants.END: "the end of a child",
}


class Holdings:
    """What the processes of one snapshot hold, and who is at the other end."""

    def __init__(self, snapshot: Snapshot, threads: Iterable[Thread], stack: KernelTraits) -> None:
        self._stack = stack
        self._peers = snapshot.peers
        self.processes: dict[int, ProcessSample] = {process.pid: process for process in snapshot.processes or ()}
        self.sockets = sockets_of(snapshot)
        self._by_ends: dict[tuple[str, str], list[SocketSample]] = {}
        for socket in self.sockets.values():
            self._by_ends.setdefault((_plain(socket.local), _plain(socket.remote)), []).append(socket)
        self._pids: dict[Resource, set[int]] = {}
        for process in self.processes.values():
            for resource in process.resources or ():
                self._pids.setdefault(resource, set()).add(process.pid)
        self._threads: dict[int, tuple[Thread, ...]] = {}
        for thread in threads:
            self._threads[thread.pid] = (*self._threads.get(thread.pid, ()), thread)
        for process in self.processes.values():
            if process.io_uring:
                requests = Thread(0, process.pid, f"io_uring of {_named(process)}", live="it is in no system call")
                self._threads[process.pid] = (*self.threads(process.pid), requests)
        self._held: dict[Resource, tuple[Thread, ...]] = {}

    def conditions(self, thread: Thread) -> tuple[WaitCondition, ...]:
        """One for each different item of its wait."""
        if thread.wait is None or thread.housekeeping:
            return ()
        return tuple(self._need(thread, item) for item in dict.fromkeys(thread.wait.items))

    def holders(self, resource: Resource) -> tuple[Thread, ...]:
        """Every thread of every process that holds it; an unseen one if nobody seen does."""
        if resource not in self._held:
            found = tuple(thread for pid in sorted(self._pids.get(resource, ())) for thread in self.threads(pid))
            nobody = unseen(f"a holder of {resource}", "no process that was looked at holds it")
            self._held[resource] = found or (nobody,)
        return self._held[resource]

    def threads(self, pid: int) -> tuple[Thread, ...]:
        """All of a process; an unseen one where none was sampled, or where requests lie in an io_uring."""
        if pid not in self._threads:
            self._threads[pid] = (unseen(f"process {pid}", "its threads were not seen"),)
        return self._threads[pid]

    def peer(self, socket: SocketSample) -> SocketSample | None:
        """The other end; None unless exactly one socket bears the reversed addresses."""
        found = self._by_ends.get((_plain(socket.remote), _plain(socket.local)), [])
        return found[0] if len(found) == 1 and found[0].inode != socket.inode else None

    def reaped(self, pid: int) -> tuple[int, ...]:
        """The children of a process whose end a signal tells it."""
        process = self.processes.get(pid)
        return process.reaps if process else ()

    def may_retry(self, pid: int) -> bool:
        """Whether a signal of its own may wake its threads, so that they try again what they wait for."""
        process = self.processes.get(pid)
        if process is None or process.hidden:
            return True
        return process.catches_alarm is not False or process.posix_timers != 0

    def _need(self, thread: Thread, item: Item) -> WaitCondition:
        kind = item.resource.kind
        if kind is ResourceKind.SOCKET:
            return self._on_socket(thread, item, item.resource.number)
        if item.wants is Wants.ACCEPT or kind is ResourceKind.LISTENER:
            return WaitCondition(item, NOBODY, (), (), newcomer=True)
        if kind is ResourceKind.PROCESS:
            holders = _others(self.threads(item.resource.number), thread)
            return WaitCondition(item, NOBODY, holders, holders)
        if kind in (ResourceKind.PIPE, ResourceKind.EVENTFD):
            holders = _others(self.holders(item.resource), thread)
            return WaitCondition(item, NOBODY, _others((*holders, *self.threads(thread.pid)), thread), holders)
        if kind is ResourceKind.UNIX:
            return self._on_unix(thread, item)
        if kind is ResourceKind.TIMERFD:
            # Its time is the deadline of the wait; somebody may set it anew.
            return WaitCondition(item, NOBODY, _others(self.threads(thread.pid), thread), ())
        return WaitCondition(item, Ruling(Possible.YES, f"{item.resource}: nobody knows who wakes it"), (), ())

    def _on_unix(self, thread: Thread, item: Item) -> WaitCondition:
        other = self._peers.get(item.resource)
        if other is None:
            return WaitCondition(
                item, Ruling(Possible.UNKNOWN, f"the other end of {item.resource} (unix_diag)"), (), ()
            )
        holders = _others(self.holders(other), thread)
        same = (*holders, *self.threads(thread.pid), *self.holders(item.resource))
        return WaitCondition(item, NOBODY, _others(same, thread), holders)

    def _on_socket(self, thread: Thread, item: Item, inode: int) -> WaitCondition:
        socket = self.sockets.get(inode)
        if socket is None:
            return WaitCondition(item, Ruling(Possible.UNKNOWN, f"the record of {item.resource} (inet_diag)"), (), ())
        peer = self.peer(socket)
        if peer is None:
            why = f"the peer of {socket.local} (socket:{inode}): {socket.remote} was not found on this host"
            return WaitCondition(item, Ruling(Possible.UNKNOWN, why), (), ())
        holders = _others(self.holders(Resource.socket(peer.inode)), thread)
        same = (*holders, *self.threads(thread.pid), *self.holders(item.resource))
        stacks = self._limited(thread, item, socket) or self._stacks(thread, item, socket, peer)
        if stacks.possible is Possible.NO and not are_one_connection(socket, peer):
            why = f"the peer of {socket.local} (socket:{inode}): the counters of {peer.local} do not fit its own"
            stacks = Ruling(Possible.UNKNOWN, why)
        return WaitCondition(item, stacks, _others(same, thread), holders, frozenset((inode, peer.inode)))

    def _limited(self, thread: Thread, item: Item, socket: SocketSample) -> Ruling | None:
        """A blocked call may have a time limit that is the socket's own.

        One that could not be read is no mere qualifier: such limits are ordinary, and whoever may not read them may
        not read the system call either.
        """
        wait = thread.wait
        if wait is None or wait.call in POLLS:
            return None
        writes = item.wants is Wants.WRITE
        name = "SO_SNDTIMEO" if writes else "SO_RCVTIMEO"
        limit_ns = socket.send_timeout_ns if writes else socket.receive_timeout_ns
        if limit_ns is None:
            return Ruling(Possible.UNKNOWN, f"{name} of {socket.local} (socket:{socket.inode})")
        if limit_ns and wait.deadline_ns is None:
            return Ruling(Possible.YES, f"{wait.call} ends by itself: {name} is {limit_ns / 1e9:g} s")
        return None

    def _stacks(self, thread: Thread, item: Item, socket: SocketSample, peer: SocketSample) -> Ruling:
        if item.wants is not Wants.WRITE:
            return (could_receive_data if item.edge else could_read)(socket, peer, self._stack)
        found = (could_signal_writable if item.edge else could_write)(socket, peer, self._stack)
        if found.possible is not Possible.NO or found.rule is Rule.EMPTY or found.queue_full:
            return found
        end = f"{socket.local} (socket:{socket.inode})"
        if self.may_retry(thread.pid):
            why = f"after a signal its write would be taken: {socket.wmem_queued} of {socket.sndbuf} bytes are queued"
            return replace(found, possible=Possible.YES, why=why)
        if thread.wait is None or thread.wait.call in POLLS:
            return found
        if socket.looks is None:
            return Ruling(
                Possible.UNKNOWN, f"whether {end} was full when its writer went to sleep: earlier samples of it"
            )
        if socket.looks.may_retry and not _is_small(thread.size, socket, socket.looks):
            return replace(
                found, possible=Possible.YES, why=f"{end} has room, and its writer may try again by itself for 0.2 s"
            )
        return found


def _is_small(size: int | None, socket: SocketSample, looks: Looks) -> bool:
    """A write that fits one packet adds none before it sleeps, so that its own push finds nothing more to merge.

    A packet takes one MSS at least, and else as much as the device takes, but half the largest window at most
    (tcp_xmit_size_goal()). What the device takes is no less than what the queued packets have on the average.
    All of it grows, so what the first sample has shown holds for a write that has begun since.
    """
    packets = max(1, (socket.wmem_queued - socket.wqueue) // LEAST_OVERHEAD)
    goal = min(looks.window // 2, socket.wqueue // packets) - socket.snd_mss
    return size is not None and size <= min(looks.written, max(goal, looks.mss - LARGEST_OPTIONS))


def sockets_of(snapshot: Snapshot) -> dict[int, SocketSample]:
    """By inode; a socket without one belongs to no program."""
    return {socket.inode: socket for socket in (*snapshot.others, *snapshot.sockets) if socket and socket.inode}


def _named(process: ProcessSample) -> str:
    return f"{process.pid} {process.comm}"


def _others(threads: Iterable[Thread], thread: Thread) -> tuple[Thread, ...]:
    """Without repetition, and without the one that waits."""
    return tuple(each for each in dict.fromkeys(threads) if each != thread)


def _plain(address: str) -> str:
    """Java and busybox nc use IPv6 sockets with mapped addresses, whose peer may be an IPv4 one."""
    host, _, port = address.rpartition(":")
    parsed = ip_address(host.strip("[]").partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return f"{mapped or parsed}:{port}"


def listed(conditions: Iterable[WaitCondition]) -> Iterator[str]:
    """What a wait is for, in words."""
    for condition in conditions:
        yield f"{condition.words} ({condition.item.resource})"
