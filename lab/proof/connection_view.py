"""The evidence of one connection, as every rule of the verdict needs it: the last snapshot, stillness, the proof."""

from collections.abc import Callable, Iterable
from functools import cached_property
from itertools import pairwise

from lab.evidence import Evidence, Resource, Settings, Snapshot, SocketSample, ThreadSample
from lab.proof.deadlock import Analysis, Knot, analyse
from lab.proof.one_end import peer_probes
from lab.proof.stack.traits import KernelTraits, drops_beyond_window, gives_up, headers
from lab.reason import Reason, Why, because
from lab.spec import Pair, Role
from lab.verdict import PeerProbes

FUTILE_RUNS = 3
"""Context switches of one thread, while no byte moves, that make it one which runs in vain."""

STILL_S = 0.26
"""Seconds for which a connection of other programs has to stand. Times 1.2 this is no less than a blocked write may be
tried again by itself (`stack.history`)."""


class ConnectionView:
    """One connection. Times in nanoseconds since the epoch."""

    def __init__(self, evidence: Evidence, beside: "ConnectionView | None" = None) -> None:
        """`beside` is another connection of the same last snapshot: what that shows is not worked out twice."""
        self.evidence, self._beside = evidence, beside
        ends = evidence.connected.client
        self.ends = Pair(ends.local, ends.remote) if ends else None
        self.wire = evidence.wire
        self.last: Snapshot | None = evidence.snapshots[-1] if evidence.snapshots else None
        self.seal_ns = seal(evidence)
        settled_ns = _unchanged_since(evidence.snapshots, lambda socket: socket.tcp_progress)
        self.still_since_ns = max((each for each in (self.seal_ns, settled_ns) if each is not None), default=None)

    @property
    def still(self) -> bool:
        """Whether nothing has moved, in a program or in TCP, for as long as the spec asks; for STILL_S without one."""
        if self.still_since_ns is None or self.last is None:
            return False
        spec = self.evidence.spec
        return self.last.time_ns - self.still_since_ns >= (spec.limits.still_s if spec else STILL_S) * 1e9

    @property
    def captured(self) -> bool:
        return self.evidence.capture is not None and self.evidence.capture.dropped == 0

    @cached_property
    def analysis(self) -> Analysis | None:
        """None where there is nothing to analyse: no thread was looked at, for not both ends have something to send."""
        if self.last is None or not (self.last.threads_after or all(s and s.wqueue for s in self.last.sockets)):
            return None
        if self._beside and self._beside.analysis:
            return self._beside.analysis.seen_from(self.last)
        return self._analysed(self.last)

    @cached_property
    def knot(self) -> Knot | None:
        """The proof, if the last snapshot holds one."""
        return self._knot(self.last, self.analysis) if self.last and self.analysis else None

    def proved_ns(self) -> int | None:
        """When the knot was first there: the first of the latest snapshots that all show one."""
        since = None
        for snapshot in reversed(self.evidence.snapshots):
            analysis = self.analysis if snapshot is self.last else self._analysed(snapshot)
            if analysis is None or self._knot(snapshot, analysis) is None:
                break
            since = snapshot.time_ns
        return since

    def socket(self, role: Role) -> SocketSample | None:
        return self.last.sockets[role] if self.last else None

    @property
    def one_end(self) -> SocketSample | None:
        """The only socket that is seen, where one is not."""
        seen = [each for each in self.last.sockets if each] if self.last else []
        return seen[0] if len(seen) == 1 else None

    @cached_property
    def peer_probes(self) -> PeerProbes | None:
        """What the only end that is seen was sent unasked; None where both are seen."""
        last = self.one_end
        if last is None:
            return None
        sockets = (socket for each in self.evidence.snapshots for socket in each.sockets if socket)
        return peer_probes([each for each in sockets if each.cookie == last.cookie])

    def not_its_own(self) -> tuple[Reason, ...]:
        """The sockets that their programs name and do not hold: each is some other connection's.

        Only in the lab's own runs: there the programs themselves hold the sockets. A socket without an inode has no
        holder any more.
        """
        if self.last is None or self.last.processes is None or not self.evidence.spec:
            return ()
        if any(process.resources is None for process in self.last.processes):
            return ()
        found = []
        for role in Role:
            socket, own = self.socket(role), {t.pid for t in self.last.threads_after if t.role is role}
            if socket is None or not socket.inode:
                continue
            resource = Resource.socket(socket.inode)
            holders = {process.pid for process in self.last.processes if resource in (process.resources or ())}
            if not holders or (own and not own & holders):
                found.append(because(Why.NOT_ITS_SOCKET, role, socket.local))
        return tuple(found)

    def threads(self, role: Role) -> tuple[ThreadSample, ...]:
        """The threads that did not run while the sockets were read, so that all was seen at one instant."""
        return tuple(each for each in self._calm if each.role is role)

    @cached_property
    def _calm(self) -> tuple[ThreadSample, ...]:
        if self.last is None:
            return ()
        before = {(t.pid, t.tid): t.switches for t in self.last.threads_before}
        return tuple(
            t
            for t in self.last.threads_after
            if t.role is not None and t.switches is not None and before.get((t.pid, t.tid)) == t.switches
        )

    def blocked_in(self, role: Role, syscalls: frozenset[str]) -> bool | None:
        """Whether a thread of this program is inside such a call on this very connection."""
        socket = self.socket(role)
        readable = [t for t in self.threads(role) if t.syscall is not None]
        if socket is None or not readable:
            return None
        return any(t.syscall in syscalls and t.socket_inode == socket.inode for t in readable)

    def is_spinning(self) -> bool:
        """Whether a thread was scheduled FUTILE_RUNS times, or was runnable in every sample, while no byte moved.

        Only the later half of the standstill counts: a thread that is about to block still runs (in 13 of 787 freezes
        often enough to be taken for a spinning one). A snapshot may show other connections and their programs, too.
        """
        if self.last is None or self.still_since_ns is None:
            return False
        since_ns = (self.still_since_ns + self.last.time_ns) // 2
        still = [each for each in self.evidence.snapshots if each.time_ns >= since_ns]
        samples = [threads for each in still for threads in (each.threads_before, each.threads_after) if threads]
        awake = [{(t.pid, t.tid) for t in threads if t.state == "R" and self._holds_an_end(t)} for threads in samples]
        if awake and set.intersection(*awake):
            return True
        first = {(t.pid, t.tid): t.switches for t in still[0].threads_before} if still else {}
        for thread in self.last.threads_after:
            earlier = first.get((thread.pid, thread.tid))
            often = earlier and thread.switches and thread.switches - earlier >= FUTILE_RUNS
            if often and self._holds_an_end(thread):
                return True
        return False

    def _holds_an_end(self, thread: ThreadSample) -> bool:
        """Whether its process holds one of the two sockets; also if nobody has looked."""
        return not self._holders or thread.pid in self._holders

    @cached_property
    def _holders(self) -> frozenset[int]:
        processes = (self.last.processes or ()) if self.last else ()
        ends = {Resource.socket(socket.inode) for role in Role if (socket := self.socket(role))}
        return frozenset(each.pid for each in processes if ends & set(each.resources or ()))

    def blocked_by_zero_window(self, role: Role) -> bool | None:
        """Whether this side's socket holds data that a zero window keeps back."""
        socket = self.socket(role)
        if socket is None or socket.snd_wnd is None:
            return None
        return socket.wqueue > 0 and socket.snd_wnd == 0

    def nothing_to_send(self, role: Role) -> bool | None:
        socket = self.socket(role)
        return None if socket is None else socket.wqueue == 0

    def reopenings(self) -> tuple[int, int]:
        """How often each side's closed window opened again: on the wire, or by the samples without a capture."""
        if self.captured:
            return self.wire.reopened.client, self.wire.reopened.server
        counts = []
        for role in Role:
            samples = (each.sockets[role] for each in self.evidence.snapshots)
            windows = [sample.snd_wnd for sample in samples if sample and sample.snd_wnd is not None]
            counts.append(sum(not old and new > 0 for old, new in pairwise(windows)))
        return counts[1], counts[0]  # a side's window is what its peer may send

    def _analysed(self, snapshot: Snapshot) -> Analysis:
        return analyse(snapshot, snapshot.time_ns, self._kernel)

    @cached_property
    def _kernel(self) -> KernelTraits:
        """tcp_wmem[2] of each end, and the larger where both are known; and what this kernel does."""
        evidence = self.evidence
        most = [size for each in evidence.settings if each and (size := each.wmem_max)]
        largest = max(most) if len(most) == len(Role) else None
        every = (*evidence.settings, *evidence.settings_of.values())
        return KernelTraits(
            wmem_max=None if evidence.settings_of else largest,
            wmem_max_of=self._of_sockets(lambda settings: settings.wmem_max or None),
            rmem_max_of=self._of_sockets(lambda settings: settings.rmem_max),
            adv_win_scale_of=self._of_sockets(lambda each: each.adv_win_scale) if evidence.adv_win_scale_counts else {},
            max_tcp_headers=headers(evidence.max_tcp_header),
            drops_beyond_window=drops_beyond_window(evidence.release),
            notsent_lowat_of=self._of_sockets(lambda settings: settings.notsent_lowat),
            sndbuf_set=self._sndbuf_set(),
            rcvbuf_settled=self._rcvbuf_settled(),
            gives_up=None in every or gives_up(*(each.sysctls for each in every if each)),
        )

    def _of_sockets(self, fact: Callable[[Settings], int | None]) -> dict[int, int]:
        """A setting of each socket's own namespace, by the inode, where it is known."""
        ends = {socket.inode: self.evidence.settings[role] for role in Role if (socket := self.socket(role))}
        known = (ends | self.evidence.settings_of).items()
        return {inode: value for inode, each in known if each and (value := fact(each)) is not None}

    def _sndbuf_set(self) -> frozenset[int]:
        """The lab's own programs set SO_SNDBUF as the spec says, before they connect."""
        own = self.evidence.spec.options if self.evidence.spec else None
        sockets = [self.socket(role) for role in Role if own and own[role].so_sndbuf]
        return frozenset(socket.inode for socket in sockets if socket)

    def _rcvbuf_settled(self) -> frozenset[int]:
        """The lab's own programs set SO_RCVBUF before they connect, or never."""
        sockets = [self.socket(role) for role in Role if self.evidence.spec]
        return frozenset(socket.inode for socket in sockets if socket)

    def _knot(self, snapshot: Snapshot, analysis: Analysis) -> Knot | None:
        client, server = snapshot.sockets
        return analysis.knot(client.inode, server.inode) if client and server else None


def seal(evidence: Evidence) -> int | None:
    """The instant of the last byte accepted by either program: the later of the last progress stamp of either and the
    last observed change of a sequence (written or read) in either socket. None before there is a connection."""
    if not evidence.snapshots:
        return None
    stamps = [p.stamp_ns for p in evidence.snapshots[-1].progress if p and p.stamp_ns]
    changed = _unchanged_since(evidence.snapshots, lambda socket: socket.app_progress)
    return max([*stamps, *([changed] if changed else [])], default=None)


def _unchanged_since(snapshots: Iterable[Snapshot], fact: Callable[[SocketSample], tuple[int, int]]) -> int | None:
    """When the present value of `fact` was first seen in both sockets."""
    present, since = None, None
    for snapshot in reversed(tuple(snapshots)):
        value = tuple(fact(socket) if socket else None for socket in snapshot.sockets)
        if present is None:
            present = value
        if value != present:
            break
        since = snapshot.time_ns
    return since
