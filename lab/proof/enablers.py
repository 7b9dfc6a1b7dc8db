"""Who could end a wait: for every item that a thread waits for, the two stacks, and the threads that hold the resource.

A holder of which something is not known is represented by an unseen thread, which is live.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address

from lab.evidence import Item, ProcessSample, Resource, ResourceKind, Snapshot, SocketSample, Wants
from lab.proof.stack import could_read, could_receive_data, could_signal_writable, could_write
from lab.proof.stack.history import History, history_of
from lab.proof.stack.in_flight import are_one_connection
from lab.proof.stack.ruling import Argument, Possible, Ruling, end_of, unknown, yes
from lab.proof.stack.send_buffer import LEAST_OVERHEAD
from lab.proof.stack.traits import KernelTraits
from lab.proof.threads import Thread, unseen
from lab.reason import Reason, Why
from lab.syscalls import POLLS

LARGEST_OPTIONS = 40
"""Bytes: TCP's options, of which tcpi_snd_mss leaves out those of the moment."""

ICMP_ERRORS = frozenset({"IP_RECVERR", "IPV6_RECVERR"})
"""Options by which an ICMP error of any router is an error of the socket (ip(7))."""

ONLY_A_THREAD = Ruling(Possible.NO, Reason(Why.ONLY_A_THREAD))


@dataclass(frozen=True, slots=True)
class WaitCondition:
    """One item of one thread's wait, and all that could end the wait by it."""

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
        """Whether it certainly waits for room.

        Edge-triggered programs (Go, tokio, nginx) leave EPOLLOUT armed forever: alone it says nothing.
        """
        if self.item.wants is not Wants.WRITE:
            return False
        return self.stacks.argument is not Argument.NOTHING_QUEUED if self.tcp else not self.item.edge

    @property
    def starves(self) -> bool:
        """Whether it waits for data that its peer cannot deliver, since no acknowledgment reaches the peer."""
        return self.tcp and self.item.wants is Wants.READ and self.stacks.argument is Argument.ACK_STARVATION


class Holdings:
    """What the processes of one snapshot hold, and who is at the other end."""

    def __init__(self, snapshot: Snapshot, threads: Iterable[Thread], kernel: KernelTraits) -> None:
        self._kernel = kernel
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
                requests = Thread(0, process.pid, f"io_uring of {process.name}", live=Reason(Why.IN_NO_CALL))
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
            nobody = unseen(f"a holder of {resource}", Why.NO_HOLDER_SEEN)
            self._held[resource] = found or (nobody,)
        return self._held[resource]

    def threads(self, pid: int) -> tuple[Thread, ...]:
        """All of a process; an unseen one where none was sampled, or where requests lie in an io_uring."""
        if pid not in self._threads:
            self._threads[pid] = (unseen(f"process {pid}", Why.THREADS_NOT_SEEN),)
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
            return WaitCondition(item, ONLY_A_THREAD, (), (), newcomer=True)
        if kind is ResourceKind.PROCESS:
            holders = _others(self.threads(item.resource.number), thread)
            return WaitCondition(item, ONLY_A_THREAD, holders, holders)
        if kind in (ResourceKind.PIPE, ResourceKind.EVENTFD):
            holders = _others((*self.holders(item.resource), *self._unseen_end(item)), thread)
            return WaitCondition(item, ONLY_A_THREAD, _others((*holders, *self.threads(thread.pid)), thread), holders)
        if kind is ResourceKind.UNIX:
            return self._on_unix(thread, item)
        if kind is ResourceKind.TIMERFD:
            # Its time is the deadline of the wait; somebody may set it anew.
            return WaitCondition(item, ONLY_A_THREAD, _others(self.threads(thread.pid), thread), ())
        return WaitCondition(item, yes(Why.UNKNOWN_WAKER, str(item.resource)), (), ())

    def _unseen_end(self, item: Item) -> tuple[Thread, ...]:
        """Who has the other end of a pipe if no process has it: the kernel (autofs, core_pattern)."""
        if item.resource.kind is not ResourceKind.PIPE:
            return ()
        holders = [self.processes[pid] for pid in self._pids.get(item.resource, ())]
        ends = [each.write_ends if item.wants is Wants.READ else each.read_ends for each in holders]
        if any(end is None or item.resource in end for end in ends):
            return ()
        return (unseen(f"the other end of {item.resource}", Why.NO_HOLDER_SEEN),)

    def _on_unix(self, thread: Thread, item: Item) -> WaitCondition:
        other = self._peers.get(item.resource)
        if other is None:
            return WaitCondition(item, unknown(Why.NO_UNIX_PEER, str(item.resource)), (), ())
        holders = _others(self.holders(other), thread)
        same = (*holders, *self.threads(thread.pid), *self.holders(item.resource))
        return WaitCondition(item, ONLY_A_THREAD, _others(same, thread), holders)

    def _on_socket(self, thread: Thread, item: Item, inode: int) -> WaitCondition:
        socket = self.sockets.get(inode)
        if socket is None:
            return WaitCondition(item, unknown(Why.NO_RECORD, str(item.resource)), (), ())
        peer = self.peer(socket)
        if peer is None:
            return WaitCondition(item, unknown(Why.PEER_NOT_FOUND, end_of(socket), socket.remote), (), ())
        holders = _others(self.holders(Resource.socket(peer.inode)), thread)
        same = (*holders, *self.threads(thread.pid), *self.holders(item.resource))
        stacks = self._limited(thread, item, socket) or self._stacks(thread, item, socket, peer)
        if stacks.excluded and not are_one_connection(socket, peer):
            stacks = unknown(Why.NOT_ONE_CONNECTION, end_of(socket), peer.local)
        return WaitCondition(item, stacks, _others(same, thread), holders, frozenset((inode, peer.inode)))

    def _limited(self, thread: Thread, item: Item, socket: SocketSample) -> Ruling | None:
        """The socket's own time limit for a blocked call.

        If it could not be read, nothing is proven: such limits are common, and reading them takes no more privilege
        than reading the system call.
        """
        wait = thread.wait
        if wait is None or wait.call in POLLS:
            return None
        writes = item.wants is Wants.WRITE
        name = "SO_SNDTIMEO" if writes else "SO_RCVTIMEO"
        limit_ns = socket.send_timeout_ns if writes else socket.receive_timeout_ns
        if limit_ns is None:
            return unknown(Why.NO_TIME_LIMIT_READ, name, end_of(socket))
        if limit_ns and wait.deadline_ns is None:
            return yes(Why.SOCKET_TIME_LIMIT, wait.call, name, limit_ns / 1e9)
        return None

    def _stacks(self, thread: Thread, item: Item, socket: SocketSample, peer: SocketSample) -> Ruling:
        polls = thread.wait is None or thread.wait.call in POLLS
        if ended := _ended_by_icmp(socket):
            return ended
        if polls and (woken := _woken_by_errors(socket)):
            return woken
        if item.wants is not Wants.WRITE:
            return (could_receive_data if item.edge else could_read)(socket, peer, self._kernel)
        found = (could_signal_writable if item.edge else could_write)(socket, peer, self._kernel)
        if not found.excluded or found.argument is Argument.NOTHING_QUEUED or found.queue_full:
            return found
        if self.may_retry(thread.pid):
            return yes(Why.TAKEN_AFTER_A_SIGNAL, socket.wmem_queued, socket.sndbuf)
        if polls:
            return found
        return _woken_by_errors(socket) or self._retried(thread, socket, found)

    def _retried(self, thread: Thread, socket: SocketSample, found: Ruling) -> Ruling:
        """A blocked write into a buffer with room: whether it may be tried again by itself."""
        history = history_of(socket)
        if history is None:
            return unknown(Why.NO_HISTORY, end_of(socket))
        if history.may_retry and not _is_small(thread.size, socket, history):
            return yes(Why.MAY_RETRY, end_of(socket))
        return replace(found, premises=(*found.premises, "write-retry"))


def _woken_by_errors(socket: SocketSample) -> Ruling | None:
    """What comes to a socket's error queue wakes every thread that sleeps on it (sock_queue_err_skb())."""
    return yes(Why.ERROR_QUEUE, end_of(socket), socket.error_queue) if socket.error_queue else None


def _ended_by_icmp(socket: SocketSample) -> Ruling | None:
    """An ICMP error ends every call on a socket that asks for such errors: tcp_v4_err() sets sk_err."""
    if socket.error_queue is None:
        return unknown(Why.NO_ERROR_QUEUE, end_of(socket))
    asked = ICMP_ERRORS.intersection(socket.error_queue.split(", "))
    return yes(Why.ENDED_BY_ICMP, end_of(socket), ", ".join(sorted(asked))) if asked else None


def _is_small(size: int | None, socket: SocketSample, history: History) -> bool:
    """Whether a blocked write fits into one packet. It adds no second one before it sleeps, so its push merges nothing.

    A packet takes at least one MSS, and at most what the device takes or half of the largest window, whichever is less
    (tcp_xmit_size_goal()). What the device takes is at least the average size of the queued packets. All of these only
    grow, so what the first sample has shown holds for a write that has begun since.
    """
    packets = max(1, (socket.wmem_queued - socket.wqueue) // LEAST_OVERHEAD)
    goal = min(history.first_window // 2, socket.wqueue // packets) - socket.snd_mss
    return size is not None and size <= min(history.written, max(goal, history.least_mss - LARGEST_OPTIONS))


def sockets_of(snapshot: Snapshot) -> dict[int, SocketSample]:
    """By inode; a socket without one belongs to no program."""
    return {socket.inode: socket for socket in (*snapshot.others, *snapshot.sockets) if socket and socket.inode}


def _others(threads: Iterable[Thread], thread: Thread) -> tuple[Thread, ...]:
    """Without repetition, and without the one that waits."""
    return tuple(each for each in dict.fromkeys(threads) if each != thread)


def _plain(address: str) -> str:
    """Java and busybox nc use IPv6 sockets with mapped addresses, whose peer may be an IPv4 one."""
    host, _, port = address.rpartition(":")
    parsed = ip_address(host.strip("[]").partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return f"{mapped or parsed}:{port}"
