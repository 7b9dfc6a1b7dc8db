"""The witness for one connection of a capture: folds its segments into facts, for `lab.wire.stalls` to judge.

Constant memory a connection. After a RST nothing is folded but bits and counts: the state is judged as it was before.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.spec import Pair, Role
from lab.tcp.marks import Mark
from lab.tcp.segment import ControlBits, Segment
from lab.tcp.seq import forward
from lab.wire.witness import PROBES, Kind, Moment, WireFacts, WireWitness

COPY_NS = 50_000_000
"""A probe that repeats within this is the same one, captured on two interfaces: no timer is faster than 190 ms."""

PROBES_KEPT = 16

FIN, SYN, RST, ACK = (int(bit) for bit in (ControlBits.FIN, ControlBits.SYN, ControlBits.RST, ControlBits.ACK))


@dataclass(frozen=True, slots=True)
class Facts:
    """Of every connection; enough for those whose windows never closed. `bits` are all that a side has sent."""

    ends: Pair[str]
    roles_seen: bool
    frames: int
    first_frame: int
    last_ns: int
    payload_ns: int | None
    """When a segment last carried payload or a FIN."""
    bits: Pair[int]
    stall: "Stall | None" = None
    """None: no window of it ever closed."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Of a connection whose window closed. Times in nanoseconds."""

    wire: WireFacts
    since: Moment | None
    """The last progress before the end or the RST; None: all of the capture is within the stall."""
    probes: Pair[tuple[int, ...]]
    """When each side has probed since then, the latest PROBES_KEPT."""
    unacknowledged: Pair[bool]
    """Whether it has sent data into the closed window since then, which a keep-alive never does."""
    answers: Pair[int]
    """Segments since then that were no probes."""
    silent_probes: Pair[int]
    """Probes of each side since its peer was heard last."""
    recovered_ns: int
    """The longest time without progress, a window being closed, after which it went on."""
    mutual: tuple[Moment, Moment] | None
    """The longest such time with both windows closed."""
    reset: tuple[Role, Moment, bool] | None
    """Who reset it, when, and whether that was a bare RST: from a host that no longer has the socket."""
    marks: Mapping[str, Pair[int]]


@dataclass(slots=True)
class _Side:
    bits: int = 0
    probes: deque[int] = field(default_factory=lambda: deque(maxlen=PROBES_KEPT))
    unacknowledged: bool = False
    answers: int = 0
    silent_probes: int = 0
    early: tuple[int, int] | None = None
    """Acknowledgment that would make its first segment a probe, and when that was: the peer had not been heard yet."""
    marks: Counter[Mark] = field(default_factory=Counter)


class PacketWitness:
    """Folds the segments of one connection, in captured order, into facts. Constant memory."""

    def __init__(self) -> None:
        self._wire = WireWitness(analysis=True)
        self._sides: dict[str, _Side] = {}
        self._frames = 0
        self._first: Moment | None = None
        self._last_ns = 0
        self._payload_ns: int | None = None
        self._since: Moment | None = None
        self._recovered_ns = 0
        self._mutual: tuple[Moment, Moment] | None = None
        self._stood = False
        """Whether there is anything to forget on progress."""
        self._reset: tuple[str, Moment, bool] | None = None

    def restarts(self, segment: Segment) -> bool:
        """Whether the segment begins another connection between the same ports."""
        connection = self._wire.connection
        return connection is not None and connection.restarts(segment)

    def feed(self, segment: Segment) -> None:
        bits, moment = int(segment.bits), Moment(segment.frame, segment.time_ns)
        self._sides = self._sides or {segment.source: _Side(), segment.destination: _Side()}
        sender, peer = self._sides[segment.source], self._sides[segment.destination]
        sender.bits |= bits
        self._frames += 1
        self._first = self._first or moment
        self._last_ns = segment.time_ns
        if segment.length or bits & FIN:
            self._payload_ns = segment.time_ns
        if self._reset is not None:
            return
        marks = self._wire.feed(segment)
        if marks is None:
            return
        sender.marks[marks.analysis] += 1
        if bits & RST:
            self._reset = (segment.source, moment, not bits & ACK)
        elif marks.moved:
            self._move(moment, segment.destination, reopened=marks.reopened)
        else:
            self._stand(segment, sender, peer, marks.kind)

    def _move(self, moment: Moment, peer: str, *, reopened: bool) -> None:
        since = self._since or self._first
        if reopened and since is not None:
            self._recovered_ns = max(self._recovered_ns, moment.time_ns - since.time_ns)
            mutual = self._wire.connection is not None and self._wire.connection.sides[peer].closed
            longest = self._mutual[1].time_ns - self._mutual[0].time_ns if self._mutual else -1
            if mutual and moment.time_ns - since.time_ns > longest:
                self._mutual = (since, moment)
        self._since = moment
        if self._stood:
            self._stood = False
            for side in self._sides.values():
                side.probes.clear()
                side.unacknowledged, side.answers, side.silent_probes = False, 0, 0

    def _stand(self, segment: Segment, sender: _Side, peer: _Side, kind: Kind | None) -> None:
        self._stood = True
        peer.silent_probes = 0
        self._look_back(segment, sender, peer)
        if kind not in PROBES:
            sender.answers += 1
        elif not sender.probes or segment.time_ns - sender.probes[-1] >= COPY_NS:
            sender.probes.append(segment.time_ns)
            sender.silent_probes += 1
            sender.unacknowledged |= kind is not Kind.PROBE

    def _look_back(self, segment: Segment, sender: _Side, peer: _Side) -> None:
        """A capture that begins with a probe: only the answer tells that it was one."""
        if not peer.bits and not segment.length:
            sender.early = (forward(segment.seq, 1), segment.time_ns)
        if peer.early is not None:
            if segment.wnd == 0 and segment.ack == peer.early[0]:
                peer.probes.append(peer.early[1])
                peer.answers -= 1
            peer.early = None

    def facts(self) -> Facts:
        wire = self._wire.facts()
        one, other = self._sides
        ends = wire.ends or Pair(one, other)
        sides = Pair(self._sides[ends.client], self._sides[ends.server])
        assert self._first is not None
        closed_ever = any(wire.zero_windows)
        return Facts(
            ends=ends,
            roles_seen=wire.roles_seen,
            frames=self._frames,
            first_frame=self._first.frame,
            last_ns=self._last_ns,
            payload_ns=self._payload_ns,
            bits=Pair(sides.client.bits, sides.server.bits),
            stall=self._stall(wire, ends, sides) if closed_ever else None,
        )

    def _stall(self, wire: WireFacts, ends: Pair[str], sides: Pair[_Side]) -> Stall:
        counted = Pair(_by_name(sides.client.marks), _by_name(sides.server.marks))
        reset = self._reset
        return Stall(
            wire=wire,
            since=self._since,
            probes=Pair(tuple(sides.client.probes), tuple(sides.server.probes)),
            unacknowledged=Pair(sides.client.unacknowledged, sides.server.unacknowledged),
            answers=Pair(sides.client.answers, sides.server.answers),
            silent_probes=Pair(sides.client.silent_probes, sides.server.silent_probes),
            recovered_ns=self._recovered_ns,
            mutual=self._mutual,
            reset=(Role.CLIENT if reset[0] == ends.client else Role.SERVER, reset[1], reset[2]) if reset else None,
            marks={
                name: Pair(counted.client[name], counted.server[name])
                for name in sorted(counted.client | counted.server)
            },
        )


def _by_name(marks: Counter[Mark]) -> Counter[str]:
    named: Counter[str] = Counter()
    for mark, count in marks.items():
        for name in mark.names:
            named[name] += count
    return named
