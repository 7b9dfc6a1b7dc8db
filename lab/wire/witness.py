"""The witness on the wire: counts and dates what the captured segments of one connection show.

It never proves a deadlock: packets cannot tell whether a program will read later. It refutes one (a window that opens
again, a new byte), and it dates events. Memory is constant: a healthy echo of 64 MiB shows 20 000 zero windows, and
only their number and the first are kept.

`lab.tcp.connection` says what each segment is. A capture in mode `proof` lacks data segments sent with an open window.
A window that opened on such a segment counts as closed until its side sends a segment that is kept, and a new byte is
noticed when it is acknowledged.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from lab.evidence import Event, Moment, WireFacts
from lab.spec import Pair, Role
from lab.tcp.address import guess_client
from lab.tcp.connection import ProbeKind, SegmentFacts, TcpConnection
from lab.tcp.segment import ACK, FIN, RST, SYN, Segment
from lab.tcp.seq import MODULUS

MAX_EVENTS = 256
"""Events kept for a connection, the latest. The gaps between probes double, so this is hours of a freeze."""


@dataclass(slots=True)
class _SideCounts:
    """What has been counted of the segments of one side."""

    zero_windows: int = 0
    first_zero_window: Moment | None = None
    reopened: int = 0
    probes: int = 0
    silly_segments: int = 0
    fin: Moment | None = None
    rst: Moment | None = None
    syn_seq: int | None = None
    end_seq: int | None = None
    """The sequence number of the FIN, else of the RST."""

    @property
    def carried(self) -> int | None:
        if self.syn_seq is None or self.end_seq is None:
            return None
        return (self.end_seq - self.syn_seq - 1) % MODULUS


class WireWitness:
    """Folds segments, in captured order, into facts. Segments of other connections are ignored.

    `ends` are the two addresses, if the caller knows them; else those of the first segment are taken.
    """

    def __init__(self, ends: Pair[str] | None = None, *, marks: bool = False) -> None:
        self.connection: TcpConnection | None = None
        self._marks = marks
        self._counts: dict[str, _SideCounts] = {}
        self._client: str | None = None
        self._roles_seen = False
        self._segments = 0
        self._began: Moment | None = None
        self._progress: Segment | None = None
        self._probes_since_still: Counter[str] = Counter()
        self._events: deque[tuple[str, Moment, ProbeKind, int, int]] = deque(maxlen=MAX_EVENTS)
        if ends is not None:
            self._follow(ends.client, ends.server)
            self._client = ends.client

    def feed(self, segment: Segment) -> SegmentFacts | None:
        """What the segment is. None: it is of another connection."""
        if segment.source == segment.destination:
            return None  # A socket connected to itself (RFC 9293 section 3.5, simultaneous open) waits for no peer.
        if self.connection is None:
            self._follow(segment.source, segment.destination)
        assert self.connection is not None
        counts = self._counts.get(segment.source)
        if counts is None or segment.destination not in self._counts:
            return None
        self._segments += 1
        if self._began is None:
            self._began = moment(segment)
        said = self.connection.feed(segment)
        bits = int(segment.bits)
        if bits & RST:
            counts.rst = counts.rst or moment(segment)
            counts.end_seq = segment.seq if counts.end_seq is None else counts.end_seq
        elif bits & SYN:
            counts.syn_seq = segment.seq
            self._client = segment.destination if bits & ACK else segment.source
            self._roles_seen = True
        else:
            self._count(segment, counts, said, bits)
        return said

    def facts(self) -> WireFacts:
        """What has been seen so far."""
        ends = self._ends()
        blank = _SideCounts()
        client, server = (self._counts[end] for end in ends) if ends else (blank, blank)
        tcbs = self.connection.tcbs if self.connection else {}
        return WireFacts(
            ends=ends,
            roles_seen=self._roles_seen,
            segments=self._segments,
            began=self._began,
            zero_windows=Pair(client.zero_windows, server.zero_windows),
            first_zero_window=Pair(client.first_zero_window, server.first_zero_window),
            closed=Pair(*(tcbs[end].closed for end in ends)) if ends else Pair(None, None),
            reopened=Pair(client.reopened, server.reopened),
            probes=Pair(client.probes, server.probes),
            probes_since_still=Pair(*(self._probes_since_still[end] for end in ends)) if ends else Pair(0, 0),
            silly_segments=Pair(client.silly_segments, server.silly_segments),
            progress=moment(self._progress) if self._progress else None,
            fin=Pair(client.fin, server.fin),
            rst=Pair(client.rst, server.rst),
            carried=Pair(client.carried, server.carried),
            events=tuple(
                Event(when, Role.CLIENT if ends and end == ends.client else Role.SERVER, kind, number, length)
                for end, when, kind, number, length in self._events
            ),
        )

    def _follow(self, one: str, other: str) -> None:
        self.connection = TcpConnection(one, other, marks=self._marks)
        self._counts = {one: _SideCounts(), other: _SideCounts()}

    def _ends(self) -> Pair[str] | None:
        if not self._counts:
            return None
        one, other = self._counts
        client = self._client or guess_client(one, other)
        return Pair(client, other if client == one else one)

    def _count(self, segment: Segment, counts: _SideCounts, said: SegmentFacts, bits: int) -> None:
        if said.probe is not None:
            self._count_probe(segment, counts, said.probe)
        if said.moved:
            self._progress = segment
            if self._probes_since_still:
                self._probes_since_still.clear()
        if said.reopened:
            counts.reopened += 1
        if segment.wnd == 0:
            counts.zero_windows += 1
            counts.first_zero_window = counts.first_zero_window or moment(segment)
        if bits & FIN and counts.fin is None:
            counts.fin, counts.end_seq = moment(segment), segment.seq + segment.length

    def _count_probe(self, segment: Segment, counts: _SideCounts, kind: ProbeKind) -> None:
        if kind is ProbeKind.SILLY_WINDOW:
            counts.silly_segments += 1
            number = counts.silly_segments
        else:
            counts.probes += 1
            self._probes_since_still[segment.source] += 1
            number = counts.probes
        self._events.append((segment.source, moment(segment), kind, number, segment.length))


def witness(segments: Iterable[Segment], ends: Pair[str] | None = None) -> WireFacts:
    """The facts of the connection between `ends`, else of the first one, from all segments in captured order."""
    wire = WireWitness(ends)
    for segment in segments:
        wire.feed(segment)
    return wire.facts()


def moment(segment: Segment) -> Moment:
    return Moment(segment.frame, segment.time_ns)
