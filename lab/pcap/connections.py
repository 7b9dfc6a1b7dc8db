"""Judges every connection of a capture, in two readings.

The first screens all packets by the column, which is enough for connections whose windows never closed. The second
follows the others segment by segment, and reads only the stretches of the file that hold a segment of theirs. Both end
in the same facts and the same rules.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lab.errors import BadInputError
from lab.pcap.annotate import annotate
from lab.pcap.bulk import Bulk, ReadProgress
from lab.pcap.chunk import Chunk, ChunkStart, Integers
from lab.pcap.columns import LINKS, Mask, Segments, segments
from lab.pcap.flows import EMPTY, Flows
from lab.pcap.source import opened
from lab.pcap.walk import Offsets
from lab.spec import Pair
from lab.tcp.address import guess_client
from lab.tcp.frame import bits_of, window_scale
from lab.tcp.segment import SYN, Segment
from lab.wire.chains import chained
from lab.wire.judge import PacketJudgement, judge_packets
from lab.wire.packets import ConnectionFacts, PacketWitness

STRETCH = 256
"""Packets in a stretch. For each stretch the flows that have a packet in it are kept, at 8 bytes each."""


@dataclass(slots=True)
class CaptureJudgement:
    """The judgement on every connection; `errors` says what could not be read."""

    stalled: list[PacketJudgement]
    """The connections that were followed segment by segment."""
    others: Iterator[PacketJudgement]
    """All others, made one by one as they are read: there may be very many."""
    errors: list[str]


@dataclass(slots=True)
class _Part:
    """One chunk, for the second reading."""

    place: ChunkStart
    borders: Offsets
    """Where in the file its stretches start, and where the last one ends."""
    stretch: npt.NDArray[np.int32]
    flow: npt.NDArray[np.int32]
    """`stretch` and `flow` are pairs: this flow has a packet in this stretch."""


@dataclass(slots=True)
class _Screened:
    """What the first reading has found."""

    flows: Flows = field(default_factory=Flows)
    parts: list[_Part] = field(default_factory=list)
    end_ns: int = 0
    unknown_links: set[int] = field(default_factory=set)
    error: str | None = None


def judge_capture(
    path: Path, progress: ReadProgress | None = None, *, annotated: Path | None = None, screening: bool = True
) -> CaptureJudgement:
    """Every connection of the file. Raises BadInputError if it is no capture.

    A copy with comments is written to `annotated`. With `screening=False` every connection is followed segment by
    segment: the result is the same, but slower.
    """
    with opened(path) as source:
        bulk = Bulk(source, progress) if progress else Bulk(source)
        screened = _screen(bulk)
        if not screening:
            screened.flows.exact[:] = True
        for number in np.flatnonzero(screened.flows.exact).tolist():
            low, high = screened.flows.ends[number] if number < len(screened.flows) else ("", "")
            # A socket connected to itself waits for no peer.
            screened.flows.exact[number] = low != high
        bulk.rewind()
        facts = sorted(_follow(bulk, screened), key=lambda each: each.first_frame)
        stalled = chained([judge_packets(each, screened.end_ns) for each in facts])
        if annotated is not None:
            annotate(source, annotated, _comments(stalled))
    errors = [f"{path}: {_unreadable(link)}" for link in sorted(screened.unknown_links)]
    if screened.error:
        errors.append(screened.error)
    return CaptureJudgement(stalled, _others(screened), errors)


def _others(screened: _Screened) -> Iterator[PacketJudgement]:
    flows = screened.flows
    for number in np.flatnonzero(~flows.exact[: len(flows)]).tolist():
        yield judge_packets(_plain(flows, number), screened.end_ns)


def _comments(stalled: list[PacketJudgement]) -> dict[int, str]:
    """By frame number."""
    comments: dict[int, list[str]] = {}
    for each in stalled:
        for note in each.evidence:
            comments.setdefault(note.frame, []).append(note.says)
    return {frame: "; ".join(texts) for frame, texts in comments.items()}


def every_segment(path: Path, before: int = 0) -> Iterator[Segment]:
    """All TCP segments of a capture, one by one. Raises BadInputError, of a damaged file after the good segments.

    `before` is the number of the frame before the first: the last frame of the file that this one continues.
    """
    with opened(path) as source:
        flows = Flows()
        for chunk in Bulk(source, before=before).chunks():
            columns = segments(chunk, flows.hashing)
            flow = flows.note(chunk, columns)
            from_high = columns.source > columns.destination
            numbered = _segments(chunk, columns, flow, from_high, chosen=np.arange(len(flow)), flows=flows)
            yield from (segment for _, segment in numbered)


def _unreadable(link: int) -> str:
    return f"packets of link type {link} were passed over: Ethernet, Linux cooked, raw IP and loopback can be read"


def _screen(bulk: Bulk) -> _Screened:
    found = _Screened()
    try:
        for chunk in bulk.chunks():
            found.unknown_links |= _links(chunk) - LINKS.keys()
            columns = segments(chunk, found.flows.hashing)
            if not len(columns.index):
                continue
            found.end_ns = max(found.end_ns, int(chunk.time_ns[columns.index].max()))
            flow = found.flows.note(chunk, columns)
            found.parts.append(_part(chunk, columns, flow))
    except BadInputError as error:
        found.error = str(error)
    return found


def _part(chunk: Chunk, columns: Segments, flow: Integers) -> _Part:
    pairs = columns.index // STRETCH << 32 | flow
    pairs.sort()
    pairs = pairs[np.flatnonzero(np.diff(pairs, prepend=-1))]
    borders = np.append(chunk.record[::STRETCH], chunk.end) + chunk.base
    return _Part(
        replace(chunk.place, interfaces=chunk.interfaces),
        borders,
        (pairs >> 32).astype(np.int32),
        pairs.astype(np.int32),
    )


def _links(chunk: Chunk) -> set[int]:
    if len({each.link for each in chunk.interfaces}) == 1:
        return {chunk.interfaces[0].link}
    return {chunk.interfaces[number].link for number in np.unique(chunk.interface).tolist()}


def _follow(bulk: Bulk, screened: _Screened) -> list[ConnectionFacts]:
    """The facts of all connections that have to be followed segment by segment."""
    flows, witnesses = screened.flows, dict[int, PacketWitness]()
    wanted = flows.exact[: len(flows)]
    facts: list[ConnectionFacts] = []
    for part in screened.parts:
        touched = np.unique(part.stretch[wanted[part.flow]])
        if not len(touched):
            continue
        first = part.place.frame + 1 + touched.astype(np.int64) * STRETCH
        chunk = bulk.stretches(part.place, part.borders[touched], part.borders[touched + 1], first)
        columns = segments(chunk, flows.hashing)
        flow, from_high = flows.number(columns)
        chosen = np.flatnonzero((flow != EMPTY) & wanted[flow])
        for number, segment in _segments(chunk, columns, flow, from_high, chosen=chosen, flows=flows):
            witness = witnesses.get(number)
            if witness is None or witness.restarts(segment):
                if witness is not None:
                    facts.append(witness.facts())
                witness = witnesses[number] = PacketWitness()
            witness.feed(segment)
    return facts + [witness.facts() for witness in witnesses.values()]


def _segments(
    chunk: Chunk, columns: Segments, flow: Integers, from_high: Mask, *, chosen: Integers, flows: Flows
) -> Iterator[tuple[int, Segment]]:
    """The chosen rows as segments, each with the number of its flow."""
    rows = zip(
        flow[chosen].tolist(),
        from_high[chosen].tolist(),
        columns.index[chosen].tolist(),
        chunk.frames[columns.index[chosen]].tolist(),
        chunk.time_ns[columns.index[chosen]].tolist(),
        columns.tcp[chosen].tolist(),
        columns.seq[chosen].tolist(),
        columns.ack[chosen].tolist(),
        columns.wnd[chosen].tolist(),
        columns.length[chosen].tolist(),
        columns.bits[chosen].tolist(),
        strict=True,
    )
    for number, high, index, frame, time_ns, tcp, seq, ack, wnd, length, bits in rows:
        low_end, high_end = flows.ends[number]
        source, destination = (high_end, low_end) if high else (low_end, high_end)
        scale = _scale(chunk, tcp, index) if bits & SYN else None
        yield number, Segment(frame, time_ns, source, destination, seq, ack, wnd, length, bits_of(bits), scale)


def _scale(chunk: Chunk, tcp: int, index: int) -> int | None:
    """The window scale option of a SYN. None: absent, or not captured."""
    end = int(chunk.start[index] + chunk.captured[index])
    header = (chunk.data[tcp + 12] >> 4) * 4
    return window_scale(bytes(chunk.data[tcp + 20 : min(tcp + header, end)]))


def _plain(flows: Flows, number: int) -> ConnectionFacts:
    """The facts of a connection that was only screened."""
    low, high = flows.ends[number]
    first, second = (high, low) if flows.first_from[number] else (low, high)
    syn = int(flows.syn_from[number])
    client = (low, high)[syn - 1] if syn else guess_client(first, second)
    bits = flows.bits[number].tolist()
    ours, theirs = bits if client == low else reversed(bits)
    return ConnectionFacts(
        ends=Pair(client, high if client == low else low),
        roles_seen=bool(syn),
        frames=int(flows.packets[number]),
        first_frame=int(flows.first_frame[number]),
        last_ns=int(flows.last_ns[number]),
        payload_ns=int(flows.payload_ns[number]) or None,
        bits=Pair(ours, theirs),
    )
