"""From two samples of every socket and one consistent snapshot of those that stand to the evidence that is judged.

The samples are cheap: one dump a namespace. A snapshot costs more: it describes every process that holds a connection
or could wake a holder. It is taken only of connections whose bytes did not move in between.
"""

import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeAlias

from lab.evidence import (
    Connected,
    Evidence,
    ProcessSample,
    Resource,
    Settings,
    Snapshot,
    SocketSample,
    ThreadSample,
    WireFacts,
)
from lab.kernel.place import sysctl
from lab.kernel.snapshots import SnapshotTaker, Target
from lab.kernel.sockets.earlier import EarlierSamples
from lab.kernel.sockets.send_room import max_tcp_header
from lab.kernel.sockets.sock_diag import Located, Motion, SocketDiag
from lab.kernel.sockets.window_share import adv_win_scale_counts
from lab.proof.connection_view import STILL_S
from lab.proof.stack.traits import GIVING_UP
from lab.spec import Pair, Role
from lab.watching.connections import WatchedConnection
from lab.watching.lone_ends import LoneEnds
from lab.watching.namespaces import Namespaces

SYSCTLS = ("tcp_rmem", "tcp_wmem", "tcp_adv_win_scale", "tcp_notsent_lowat", *GIVING_UP)
MAX_STUCK, MAX_AT_REST = 2048, 64
"""Connections in one snapshot: those that may be stuck, and others."""

BothSamples: TypeAlias = Pair[SocketSample | None]
"""The two sockets of a connection; None: there is no such socket any more, or not on this host."""


@dataclass(frozen=True, slots=True)
class TwiceSampled:
    """A connection, and its sockets at the beginning and at the end of the time that the judge calls stillness."""

    connection: WatchedConnection
    first: BothSamples
    second: BothSamples

    @property
    def stands(self) -> bool:
        """Whether both sockets are there and no byte moved."""
        return all(self.second) and motions_of(self.first) == motions_of(self.second)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What one round has gathered of one connection."""

    connection: WatchedConnection
    sockets: BothSamples
    """The second samples."""
    evidence: Evidence | None
    """None: the connection ended meanwhile."""


class NamespaceSettings:
    """The sysctls of each namespace as they are now, read once each: any program may write them later."""

    def __init__(self, namespaces: Namespaces, homes: Mapping[int, SocketDiag]) -> None:
        self._namespaces = {each.diag: each.namespace for each in namespaces}
        self._homes = homes
        self._read: dict[SocketDiag, Settings] = {}

    def of(self, end: Located | None) -> Settings | None:
        return self._settings(end.diag) if end else None

    def of_each(self, inodes: Iterable[int]) -> dict[int, Settings | None]:
        """Of each of these sockets; None: nobody has said in which namespace it is."""
        return {inode: self._settings(self._homes[inode]) if inode in self._homes else None for inode in inodes}

    def _settings(self, diag: SocketDiag) -> Settings:
        if diag not in self._read:
            sysctls = sysctl.read(self._namespaces[diag], SYSCTLS)
            self._read[diag] = Settings(sysctls, sysctls, 0)
        return self._read[diag]


class EvidenceGatherer:
    """Gathers the evidence of many connections in one round."""

    def __init__(
        self, namespaces: Namespaces, container_names: Callable[[Iterable[int]], dict[int, str]] | None = None
    ) -> None:
        """`container_names` finds the containers of processes, by pid."""
        self._namespaces, self._container_names = namespaces, container_names
        self._lone_ends = LoneEnds()

    def gather(
        self, connections: Sequence[WatchedConnection], homes: Mapping[int, SocketDiag], patience_s: float = 0.0
    ) -> list[Gathered]:
        """`homes` says whom to ask about a socket, by its inode. `patience_s`: how long to wait for a probe of a peer
        elsewhere, where that would decide."""
        earlier = EarlierSamples()
        settings = NamespaceSettings(self._namespaces, homes)
        first = samples_of(connections, earlier)
        time.sleep(STILL_S * 1.2)
        second = samples_of(connections, earlier)
        sampled = [TwiceSampled(*each) for each in zip(connections, first, second, strict=True)]
        chosen = standing(sampled)
        snapshots = self._snapshots([sampled[index] for index in chosen], earlier)
        third = dict(zip(chosen, snapshots, strict=True))
        self._lone_ends.follow(sampled, patience_s)
        return [
            _gathered(each, self._lone_ends.before(each), third.get(index), settings)
            for index, each in enumerate(sampled)
        ]

    def _snapshots(self, chosen: Sequence[TwiceSampled], earlier: EarlierSamples) -> list[Snapshot]:
        """One consistent snapshot of all of them, and of it for each what bears on it."""
        if not chosen:
            return []
        pairs = [Pair(*(_target(role, end) for role in Role if (end := each.connection.ends[role]))) for each in chosen]
        calm = not any(may_be_stuck(each.second) for each in chosen)
        diags, conntracks = self._namespaces.diags, self._namespaces.conntracks
        with closing(SnapshotTaker(pairs, diags, earlier=earlier, conntracks=conntracks)) as taker:
            taken = taker.take_all(fresh=True, calm=calm)
        processes = self._with_containers(taken[0].processes or ())
        return parts([replace(each, processes=processes) for each in taken])

    def _with_containers(self, processes: tuple[ProcessSample, ...]) -> tuple[ProcessSample, ...]:
        if self._container_names is None:
            return processes
        names = self._container_names(process.pid for process in processes)
        return tuple(replace(process, container=names.get(process.pid)) for process in processes)


def samples_of(connections: Sequence[WatchedConnection], earlier: EarlierSamples) -> list[BothSamples]:
    """Both sockets of each, by one dump a namespace. All are kept as `earlier` samples."""
    diags = dict.fromkeys(end.diag for each in connections for end in each.ends if end)
    found = {(diag, sample.cookie): earlier.added_to(sample) for diag in diags for sample in diag.samples()}

    def sampled(connection: WatchedConnection, role: Role) -> SocketSample | None:
        end, peer = connection.ends[role], connection.ends[role.peer]
        sample = found.get((end.diag, end.entry.cookie)) if end else None
        return sample and replace(sample, role=role, remote=peer.entry.local if peer else sample.remote)

    return [Pair(sampled(each, Role.CLIENT), sampled(each, Role.SERVER)) for each in connections]


def standing(sampled: Sequence[TwiceSampled]) -> list[int]:
    """The indexes of those that stand: at most MAX_STUCK that may be stuck, then MAX_AT_REST of the others."""
    found = [index for index, each in enumerate(sampled) if each.stands]
    stuck = [index for index in found if may_be_stuck(sampled[index].second)]
    rest = [index for index in found if not may_be_stuck(sampled[index].second)]
    return [*stuck[:MAX_STUCK], *rest[:MAX_AT_REST]]


def may_be_stuck(sockets: BothSamples) -> bool:
    """Whether both ends are seen, and one has something to send: in a ring of three each connection has one."""
    return all(sockets) and any(socket is not None and socket.wqueue > 0 for socket in sockets)


def motions_of(sockets: BothSamples) -> list[Motion | None]:
    """As `SocketQueries.motions` would answer: a byte that moves changes it, and so does a program that closes."""
    return [(each.inode, each.app_progress, each.tcp_progress) if each else None for each in sockets]


def parts(taken: Sequence[Snapshot]) -> list[Snapshot]:
    """Of each connection in a snapshot of several what bears on it: much less where nothing can be stuck."""
    stuck = [socket for each in taken if may_be_stuck(each.sockets) for socket in each.sockets if socket]
    return [_around(each, stuck) if may_be_stuck(each.sockets) else _beside(each) for each in taken]


def _around(taken: Snapshot, stuck: Sequence[SocketSample]) -> Snapshot:
    """All that a proof needs: with the other connections that may be part of the same cycle."""
    role_of: dict[int | None, Role | None] = {socket.inode: socket.role for socket in taken.sockets if socket}
    others = (*taken.others, *(socket for socket in stuck if socket.inode not in role_of))
    before, after = (_with_roles(each, role_of) for each in (taken.threads_before, taken.threads_after))
    return replace(taken, number=3, others=others, threads_before=before, threads_after=after)


def _with_roles(threads: Iterable[ThreadSample], role_of: Mapping[int | None, Role | None]) -> tuple[ThreadSample, ...]:
    """Whoever is in a call on this connection has the role that it has there: it may hold an end of another, too."""
    return tuple(replace(t, role=role_of[t.socket_inode]) if t.socket_inode in role_of else t for t in threads)


def _beside(taken: Snapshot) -> Snapshot:
    """What tells kinds of rest apart: the threads that are in a call on this pair, or that hold it and are stopped."""
    role_of = {socket.inode: socket.role for socket in taken.sockets if socket}
    holders = {
        process.pid: role
        for process in taken.processes or ()
        for inode, role in role_of.items()
        if Resource.socket(inode) in (process.resources or ())
    }

    def concerned(threads: Iterable[ThreadSample]) -> tuple[ThreadSample, ...]:
        in_a_call = [replace(t, role=role_of[t.socket_inode]) for t in threads if t.socket_inode in role_of]
        stopped = [replace(t, role=holders[t.pid]) for t in threads if t.suspended and t.pid in holders]
        return (*in_a_call, *(t for t in stopped if t not in in_a_call))

    before, after = concerned(taken.threads_before), concerned(taken.threads_after)
    return replace(_snapshot(3, taken.sockets), threads_before=before, threads_after=after)


def _target(role: Role, end: Located) -> Target:
    return Target(role, end.diag, end.entry.local, end.entry.remote, end.entry.cookie, end.entry.interface)


def _snapshot(number: int, sockets: BothSamples) -> Snapshot:
    return Snapshot(number, (), sockets, (), Pair(None, None))


def _gathered(
    sampled: TwiceSampled, lone: Sequence[SocketSample], third: Snapshot | None, settings: NamespaceSettings
) -> Gathered:
    if lone:
        snapshots = tuple(_snapshot(index, _alone(each)) for index, each in enumerate(lone, 1))
    else:
        snapshots = (_snapshot(1, sampled.first), _snapshot(2, sampled.second), *([third] if third else []))
    last = next(filter(None, snapshots[-1].sockets), None)
    evidence = _evidence(sampled.connection, snapshots, last, settings) if last else None
    return Gathered(sampled.connection, sampled.second, evidence)


def _evidence(
    connection: WatchedConnection, snapshots: tuple[Snapshot, ...], last: SocketSample, settings: NamespaceSettings
) -> Evidence:
    """What a run would have gathered, less the programs' counters and the wire. `last` is a socket as seen last."""
    local, remote = (last.local, last.remote) if last.role is Role.CLIENT else (last.remote, last.local)
    sockets = [each for each in (*snapshots[-1].sockets, *snapshots[-1].others) if each]
    inodes = {each.inode for each in sockets}
    unseen_window = any(each.rcv_wnd is None for each in sockets)
    return Evidence(
        spec=None,
        started_ns=snapshots[0].time_ns,
        seen_ns=time.time_ns(),
        settings=Pair(settings.of(connection.ends.client), settings.of(connection.ends.server)),
        core={},
        connected=Pair(Connected(Role.CLIENT, local, remote, last.rcvbuf, last.sndbuf), None),
        ended=Pair(None, None),
        snapshots=snapshots,
        wire=WireFacts(),
        capture=None,
        logs=Pair("", ""),
        missing=_missing(connection),
        release=platform.release(),
        max_tcp_header=max_tcp_header(),
        roles=connection.roles,
        settings_of=settings.of_each(inodes),
        adv_win_scale_counts=adv_win_scale_counts() if unseen_window else None,
    )


def _alone(sample: SocketSample) -> BothSamples:
    return Pair(sample, None) if sample.role is Role.CLIENT else Pair(None, sample)


def _missing(connection: WatchedConnection) -> tuple[str, ...]:
    if all(connection.ends):
        return ()
    why = f"; {connection.lacking}" if connection.lacking else ""
    return (f"one end only: no socket of this host has the reversed addresses (another host, or NAT in between{why})",)
