"""Looks at one pair from its connection on: threads, sockets, counters and frames, and keeps what was seen."""

import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from lab.evidence import UNKNOWN, Connected, Evidence, Progress, Settings, Snapshot, SocketSample, WireFacts
from lab.kernel.capture.ring import Capture
from lab.kernel.place import machine, sysctl
from lab.kernel.procfs import descendants, peak_resident
from lab.kernel.snapshots import SnapshotTaker, Target
from lab.kernel.sockets.send_room import max_tcp_header
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.kernel.sockets.window_share import adv_win_scale_counts
from lab.spec import Pair, Role, Spec
from lab.tcp.frame import Frame, dissect
from lab.testbed import Site
from lab.wire.comments import frame_comments
from lab.wire.witness import WireWitness

SNAPSHOT_NS, REST = 5_000_000, 0.02
"""Between two snapshots of a pair that stands: at least so long, and this part of the time for which it has stood."""
KEEP_NS = 50_000_000
"""A snapshot is kept this long after the one before; the first of a state that lasts is kept always."""


Record = Callable[[str, Sequence[Frame], Mapping[int, str]], None]
"""Where captured frames go, by interface; with the comments, by number, on those that matter."""


class Observer:
    """Watches one pair from its connection on, and holds what was seen; not the frames: of those, what they say."""

    def __init__(
        self,
        spec: Spec,
        site: Site,
        settings: Pair[Settings | None],
        capture: Capture | None,
        record: Record | None = None,
    ) -> None:
        self._spec, self._site, self._settings, self._capture = spec, site, settings, capture
        self._started_ns = time.time_ns()
        self._core = sysctl.read_core()
        self._record = record
        self._wire: WireWitness | None = None
        self._snapshots: list[Snapshot] = []
        self._state_began: Snapshot | None = None
        self._latest: Snapshot | None = None
        self._taken = 0
        self._seen: list[object] = []
        self._counted: Pair[object] = Pair(None, None)
        self._processors = machine.cores()
        self._progress: object = None
        self._moved_ns = self._started_ns
        self._missing: dict[str, None] = {}
        self._resident_growth = UNKNOWN
        self._diag = Pair(*(SocketDiag(site.namespaces[role]) for role in Role))
        self._taker: SnapshotTaker | None = None

    def miss(self, what: str) -> None:
        """Note what cannot be observed."""
        self._missing[what] = None

    def close(self) -> None:
        if self._taker is not None:
            self._taker.close()
        for role in Role:
            self._diag[role].close()

    def take(self) -> Snapshot | None:
        """Read messages and frames, sample both sockets, and take a snapshot if one is due. The latest snapshot.

        None: there is no connection yet. While a program runs, a snapshot is due from time to time; if both need all
        processors, so are the frames. When the pair stands, one is due as soon as two samples of its sockets in a row
        are the same, and then from time to time.
        """
        for role in Role:
            self._site.programs[role].read_messages()
        connected = self._site.programs.client.connected
        if connected is None:
            return None  # what was captured until then is in the ring
        running = self._running()
        if self._capture is not None:
            patient = all(running) and self._processors <= len(Role)
            self._take_frames(self._capture.drain(patient=patient), connected)
        if self._taker is None:
            self._taker = self._taker_of(connected)
        before, self._seen = self._seen, _socket_states(self._taker.sample_sockets())
        if self._latest is not None and not self._is_due(self._latest, before, running=any(running)):
            return self._latest
        snapshot = self._taken_by(self._taker)
        self._keep(snapshot)
        progress = _progress(snapshot)
        if progress != self._progress:
            self._progress, self._moved_ns = progress, snapshot.time_ns
        return snapshot

    def _is_due(self, latest: Snapshot, before: list[object], *, running: bool) -> bool:
        age_ns = time.time_ns() - latest.time_ns
        if running:
            return age_ns >= KEEP_NS
        came_to_rest = self._seen == before != _socket_states(latest.sockets)
        return came_to_rest or age_ns >= max(SNAPSHOT_NS, REST * self.still_s() * 1e9)

    def _running(self) -> Pair[bool]:
        """Which programs have counted a byte since they were asked last: two shared pages are read."""
        progress = (program.progress() for program in self._site.programs)
        before, self._counted = self._counted, Pair(*(each and (each.sent, each.received) for each in progress))
        return Pair(*(self._counted[role] != before[role] for role in Role))

    def _taker_of(self, connected: Connected) -> SnapshotTaker:
        """The holders of both ends are known: the two programs, and all that they fork."""
        roots = {role: self._site.programs[role].host_pid for role in Role}
        pair = Pair(
            Target(Role.CLIENT, self._diag.client, connected.local, connected.remote),
            Target(Role.SERVER, self._diag.server, connected.remote, connected.local),
        )
        return SnapshotTaker([pair], roots=roots)

    def _taken_by(self, taker: SnapshotTaker) -> Snapshot:
        snapshot = taker.take()
        progress: Pair[Progress | None] = Pair(*(self._site.programs[role].progress() for role in Role))
        for role in Role:
            if progress[role] is None:
                self.miss(f"the {role}'s progress counters: its page holds what cannot be")
        self._taken += 1
        return replace(snapshot, number=self._taken, progress=progress)

    def _keep(self, snapshot: Snapshot) -> None:
        """Keep the first snapshot of every state that lasts, and one now and then of what changes all the time."""
        first, self._latest = self._state_began, snapshot
        if first is None or _state(first) != _state(snapshot):
            self._state_began = snapshot
        else:
            _add(self._snapshots, first)
        if not self._snapshots or snapshot.time_ns - self._snapshots[-1].time_ns >= KEEP_NS:
            self._snapshots.append(snapshot)

    def keep(self) -> None:
        """Keep the latest snapshot, whatever comes: it is the first that proves something."""
        _add(self._snapshots, self._latest)

    def _take_frames(self, frames: list[Frame], connected: Connected) -> None:
        """Fold what they say, and hand them on: there may be millions."""
        if self._wire is None:
            self._wire = WireWitness(Pair(connected.local, connected.remote))
        elif not frames:
            return
        for segment in filter(None, map(dissect, frames)):
            self._wire.feed(segment)
        if self._record is not None and self._capture is not None:
            comments = frame_comments(self._wire.facts(), frames[0].number) if frames else {}
            self._record(self._capture.interface, frames, comments)

    def _facts(self) -> WireFacts:
        return self._wire.facts() if self._wire else WireFacts()

    def probed(self) -> bool:
        """Whether the wire has shown a probe of each side since the pair froze, or is not looked at."""
        return self._capture is None or all(self._facts().probes_since_still)

    def given_up(self) -> bool:
        """Whether a program has ended its part and the connection still stands, so that the other may stay in it."""
        ended = any(program.ended for program in self._site.programs)
        return ended and self._latest is not None and all(self._latest.sockets)

    def still_s(self) -> float:
        """For how long the state has been the same but for probes."""
        if self._latest is None:
            return 0.0
        return (self._latest.time_ns - self._moved_ns) / 1e9

    def may_be_stuck(self) -> bool:
        """Whether a proof is worth a try: both ends have something to send, and neither program ran just now."""
        latest = self._latest
        if latest is None or not all(socket and socket.wqueue for socket in latest.sockets):
            return False
        return all(thread.state == "S" for thread in latest.threads_after)

    def evidence(self, *, brief: bool = False) -> Evidence:
        """All so far; `brief` leaves out the wire and all but the latest snapshot, which is what a proof needs."""
        programs = self._site.programs
        snapshots = [] if brief else self._snapshots.copy()
        _add(snapshots, self._latest)
        return Evidence(
            spec=self._spec,
            started_ns=self._started_ns,
            seen_ns=time.time_ns(),
            settings=self._settings,
            core=self._core,
            connected=Pair(programs.client.connected, programs.server.connected),
            ended=Pair(programs.client.ended, programs.server.ended),
            snapshots=tuple(snapshots),
            wire=WireFacts() if brief else self._facts(),
            capture=self._capture.count() if self._capture else None,
            resident_growth=self._resident_growth,
            logs=Pair(*(programs[role].log().decode(errors="replace") for role in Role)),
            missing=tuple(self._missing),
            release=platform.release(),
            max_tcp_header=max_tcp_header(),
            adv_win_scale_counts=self._scale_counts(),
            core_before=dict(self._site.core_before),
        )

    def _scale_counts(self) -> bool | None:
        """Asked only where the judge needs it: where the kernel does not tell the windows."""
        latest = self._latest.sockets if self._latest else ()
        return adv_win_scale_counts() if any(each and each.rcv_wnd is None for each in latest) else None

    def settle(self) -> None:
        """Let the last frames come in, and ask how much memory the programs took."""
        connected = self._site.programs.client.connected
        if self._capture is not None and connected is not None:
            for frames in self._capture.settle():
                self._take_frames(frames, connected)
        self._resident_growth = Pair(*(self._grown(role) for role in Role))

    def _grown(self, role: Role) -> int | None:
        program = self._site.programs[role]
        peak = program.ended.peak if program.ended else _peak(program.host_pid)
        before = program.connected.resident if program.connected else None
        return None if peak is None or before is None else max(0, peak - before)


def _peak(host_pid: int) -> int | None:
    """Of the program that the host has forked."""
    return max(filter(None, map(peak_resident, descendants(host_pid)[1:])), default=None)


def _add(snapshots: list[Snapshot], one: Snapshot | None) -> None:
    """One that is not yet there."""
    if one is not None and (not snapshots or one.number > snapshots[-1].number):
        snapshots.append(one)


def _state(snapshot: Snapshot) -> object:
    """What must be the same for two snapshots to show the same state."""
    threads = [(t.tid, t.syscall, t.switches) for t in snapshot.threads_after]
    progress = [p and (p.sent, p.received, p.stamp_ns) for p in snapshot.progress]
    return _socket_states(snapshot.sockets), threads, progress


def _socket_states(sockets: Iterable[SocketSample | None]) -> list[object]:
    return [socket and socket.state_key for socket in sockets]


def _progress(snapshot: Snapshot) -> object:
    """What changes when a byte moves, in a program or in TCP, or when an end is closed."""
    sockets = [s and (s.state, s.app_progress, s.tcp_progress) for s in snapshot.sockets]
    return sockets, [p and (p.sent, p.received) for p in snapshot.progress]
