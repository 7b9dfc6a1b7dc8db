"""The witness of one connection in a capture file: folds its segments into facts for `lab.wire.judge`.

Memory is constant. After a RST only control bits and frames are counted: the connection is judged as it stood before.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.evidence import Moment, WireFacts
from lab.spec import Pair, Role
from lab.tcp.connection import PROBES, ProbeKind
from lab.tcp.marks import Mark
from lab.tcp.segment import ACK, FIN, RST, Segment
from lab.tcp.seq import forward
from lab.wire.witness import WireWitness, moment

COPY_NS = 50_000_000
"""A probe that repeats within this is one probe captured on two interfaces: no timer is faster than 190 ms."""

MAX_PROBES = 16
"""Probes of a side whose times are kept, the latest."""


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """Of every connection; enough for those whose windows never closed."""

    ends: Pair[str]
    roles_seen: bool
    frames: int
    first_frame: int
    last_ns: int
    payload_ns: int | None
    """When a segment last carried payload or a FIN."""
    bits: Pair[int]
    """All control bits that a side has sent."""
    stall: "StallFacts | None" = None
    """None: no window ever closed."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The first RST."""

    role: Role
    moment: Moment
    bare: bool
    """Without ACK: from a host that no longer has the socket."""


@dataclass(frozen=True, slots=True)
class StallFacts:
    """Of a connection whose window closed. The stall is the time since the last progress."""

    wire: WireFacts
    since: Moment | None
    """The last progress before the RST or the end of the capture. None: the whole capture is within the stall."""
    probes: Pair[tuple[int, ...]]
    """When each side has probed during the stall, in nanoseconds, the latest MAX_PROBES."""
    sent_data: Pair[bool]
    """Whether a side sent data into the closed window during the stall, which a keep-alive never does."""
    answers: Pair[int]
    """Segments of each side during the stall that were no probes."""
    silent_probes: Pair[int]
    """Probes of each side since the last segment of its peer."""
    recovered_ns: int
    """The longest time without progress, with a window closed, after which the connection moved again."""
    longest_mutual: tuple[Moment, Moment] | None
    """The longest such time with both windows closed: its beginning and its end."""
    reset: Reset | None
    marks: Mapping[str, Pair[int]]
    """How many segments of each side carry which of Wireshark's marks."""


@dataclass(slots=True)
class _SideStall:
    """What is kept of one side: of the present stall, and of the whole connection (`bits`, `marks`)."""

    bits: int = 0
    probes: deque[int] = field(default_factory=lambda: deque(maxlen=MAX_PROBES))
    sent_data: bool = False
    answers: int = 0
    silent_probes: int = 0
    unanswered_first: tuple[int, int] | None = None
    """Its first segment, if its peer has sent none: the acknowledgment that would make it a probe, and its time."""
    marks: Counter[Mark] = field(default_factory=Counter)

    def forget_stall(self) -> None:
        self.probes.clear()
        self.sent_data, self.answers, self.silent_probes = False, 0, 0


class PacketWitness:
    """Takes the segments of one connection, in captured order."""

    def __init__(self) -> None:
        self._wire = WireWitness(marks=True)
        self._sides: dict[str, _SideStall] = {}
        self._frames = 0
        self._first: Moment | None = None
        self._last_ns = 0
        self._payload_ns: int | None = None
        self._since: Moment | None = None
        self._recovered_ns = 0
        self._longest_mutual: tuple[Moment, Moment] | None = None
        self._still = False
        """Whether a segment without progress came: then progress has something to forget."""
        self._reset: tuple[str, Moment, bool] | None = None

    def restarts(self, segment: Segment) -> bool:
        """Whether the segment begins another connection between the same ports."""
        connection = self._wire.connection
        return connection is not None and connection.restarts(segment)

    def feed(self, segment: Segment) -> None:
        bits, now = int(segment.bits), moment(segment)
        self._sides = self._sides or {segment.source: _SideStall(), segment.destination: _SideStall()}
        sender, peer = self._sides[segment.source], self._sides[segment.destination]
        sender.bits |= bits
        self._frames += 1
        self._first = self._first or now
        self._last_ns = segment.time_ns
        if segment.length or bits & FIN:
            self._payload_ns = segment.time_ns
        if self._reset is not None:
            return
        said = self._wire.feed(segment)
        if said is None:
            return
        sender.marks[said.marks] += 1
        if bits & RST:
            self._reset = (segment.source, now, not bits & ACK)
        elif said.moved:
            self._note_progress(now, segment.destination, reopened=said.reopened)
        else:
            self._note_standstill(segment, sender, peer, said.probe)

    def facts(self) -> ConnectionFacts:
        wire = self._wire.facts()
        one, other = self._sides
        ends = wire.ends or Pair(one, other)
        sides = Pair(self._sides[ends.client], self._sides[ends.server])
        assert self._first is not None
        return ConnectionFacts(
            ends=ends,
            roles_seen=wire.roles_seen,
            frames=self._frames,
            first_frame=self._first.frame,
            last_ns=self._last_ns,
            payload_ns=self._payload_ns,
            bits=Pair(sides.client.bits, sides.server.bits),
            stall=self._stall(wire, ends, sides) if any(wire.zero_windows) else None,
        )

    def _note_progress(self, now: Moment, peer: str, *, reopened: bool) -> None:
        since = self._since or self._first
        if reopened and since is not None:
            still_ns = now.time_ns - since.time_ns
            self._recovered_ns = max(self._recovered_ns, still_ns)
            mutual = self._wire.connection is not None and self._wire.connection.tcbs[peer].closed
            longest = self._longest_mutual
            longest_ns = longest[1].time_ns - longest[0].time_ns if longest else -1
            if mutual and still_ns > longest_ns:
                self._longest_mutual = (since, now)
        self._since = now
        if self._still:
            self._still = False
            for side in self._sides.values():
                side.forget_stall()

    def _note_standstill(self, segment: Segment, sender: _SideStall, peer: _SideStall, probe: ProbeKind | None) -> None:
        self._still = True
        peer.silent_probes = 0
        self._recognize_first_probe(segment, sender, peer)
        if probe not in PROBES:
            sender.answers += 1
        elif not sender.probes or segment.time_ns - sender.probes[-1] >= COPY_NS:
            sender.probes.append(segment.time_ns)
            sender.silent_probes += 1
            sender.sent_data |= probe is not ProbeKind.PROBE

    def _recognize_first_probe(self, segment: Segment, sender: _SideStall, peer: _SideStall) -> None:
        """If a capture begins with a probe, only the answer shows that it was one."""
        if not peer.bits and not segment.length:
            sender.unanswered_first = (forward(segment.seq, 1), segment.time_ns)
        if peer.unanswered_first is not None:
            ack, sent_ns = peer.unanswered_first
            if segment.wnd == 0 and segment.ack == ack:
                peer.probes.append(sent_ns)
                peer.answers -= 1
            peer.unanswered_first = None

    def _stall(self, wire: WireFacts, ends: Pair[str], sides: Pair[_SideStall]) -> StallFacts:
        reset = None
        if self._reset is not None:
            end, when, bare = self._reset
            reset = Reset(Role.CLIENT if end == ends.client else Role.SERVER, when, bare)
        marks = Pair(_by_name(sides.client.marks), _by_name(sides.server.marks))
        return StallFacts(
            wire=wire,
            since=self._since,
            probes=Pair(tuple(sides.client.probes), tuple(sides.server.probes)),
            sent_data=Pair(sides.client.sent_data, sides.server.sent_data),
            answers=Pair(sides.client.answers, sides.server.answers),
            silent_probes=Pair(sides.client.silent_probes, sides.server.silent_probes),
            recovered_ns=self._recovered_ns,
            longest_mutual=self._longest_mutual,
            reset=reset,
            marks={name: Pair(marks.client[name], marks.server[name]) for name in sorted(marks.client | marks.server)},
        )


def _by_name(marks: Counter[Mark]) -> Counter[str]:
    named: Counter[str] = Counter()
    for mark, count in marks.items():
        for name in mark.names:
            named[name] += count
    return named
