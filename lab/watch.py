"""Watches connections that already run: the eyes and the judge of an experiment, on processes of anybody. Reads only.

Cheap first: whether any packet came or went, then Recv-Q and Send-Q. Only a connection whose both ends have something
to send, and whose bytes stand still, is looked at closely, with everybody who holds it or could wake a holder.
"""

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lab.errors import BadInputError, EnvironmentLacksError, TestbedError
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
from lab.kernel.place.netns import Namespace
from lab.kernel.processes.descriptor_tables import network_namespaces
from lab.kernel.procfs import has_ended, newest, start_of
from lab.kernel.snapshots import SnapshotTaker, Target
from lab.kernel.sockets.conntrack import Conntrack
from lab.kernel.sockets.counters import Counters
from lab.kernel.sockets.earlier import EarlierSamples
from lab.kernel.sockets.peers import PeerLookup
from lab.kernel.sockets.send_room import max_tcp_header
from lab.kernel.sockets.sock_diag import Located, SocketDiag, TcpEntry
from lab.kernel.sockets.stall_poller import SocketQueries, StallPoller
from lab.proof.judge import judge
from lab.proof.stack.traits import GIVING_UP
from lab.spec import Answer, Limits, Load, Outcome, Pair, Role, Scenario, Spec
from lab.verdict import Verdict

GATE_S = 0.0196
"""From one poll of the queues to the next: 50 a second, for sleep wakes a little later than it is told."""
REFRESH_S = 1.0
"""Between two searches for new connections, and for bytes that moved."""
AGAIN_S = 60.0
"""Where nothing moves, all are judged again after twice as long as the time before, or four times if no pair has
something to send at both ends, and after this long at most: it costs 20 to 100 ms, by the number of processes, where a
poll of ten connections costs 0.1."""
STILL_S = 0.26
"""Times 1.2 no less than a blocked write may go on by itself (kernel/sockets/looks.py)."""
WALK_S = 5.0
"""Between two walks of /proc for namespaces while no thread was made: a running one may still move to a new one."""
FOLLOW_S = 5.0
"""The engine is asked for the chosen containers once a second, for so long after one ended or a namespace came."""
CLOSE = 64
"""Connections that are looked at closely in one go."""
NETNS = Path("/run/netns")

PLANNED_BY_NOBODY = Spec(
    Scenario(
        name="watch",
        summary="a connection of other programs",
        server="",
        client="",
        port=0,
        load=Load(payload=0, send_size=1, recv_size=1, server_block=1, answer=Answer.NOTHING),
        expected=Outcome.MOVING,
    ),
    testbed="watch",
    limits=Limits(still_s=STILL_S),
)


@dataclass(frozen=True, slots=True)
class Containers:
    """Those whose namespaces are watched, whatever namespace each is in after a restart."""

    pids: Mapping[str, int]
    """Of their main processes, by name."""
    find: Callable[[], Mapping[str, int]]
    """The same at any later time, of those that run."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What to watch; nothing means all connections of this host. A connection fits if one of its ends does."""

    pids: tuple[int, ...] = ()
    namespaces: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    containers: Containers | None = None

    @property
    def everything(self) -> bool:
        return not (self.pids or self.namespaces or self.ports or self.containers)


@dataclass(frozen=True, slots=True)
class Connection:
    ends: Pair[Located | None]
    """None: no socket of this host was found to be the other end (another host, or NAT in between)."""
    roles: str
    lacking: str | None = None
    """What might have told of a NAT in between."""

    @property
    def key(self) -> tuple[int, ...]:
        return tuple(end.entry.cookie for end in self.ends if end)


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace that is looked into."""

    namespace: Namespace
    diag: SocketDiag
    counters: Counters
    conntrack: Conntrack
    stack: ExitStack
    """Closes all four."""


class Watch:
    """Finds the connections and judges them. Close it."""

    def __init__(
        self,
        targets: Targets,
        names: Callable[[Iterable[int]], dict[int, str]] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`names` tells the containers of processes; what ends while others are still watched is said by `say`."""
        self._targets, self._names, self._say = targets, names, say
        self._places: dict[object, Place] = {}
        self._settings: dict[SocketDiag, Settings] = {}
        """As they were when the connections were last judged."""
        self._chosen: set[SocketDiag] = set()
        self._judged: dict[tuple[int, ...], Pair[SocketSample | None]] = {}
        """The sockets of each connection as they were judged last."""
        self._listed: dict[SocketDiag, tuple[int, list[TcpEntry]]] = {}
        """The sockets of each namespace, and how many connections it had opened then."""
        self._inodes: set[int] = set()
        self._homes: dict[int, SocketDiag] = {}
        """By the inodes of all sockets."""
        self._pids = {pid: _start(pid) for pid in targets.pids}
        self._inside: dict[str, tuple[int, int | None, SocketDiag]] = {}
        """By the name of a container: its main process, when that started, and whom to ask in its namespace."""
        self._follow_until = 0.0
        self._newest, self._walk_at = "", 0.0
        for text in targets.namespaces:
            self._chosen.add(self._opened(_named(text)).diag)
        self._enter(targets.containers.pids if targets.containers else {})
        self._find_namespaces()

    def close(self) -> None:
        for place in self._places.values():
            place.stack.close()

    def _find_namespaces(self) -> bool:
        """Open those that came, and let go of those that no process is in any more: we would keep them alive.

        Whether one came.
        """
        made, self._newest = self._newest, newest()
        if made == self._newest and time.monotonic() < self._walk_at:
            return False
        self._walk_at = time.monotonic() + WALK_S
        before = set(self._places)
        namespaces, self.unseen = network_namespaces()  # and of how many processes that is not known
        present = set()
        for namespace in namespaces:
            present.add(_identity(namespace))
            try:
                self._opened(namespace)
            except EnvironmentLacksError:  # a user namespace's, which its maker may look at and not enter
                self.unseen += 1
        for identity, place in list(self._places.items()):
            if identity not in present and place.diag not in self._chosen:
                self._places.pop(identity).stack.close()
        return not self._places.keys() <= before

    def _enter(self, pids: Mapping[str, int]) -> None:
        """The namespaces of the containers with these main processes are watched, and no other container's."""
        known, self._inside = self._inside, {}
        for name, pid in pids.items():
            start = start_of(pid)
            if name in known and known[name][:2] == (pid, start):
                self._inside[name] = known[name]
                continue
            with suppress(TestbedError):  # it has ended meanwhile
                self._inside[name] = pid, start, self._opened(Namespace.of(pid)).diag

    def _follow(self, came: bool) -> bool:
        """Ask the engine where a container has ended, or may have started: its namespace comes before its program.

        Whether the chosen namespaces are others now.
        """
        if self._targets.containers is None:
            return False
        before = dict(self._inside)
        ended = [name for name, (pid, start, _) in self._inside.items() if start_of(pid) != start]
        for name in ended:
            self._say(f"the container {name} has ended: watched again when it runs again")
            del self._inside[name]
        now = time.monotonic()
        if ended or came:
            self._follow_until = now + FOLLOW_S
        if now < self._follow_until:
            self._enter(self._targets.containers.find())
        return self._inside != before

    def _opened(self, namespace: Namespace) -> "Place":
        identity = _identity(namespace)
        if identity in self._places:
            namespace.close()
            return self._places[identity]
        with ExitStack() as stack:
            stack.enter_context(namespace)
            diag = stack.enter_context(closing(SocketDiag(namespace)))
            counters = stack.enter_context(closing(Counters(namespace)))
            conntrack = stack.enter_context(closing(Conntrack(namespace)))
            place = Place(namespace, diag, counters, conntrack, stack.pop_all())
        self._places[identity] = place
        return place

    @property
    def _conntracks(self) -> tuple[Conntrack, ...]:
        return tuple(place.conntrack for place in self._places.values())

    @property
    def _diags(self) -> tuple[SocketDiag, ...]:
        return tuple(place.diag for place in self._places.values())

    def connections(self) -> list[Connection]:
        """Those that fit the targets, as they are now."""
        self._listed = {place.diag: (place.counters.opened(), place.diag.entries()) for place in self._places.values()}
        return self._connections()

    def _connections(self) -> list[Connection]:
        """By the last lists of sockets."""
        self._inodes = self._inodes_of_targets()
        ends = [Located(diag, entry) for diag, (_, entries) in self._listed.items() for entry in entries]
        self._homes = {end.entry.inode: end.diag for end in ends if end.entry.inode}
        listening = {(end.diag, _port(end.entry.local)) for end in ends if end.entry.listens}
        peers = PeerLookup(ends, self._conntracks)
        found: dict[frozenset[int], Connection] = {}
        for end in ends:
            if end.entry.listens or not end.entry.inode:
                continue
            peer = peers.find(end) or (peers.beyond_nat(end) if self._fits(end) else None)
            if any(self._fits(each) for each in (end, peer) if each):
                connection = _connection(end, peer, listening)
                found[frozenset(connection.key)] = replace(connection, lacking=peers.lacking)
        return list(found.values())

    def _list_anew(self) -> bool:
        """The sockets of each namespace that has opened a connection since, or in which one has not been accepted yet.

        Whether any connection may have come that fits, or gone with its namespace.
        """
        before, self._listed = self._listed, {}
        for place in self._places.values():
            count, known = place.counters.opened(), before.get(place.diag)
            if known is None or known[0] != count or not all(entry.inode for entry in known[1]):
                known = count, place.diag.entries()
            self._listed[place.diag] = known
        inodes = self._inodes_of_targets()
        others = any(before.get(diag) is not known for diag, known in self._listed.items())
        return others or before.keys() != self._listed.keys() or inodes != self._inodes

    def _inodes_of_targets(self) -> set[int]:
        """Raises TestbedError when the last target has ended."""
        found: set[int] = set()
        for pid, start in list(self._pids.items()):
            try:
                found.update(_sockets_of(pid))
            except (BadInputError, EnvironmentLacksError):
                if not _has_ended(pid, start):
                    raise
            if _has_ended(pid, start):
                del self._pids[pid]
                if not self._pids and replace(self._targets, pids=()).everything:
                    raise TestbedError(f"process {pid} has ended: nothing is left to watch")
                self._say(f"process {pid} has ended")
        return found

    def once(self) -> list[Verdict]:
        """Every connection, judged."""
        return [verdict for _, verdict in self._judge_all(self.connections())]

    def live(self) -> Iterator[list[Verdict]]:
        """Whenever the verdict of a connection changes, those that did; an empty list where all were judged in vain.

        What was proven until an instant is told anew when that has passed.
        """
        told: dict[tuple[int, ...], Verdict] = {}
        wait_s, moved = REFRESH_S, True
        while True:
            connections = self.connections()
            judged = self._judge_all(connections)
            news = {each.key: verdict for each, verdict in judged if _is_news(verdict, told.get(each.key))}
            told = {each.key: news.get(each.key) or told[each.key] for each, _ in judged}
            yield list(news.values())
            calm = not any(map(_may_be_stuck, self._judged.values()))
            wait_s = REFRESH_S if news or moved else min((4 if calm else 2) * wait_s, AGAIN_S)
            moved = self._wait_for_news(connections, min([wait_s, *_left_s(told.values())]))

    def _judge_all(self, connections: list[Connection]) -> list[tuple[Connection, Verdict]]:
        self._settings.clear()
        earlier = EarlierSamples()
        first = self._sampled(connections, earlier)
        time.sleep(STILL_S * 1.2)
        second = self._sampled(connections, earlier)
        self._judged = {each.key: pair for each, pair in zip(connections, second, strict=True)}
        still = [
            i for i, now in enumerate(second) if all(now) and list(map(_motion, first[i])) == list(map(_motion, now))
        ]
        # Those that may be stuck come first, for no more than CLOSE are looked at closely; the rest at rest is idle.
        still = sorted(still, key=lambda index: not _may_be_stuck(second[index]))[:CLOSE]
        calm = not any(_may_be_stuck(second[index]) for index in still)
        close = dict(zip(still, self._looked_at([connections[index] for index in still], earlier, calm), strict=True))
        verdicts = []
        for index, connection in enumerate(connections):
            snapshots = [_snapshot(1, first[index]), _snapshot(2, second[index])]
            if index in close:
                snapshots.append(replace(close[index], number=3))
            if any(snapshots[-1].sockets):  # else it has ended by now
                verdicts.append((connection, judge(self._evidence(connection, tuple(snapshots)))))
        return verdicts

    def _wait_for_news(self, connections: list[Connection], limit_s: float) -> bool:
        """Until a connection came, went or moved since these were judged: then True. At most about so long."""
        judged = [self._judged[each.key] for each in connections]
        counters = {place.diag: place.counters for place in self._places.values()}
        gate = StallPoller(
            [each.ends for each in connections], {i: _queues(pair) for i, pair in enumerate(judged)}, counters
        )
        ends = [end for each in connections for end in each.ends]
        asked = SocketQueries({index: end for index, end in enumerate(ends) if end}, tell_motion=True)
        then = {index: _motion(sample) for index, sample in enumerate(sample for pair in judged for sample in pair)}
        deadline = time.monotonic() + limit_s
        while True:
            if self._stands_anew(gate, min(deadline, time.monotonic() + REFRESH_S)):
                return True
            followed = self._follow(self._find_namespaces())
            if (self._list_anew() or followed) and _sockets(self._connections()) != _sockets(connections):
                return True
            if any(then[index] != now for index, now in asked.motions().items()):
                return True
            if time.monotonic() >= deadline:
                return False

    def _stands_anew(self, gate: StallPoller, deadline: float) -> bool:
        """The first poll tells how long each takes, so that fifty a second are made if half the time is enough."""
        began = time.monotonic()
        stands, now = gate.found_new_stall(), time.monotonic()
        pause_s = max(GATE_S / 2, GATE_S - (now - began))
        for _ in range(round((deadline - began) / (now - began + pause_s))):
            if stands:
                break
            time.sleep(pause_s)
            stands = gate.found_new_stall()
        return stands

    def _settings_of(self, diag: SocketDiag) -> Settings:
        """Any program may have written them since it was last looked."""
        if diag not in self._settings:
            (namespace,) = (place.namespace for place in self._places.values() if place.diag is diag)
            sysctls = sysctl.read(namespace, ("tcp_wmem", *GIVING_UP))
            self._settings[diag] = Settings(sysctls, sysctls, 0)
        return self._settings[diag]

    def _wmem_max(self, inode: int) -> int | None:
        diag = self._homes.get(inode)
        return self._settings_of(diag).wmem_max if diag else None

    def _fits(self, end: Located) -> bool:
        targets = self._targets
        if targets.everything:
            return True
        if end.diag in self._chosen or end.entry.inode in self._inodes:
            return True
        if any(end.diag is diag for _, _, diag in self._inside.values()):
            return True
        return any(_port(address) in targets.ports for address in (end.entry.local, end.entry.remote))

    def _sampled(self, connections: list[Connection], earlier: EarlierSamples) -> list[Pair[SocketSample | None]]:
        """Both sockets of each, by one dump a namespace. `earlier` keeps all."""
        diags = dict.fromkeys(end.diag for each in connections for end in each.ends if end)
        found = {(diag, sample.cookie): earlier.added_to(sample) for diag in diags for sample in diag.samples()}

        def sampled(connection: Connection, role: Role) -> SocketSample | None:
            end = connection.ends[role]
            sample = found.get((end.diag, end.entry.cookie)) if end else None
            other = connection.ends[role.peer]
            return replace(sample, role=role, remote=other.entry.local if other else sample.remote) if sample else None

        return [Pair(sampled(each, Role.CLIENT), sampled(each, Role.SERVER)) for each in connections]

    def _looked_at(self, still: list[Connection], earlier: EarlierSamples, calm: bool) -> list[Snapshot]:
        """One snapshot of all of them and of everybody around, given once for each connection."""
        if not still:
            return []
        pairs = [Pair(*(_target(role, end) for role in Role if (end := each.ends[role]))) for each in still]
        with closing(SnapshotTaker(pairs, self._diags, earlier=earlier, conntracks=self._conntracks)) as taker:
            taken = taker.take_all(fresh=True, calm=calm)
        processes = self._with_containers(taken[0].processes or ())
        stuck = [socket for each in taken if _may_be_stuck(each.sockets) for socket in each.sockets if socket]
        return [
            _around(replace(each, processes=processes), stuck) if _may_be_stuck(each.sockets) else _beside(each)
            for each in taken
        ]

    def _with_containers(self, processes: tuple[ProcessSample, ...]) -> tuple[ProcessSample, ...]:
        named = self._names(process.pid for process in processes) if self._names else {}
        return tuple(replace(process, container=named.get(process.pid)) for process in processes)

    def _evidence(self, connection: Connection, snapshots: tuple[Snapshot, ...]) -> Evidence:
        """What a run would have gathered, less the program's counters and the wire."""
        last = next(each for each in snapshots[-1].sockets if each)
        local, remote = (last.local, last.remote) if last.role is Role.CLIENT else (last.remote, last.local)
        ends = [self._settings_of(end.diag) if end else None for end in connection.ends]
        seen = {each.inode for each in (*snapshots[-1].sockets, *snapshots[-1].others) if each}
        return Evidence(
            spec=PLANNED_BY_NOBODY,
            started_ns=snapshots[0].time_ns,
            seen_ns=time.time_ns(),
            settings=Pair(ends[0], ends[1]),
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
            ours=False,
            roles=connection.roles,
            wmem_max_of={inode: size for inode in seen if (size := self._wmem_max(inode))},
        )


def _target(role: Role, end: Located) -> Target:
    return Target(role, end.diag, end.entry.local, end.entry.remote, end.entry.cookie)


def _connection(end: Located, peer: Located | None, listening: set[tuple[SocketDiag, int]]) -> Connection:
    """The server is the end whose port is listened on; where that tells nothing, the one with the lower port."""
    ours, theirs = _port(end.entry.local), _port(end.entry.remote)
    here = (end.diag, ours) in listening
    there = peer is not None and (peer.diag, theirs) in listening
    seen = here != there
    is_server = here if seen else ours < theirs
    return Connection(Pair(peer, end) if is_server else Pair(end, peer), "seen" if seen else "guessed")


def _missing(connection: Connection) -> tuple[str, ...]:
    if all(connection.ends):
        return ()
    why = f"; {connection.lacking}" if connection.lacking else ""
    return (f"one end only: no socket of this host has the reversed addresses (another host, or NAT in between{why})",)


def _around(taken: Snapshot, stuck: Sequence[SocketSample]) -> Snapshot:
    """All that a proof needs: with the other connections that may be part of the same circle."""
    return replace(taken, others=(*taken.others, *(socket for socket in stuck if socket not in tuple(taken.sockets))))


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
    return replace(_snapshot(0, taken.sockets), threads_before=before, threads_after=after)


def _may_be_stuck(sockets: Pair[SocketSample | None]) -> bool:
    return all(socket is not None and socket.wqueue > 0 for socket in sockets)


def _snapshot(number: int, sockets: Pair[SocketSample | None]) -> Snapshot:
    return Snapshot(number, (), sockets, (), Pair(None, None))


def _queues(sockets: Pair[SocketSample | None]) -> object:
    """As the gate sees them."""
    return tuple((s.rqueue, s.wqueue) for s in sockets if s)


def _motion(sample: SocketSample | None) -> object:
    """As `SocketQueries.motions` tells it."""
    return sample and (sample.inode, sample.app_progress, sample.tcp_progress)


def _sockets(connections: Iterable[Connection]) -> set[frozenset[tuple[SocketDiag, int]]]:
    """Of each, by whom to ask in their namespaces: one that was let go of and is there again has another."""
    return {frozenset((end.diag, end.entry.cookie) for end in each.ends if end) for each in connections}


def _is_news(verdict: Verdict, told: Verdict | None) -> bool:
    if told is None or (verdict.outcome, verdict.grade) != (told.outcome, told.grade):
        return True
    return told.holds_until_ns is not None and told.holds_until_ns <= time.time_ns()


def _left_s(verdicts: Iterable[Verdict]) -> list[float]:
    """Of the time that each proof holds."""
    now_ns = time.time_ns()
    ends = [each.holds_until_ns for each in verdicts if each.holds_until_ns is not None]
    return [max(0.0, (end_ns - now_ns) / 1e9) for end_ns in ends]


def _identity(namespace: Namespace) -> object:
    status = Path("/proc/self/ns/net").stat() if namespace.fd is None else os.fstat(namespace.fd)
    return status.st_dev, status.st_ino


def _named(text: str) -> Namespace:
    """A namespace by its name (`ip netns`) or by a path such as /proc/PID/ns/net."""
    path = Path(text) if "/" in text else NETNS / text
    none = BadInputError(f"no network namespace '{text[:80]}': needs a name of ip netns, or a path")
    try:
        # Not to wait for a writer, should it be a pipe.
        namespace = Namespace(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except (FileNotFoundError, NotADirectoryError):
        raise none from None
    except OSError as error:
        raise EnvironmentLacksError(f"cannot open the namespace {text[:80]} ({error.strerror}): run as root") from None
    if not namespace.is_one:
        namespace.close()
        raise none
    return namespace


def _start(pid: int) -> int | None:
    """When the process started; None where /proc hides it."""
    try:
        os.kill(pid, 0)  # knows those as well that /proc hides (hidepid), and may not be sent anything
    except (ProcessLookupError, OverflowError):
        raise BadInputError(f"no process {pid}") from None
    except PermissionError:
        pass
    return start_of(pid)


def _has_ended(pid: int, start: int | None) -> bool:
    """Also when nobody has waited for it yet, or when its number is another's; not with its first thread alone."""
    if start is None:
        return False
    try:
        return start_of(pid) != start or (has_ended(pid) and len(os.listdir(f"/proc/{pid}/task")) == 1)
    except (FileNotFoundError, ProcessLookupError):
        return True


def _sockets_of(pid: int) -> Iterator[int]:
    """The inodes of a process's sockets."""
    hidden = EnvironmentLacksError(f"the descriptors of process {pid} cannot be read (CAP_SYS_PTRACE): run as root")
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except (PermissionError, FileNotFoundError, ProcessLookupError):
        raise hidden from None
    for descriptor in descriptors:
        try:
            link = os.readlink(f"/proc/{pid}/fd/{descriptor}")
        except PermissionError:  # listed for whoever reads other users' files, and still not to be looked at
            raise hidden from None
        except OSError:
            continue
        if link.startswith("socket:["):
            yield int(link[8:-1])


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
