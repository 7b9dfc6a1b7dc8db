"""The verdict on a connection of a capture, from packets alone: without programs and without kernels.

Packets never show whether a program will read later. So a deadlock is `consistent` and no more, and the verdict names
the command that would settle it. Beside it stand since when the stall lasts, how it ended, and the frames that show it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from lab.evidence import Event, Wants
from lab.forecast import NOTHING_FORECAST
from lab.reason import Reason
from lab.spec import Grade, Outcome, Pair, Role
from lab.tcp.connection import SILENCE_NS
from lab.verdict import Account, Edge, Testimonies, Testimony, Verdict, WireSummary, Witness
from lab.wire.comments import first_zero_window, sent_into_closed_window
from lab.wire.outcome import last_stall, with_stall, without_stall
from lab.wire.packets import ConnectionFacts, StallFacts
from lab.wire.persist_timer import SECOND

NO_ACCOUNT = Account()
WITNESSES = {each: Testimonies(Testimony.MISSING, Testimony.MISSING, each) for each in Testimony}

STALLED = frozenset((Outcome.DEADLOCK, Outcome.ONE_SIDED_STALL, Outcome.BLACKHOLE, Outcome.INCONCLUSIVE))
"""Outcomes of a connection that stands still, or may."""

SHOWN_PROBES = 4
"""Probes of each side that are shown: the first two and the last two."""


class StallEnd(StrEnum):
    """How a stall ended."""

    FROZEN = "still frozen at the end of the capture"
    RESET_BY_CLIENT = "reset by the client"
    RESET_BY_SERVER = "reset by the server"
    TIMED_OUT_CLIENT = "given up by the client without a word: its host answered a probe with a reset"
    TIMED_OUT_SERVER = "given up by the server without a word: its host answered a probe with a reset"
    WENT_ON = "went on"


@dataclass(frozen=True, slots=True)
class Note:
    """A frame that matters, and why."""

    frame: int
    time_ns: int
    says: str


@dataclass(frozen=True, slots=True)
class PacketJudgement:
    """The verdict on one connection, with what a verdict has no place for."""

    verdict: Verdict
    since_ns: int | None = None
    until_ns: int | None = None
    ended: StallEnd | None = None
    evidence: tuple[Note, ...] = ()
    marks: Mapping[str, Pair[int]] | None = None
    """How many segments of each side carry which of Wireshark's marks. None: they were not marked."""
    chain: tuple[str, ...] = ()
    """The waits of the chain that this connection is part of (`lab.wire.chains`)."""
    waits: tuple[tuple[str, str], ...] = ()
    """(waiting end, end that it waits for), at most two."""


def judge_packets(facts: ConnectionFacts, end_ns: int) -> PacketJudgement:
    """One connection of a capture that ended at `end_ns`."""
    if facts.stall is None:
        return PacketJudgement(_verdict(facts, without_stall(facts, end_ns)))
    last = last_stall(facts, facts.stall, end_ns)
    found = with_stall(last)
    stalled = found.outcome in STALLED
    since_ns, until_ns, ended = _end_of_stall(last.stall) if stalled else _longest_mutual_stall(last.stall)
    return PacketJudgement(
        _verdict(
            facts,
            found.outcome,
            seal_ns=since_ns if stalled else None,
            age_s=last.age_ns / SECOND if stalled else None,
            missing=found.missing,
        ),
        since_ns,
        until_ns,
        ended,
        tuple(_notes(last.stall, stalled)),
        last.stall.marks,
        waits=tuple((facts.ends[role], facts.ends[role.peer]) for role in last.writers) if stalled else (),
    )


def _end_of_stall(stall: StallFacts) -> tuple[int | None, int | None, StallEnd]:
    """Since when, until when, and how the last stall ended."""
    since_ns, reset = stall.since.time_ns if stall.since else None, stall.reset
    if reset is None:
        return since_ns, None, StallEnd.FROZEN
    if reset.bare:
        ended = Pair(StallEnd.TIMED_OUT_CLIENT, StallEnd.TIMED_OUT_SERVER)[reset.role]
    else:
        ended = Pair(StallEnd.RESET_BY_CLIENT, StallEnd.RESET_BY_SERVER)[reset.role]
    return since_ns, reset.moment.time_ns, ended


def _longest_mutual_stall(stall: StallFacts) -> tuple[int | None, int | None, StallEnd | None]:
    """The same of the longest mutual stall that the connection has recovered from, if it was noticeable."""
    if stall.longest_mutual is None:
        return None, None, None
    began, ended = stall.longest_mutual
    if ended.time_ns - began.time_ns < SILENCE_NS:
        return None, None, None
    return began.time_ns, ended.time_ns, StallEnd.WENT_ON


def _notes(stall: StallFacts, stalled: bool) -> Iterable[Note]:
    wire = stall.wire
    notes = [
        Note(first.frame, first.time_ns, first_zero_window(role))
        for role in Role
        if (first := wire.first_zero_window[role])
    ]
    if stalled and stall.since:
        notes.append(Note(stall.since.frame, stall.since.time_ns, "last progress: nothing new since"))
        for role in Role:
            probes = [e for e in wire.events if e.role is role and e.moment.time_ns > stall.since.time_ns]
            shown = probes if len(probes) <= SHOWN_PROBES else [*probes[:2], *probes[-2:]]
            notes += (_probe_note(each) for each in shown)
    elif not stalled and stall.longest_mutual:
        began, ended = stall.longest_mutual
        notes.append(Note(began.frame, began.time_ns, "the longest mutual stall begins"))
        notes.append(Note(ended.frame, ended.time_ns, "and it goes on"))
    if not stall.since:
        notes += (_probe_note(each) for each in wire.events[:SHOWN_PROBES])
    if reset := stall.reset:
        says = f"the {reset.role} {'no longer knows' if reset.bare else 'resets'} it"
        notes.append(Note(reset.moment.frame, reset.moment.time_ns, says))
    return sorted(notes, key=lambda note: note.frame)


def _probe_note(event: Event) -> Note:
    return Note(event.moment.frame, event.moment.time_ns, sent_into_closed_window(event))


def _verdict(
    facts: ConnectionFacts,
    outcome: Outcome,
    *,
    seal_ns: int | None = None,
    age_s: float | None = None,
    missing: tuple[Reason, ...] = (),
) -> Verdict:
    deadlock = outcome is Outcome.DEADLOCK
    return Verdict(
        outcome=outcome,
        grade=Grade.CONSISTENT if deadlock else None,
        client=facts.ends.client,
        server=facts.ends.server,
        roles="seen" if facts.roles_seen else "guessed",
        seal_ns=seal_ns,
        proved_ns=None,
        holds_until_ns=None,
        age_s=age_s,
        witnesses=WITNESSES[_testimony(outcome)],
        cycle=tuple(Edge(role, Wants.WRITE, role.peer, (Witness.WIRE,)) for role in Role) if deadlock else (),
        tail=(),
        live=(),
        qualifiers=(),
        missing=missing,
        contradictions=(),
        account=NO_ACCOUNT,
        wire=_summary(facts),
        forecast=NOTHING_FORECAST,
    )


def _testimony(outcome: Outcome) -> Testimony:
    if outcome is Outcome.INCONCLUSIVE:
        return Testimony.MISSING
    return Testimony.SILENT if outcome is Outcome.IDLE else Testimony.AGREES


def _summary(facts: ConnectionFacts) -> WireSummary:
    if facts.stall is None:
        return WireSummary(facts.frames, None, Pair(0, 0), Pair(0, 0), Pair(None, None))
    return WireSummary.of(facts.stall.wire, facts.frames, None)
