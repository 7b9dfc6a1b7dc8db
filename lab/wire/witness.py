"""The witness on the wire: what the captured segments of one connection say about windows, probes and progress.

It never proves a deadlock: packets cannot tell whether somebody will read later. It refutes one (a window that opens
again, a new byte), and it dates things. Constant memory a connection: a healthy echo of 64 MiB shows 20 000 zero
windows, and all that is kept of them is how many and the first.

What a segment is to its connection, `lab.tcp.connection` says; here it is counted and dated. A capture in mode `proof`
lacks data segments with an open window: then a window that opened on such a segment counts as closed until its side
speaks again, and a new byte is noticed when it is acknowledged.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from lab.evidence import Event, Moment, WireFacts
from lab.spec import Pair, Role
from lab.tcp.connection import PROBES, Connection, Kind, Marks
from lab.tcp.segment import ControlBits, Segment

__all__ = ["EVENTS", "PROBES", "SEALED", "Event", "Kind", "Moment", "WireFacts", "WireWitness", "notable", "witness"]

EVENTS = 256
"""Events kept a connection, the latest. Probes double their gaps, so this is hours of a freeze."""

SEALED = "last frame before the seal: neither program has accepted a byte since"
"""The comment of that packet; which one it is, is known at the end only."""

_SYN, _FIN, _RST, _ACK = (int(bit) for bit in (ControlBits.SYN, ControlBits.FIN, ControlBits.RST, ControlBits.ACK))


@dataclass(slots=True)
class _Count:
    """What is counted of one side."""

    zero_windows: int = 0
    first_zero_window: Moment | None = None
    reopened: int = 0
    probes: int = 0
    fragments: int = 0
    fin: Moment | None = None
    rst: Moment | None = None
    syn_seq: int | None = None
    end_seq: int | None = None
    """Of the FIN, else of the RST."""

    @property
    def carried(self) -> int | None:
        if self.syn_seq is None or self.end_seq is None:
            return None
        return (self.end_seq - self.syn_seq - 1) % (1 << 32)


class WireWitness:
    """Folds segments, in captured order, into facts; those of other connections are passed over.

    `ends` are the two addresses where the caller knows them; else the first segment's are taken.
    """

    def __init__(self, ends: Pair[str] | None = None, *, analysis: bool = False) -> None:
        self.connection: Connection | None = None
        self._analysis = analysis
        self._counts: dict[str, _Count] = {}
        self._client: str | None = None
        self._roles_seen = False
        self._segments = 0
        self._began: Moment | None = None
        self._progress: Segment | None = None
        self._probes_since_still: Counter[str] = Counter()
        self._events: deque[tuple[str, Moment, Kind, int, int]] = deque(maxlen=EVENTS)
        if ends is not None:
            self._adopt(ends.client, ends.server)
            self._client = ends.client

    def feed(self, segment: Segment) -> Marks | None:
        """What the segment is. None: of another connection."""
        if segment.source == segment.destination:
            return None  # A socket connected to itself (RFC 9293 section 3.5, simultaneous open) waits for no peer.
        if self.connection is None:
            self._adopt(segment.source, segment.destination)
        assert self.connection is not None
        count = self._counts.get(segment.source)
        if count is None or segment.destination not in self._counts:
            return None
        self._segments += 1
        if self._began is None:
            self._began = _moment(segment)
        marks = self.connection.feed(segment)
        bits = int(segment.bits)
        if bits & _RST:
            count.rst = count.rst or _moment(segment)
            count.end_seq = segment.seq if count.end_seq is None else count.end_seq
        elif bits & _SYN:
            count.syn_seq = segment.seq
            self._client = segment.destination if bits & _ACK else segment.source
            self._roles_seen = True
        else:
            self._note(segment, count, marks, bits)
        return marks

    def facts(self) -> WireFacts:
        """What has been seen so far."""
        ends = self._ends()
        blank = _Count()
        client, server = (self._counts[end] for end in ends) if ends else (blank, blank)
        sides = self.connection.sides if self.connection else {}
        return WireFacts(
            ends=ends,
            roles_seen=self._roles_seen,
            segments=self._segments,
            began=self._began,
            zero_windows=Pair(client.zero_windows, server.zero_windows),
            first_zero_window=Pair(client.first_zero_window, server.first_zero_window),
            closed=Pair(*(sides[end].closed for end in ends)) if ends else Pair(None, None),
            reopened=Pair(client.reopened, server.reopened),
            probes=Pair(client.probes, server.probes),
            probes_since_still=Pair(*(self._probes_since_still[end] for end in ends)) if ends else Pair(0, 0),
            fragments=Pair(client.fragments, server.fragments),
            progress=_moment(self._progress) if self._progress else None,
            fin=Pair(client.fin, server.fin),
            rst=Pair(client.rst, server.rst),
            carried=Pair(client.carried, server.carried),
            events=tuple(
                Event(moment, Role.CLIENT if ends and end == ends.client else Role.SERVER, kind, number, length)
                for end, moment, kind, number, length in self._events
            ),
        )

    def _adopt(self, one: str, other: str) -> None:
        self.connection = Connection(one, other, analysis=self._analysis)
        self._counts = {one: _Count(), other: _Count()}

    def _ends(self) -> Pair[str] | None:
        if not self._counts:
            return None
        one, other = self._counts
        client = self._client or max(one, other, key=_port)
        return Pair(client, other if client == one else one)

    def _note(self, segment: Segment, count: _Count, marks: Marks, bits: int) -> None:
        if marks.kind is not None:
            self._event(segment, count, marks.kind)
        if marks.moved:
            self._progress = segment
            if self._probes_since_still:
                self._probes_since_still.clear()
        if marks.reopened:
            count.reopened += 1
        if segment.wnd == 0:
            count.zero_windows += 1
            count.first_zero_window = count.first_zero_window or _moment(segment)
        if bits & _FIN and count.fin is None:
            count.fin, count.end_seq = _moment(segment), segment.seq + segment.length

    def _event(self, segment: Segment, count: _Count, kind: Kind) -> None:
        if kind is Kind.FRAGMENT:
            count.fragments += 1
            number = count.fragments
        else:
            count.probes += 1
            self._probes_since_still[segment.source] += 1
            number = count.probes
        self._events.append((segment.source, _moment(segment), kind, number, segment.length))


def witness(segments: Iterable[Segment], ends: Pair[str] | None = None) -> WireFacts:
    """What the segments, in captured order, say about the connection between `ends`, or about the first one's."""
    wire = WireWitness(ends)
    for segment in segments:
        wire.feed(segment)
    return wire.facts()


def notable(facts: WireFacts, since: int = 1) -> dict[int, str]:
    """A comment for each packet that matters, by frame number, from frame `since` on: first zero windows, probes."""
    comments: dict[int, list[str]] = {}
    for role in Role:
        if first := facts.first_zero_window[role]:
            comments.setdefault(first.frame, []).append(f"first zero window of the {role}: it has no room for a byte")
    for event in facts.events:
        name = "fragment" if event.kind is Kind.FRAGMENT else "probe"
        text = f"{name} {event.number} of the {event.role}: {event.kind.format(bytes=event.length)}"
        comments.setdefault(event.moment.frame, []).append(text)
    return {frame: "; ".join(texts) for frame, texts in sorted(comments.items()) if frame >= since}


def _moment(segment: Segment) -> Moment:
    return Moment(segment.frame, segment.time_ns)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
