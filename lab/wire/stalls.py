"""What packets alone can say of a connection, and what they cannot: a verdict without programs and without kernels.

Packets never tell whether somebody will read later, so a deadlock is *consistent* here and no more, and the verdict
names the command that would settle it. What they do tell, and what both last windows being 0 does not:

* whether each side has unsent data: its persist timer probes at growing gaps, or retransmits into the closed window. A
  keep-alive looks the same byte for byte, and its gaps are equal, and never under a second (TCP_KEEPINTVL counts them);
* whether the peer is there: it answers probes;
* whether the stall outlasts what this very connection has recovered from before: if not, it is a slow reader's.

The state is judged as it was before a RST or at the end of the capture, and what ended it is told.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from lab.spec import Grade, Outcome, Pair, Role
from lab.tcp.connection import SILENCE_NS
from lab.verdict import NO_FORECAST, Account, Edge, Testimonies, Testimony, Verdict, WireSummary, Witness
from lab.wire.packets import FIN, PROBES_KEPT, RST, SYN, Facts, Stall
from lab.wire.witness import Event, Kind

SECOND = 1_000_000_000
KEEP_ALIVE_NS = 950_000_000
"""No keep-alive comes sooner than a second after the last one (tcp(7)); 50 ms for timers and the capture."""
GROWTH = 1.4
"""Persist gaps double, and are shortened by the peer's own probes; keep-alive gaps are equal within a tick."""
LONGEST_GAP_NS = 115 * SECOND
"""Persist gaps stop growing at TCP_RTO_MAX, 120 s; the default keep-alive interval is 75 s."""
UNASKED_NS = 3 * SECOND
"""Who has unsent data has probed by now: the first probe comes after one retransmission time-out."""
OUTLASTS = 3
"""A stall this many times as long as any that the connection has recovered from is not more of the same."""
RECENT_NS = SECOND
REOPENINGS = 3
UNANSWERED = 3
NO_ACCOUNT = Account()
WITNESSES = {each: Testimonies(Testimony.MISSING, Testimony.MISSING, each) for each in Testimony}

NOTES = 4
"""Probes of each side that are shown: the first two and the last two."""


class Ended(StrEnum):
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
class Judged:
    """A verdict from packets, and what of the story has no place in it."""

    verdict: Verdict
    since_ns: int | None = None
    until_ns: int | None = None
    ended: Ended | None = None
    evidence: tuple[Note, ...] = ()
    marks: Mapping[str, Pair[int]] | None = None
    """How many segments of each side carry which of Wireshark's marks. None: not followed segment by segment."""
    chain: tuple[str, ...] = ()
    waits: tuple[tuple[str, str], ...] = ()
    """(waiting end, end that it waits for), one or two."""


def judge_packets(facts: Facts, end_ns: int) -> Judged:
    """The opinion on one connection of a capture that ended at `end_ns`."""
    if facts.stall is None:
        return Judged(_verdict(facts, _plain(facts, end_ns)))
    return _Case(facts, facts.stall, end_ns).judged()


def _plain(facts: Facts, end_ns: int) -> Outcome:
    """Of a connection whose windows are open, or never mattered."""
    client, server = facts.bits
    if client & FIN and server & FIN:
        return Outcome.COMPLETED
    if (client | server) & RST:
        return Outcome.ABORTED
    if client & SYN and not server and facts.frames >= UNANSWERED:
        return Outcome.BLACKHOLE
    recent = facts.payload_ns is not None and end_ns - facts.payload_ns < RECENT_NS
    return Outcome.MOVING if recent else Outcome.IDLE


class _Waiting(StrEnum):
    """Why a side sends into a closed window, or does not."""

    TO_WRITE = "its persist timer probes: it has unsent data"
    ALIVE = "it sends keep-alives: equal gaps, and nothing says that it has unsent data"
    UNKNOWN = "too few probes to tell a persist timer from keep-alives"
    NOTHING = "it does not probe"


class _Case:
    """One stall, looked at from all sides."""

    def __init__(self, facts: Facts, stall: Stall, end_ns: int) -> None:
        self.facts, self.stall = facts, stall
        self.until_ns = stall.reset[1].time_ns if stall.reset else max(end_ns, facts.last_ns)
        self.age_ns = self.until_ns - (stall.since.time_ns if stall.since else 0)
        if stall.since is None:
            first = [each.time_ns for each in stall.wire.first_zero_window if each]
            self.age_ns = self.until_ns - min(first, default=self.until_ns)
        self.waiting = Pair(*(self._waiting(role) for role in Role))
        self.missing: tuple[str, ...] = ()

    def judged(self) -> Judged:
        outcome = self._outcome()
        stalled = outcome in (Outcome.DEADLOCK, Outcome.ONE_SIDED_STALL, Outcome.BLACKHOLE, Outcome.INCONCLUSIVE)
        since_ns, until_ns, ended = self._span(stalled)
        verdict = _verdict(
            self.facts,
            outcome,
            seal_ns=since_ns if stalled else None,
            age_s=self.age_ns / SECOND if stalled else None,
            missing=self.missing + (self._settle() if outcome is Outcome.DEADLOCK else ()),
        )
        waits = tuple(
            (self.facts.ends[role], self.facts.ends[role.peer]) for role in Role if stalled and self._blocked(role)
        )
        evidence = tuple(self._evidence(stalled))
        return Judged(verdict, since_ns, until_ns, ended, evidence, self.stall.marks, waits=waits)

    def _blocked(self, role: Role) -> bool:
        return self.stall.wire.closed[role.peer] is True and self.waiting[role] is _Waiting.TO_WRITE

    def _waiting(self, role: Role) -> _Waiting:
        stall = self.stall
        probes = stall.probes[role]
        if not probes:
            return _Waiting.NOTHING
        whole = stall.since is not None and len(probes) < PROBES_KEPT
        first = [probes[0] - stall.since.time_ns] if whole and stall.since else []
        gaps = [*first, *(later - sooner for sooner, later in itertools.pairwise(probes))]
        between = gaps[len(first) :]
        grows = any(later >= GROWTH * sooner for sooner, later in itertools.pairwise(between))
        if stall.unacknowledged[role] or grows or any(g < KEEP_ALIVE_NS or g >= LONGEST_GAP_NS for g in gaps):
            return _Waiting.TO_WRITE
        return _Waiting.ALIVE if len(gaps) >= 3 else _Waiting.UNKNOWN

    def _outcome(self) -> Outcome:
        closed = self.stall.wire.closed
        unseen = [role for role in Role if closed[role] is None]
        if unseen:
            return self._unsure(f"the segments of the {unseen[0]}: the capture holds one direction only")
        if not any(closed) or (self.age_ns < SILENCE_NS and not any(self.stall.probes)):
            return self._open()
        if self._outlasted():
            return Outcome.SLOW_READER if self.stall.reset is None else Outcome.ABORTED
        if self._unanswered():
            return Outcome.BLACKHOLE
        return self._mutual() if all(closed) else self._single()

    def _open(self) -> Outcome:
        outcome = _plain(self.facts, self.until_ns)
        slow = sum(self.stall.wire.reopened) >= REOPENINGS
        return Outcome.SLOW_READER if outcome is Outcome.MOVING and slow else outcome

    def _outlasted(self) -> bool:
        """Whether it has been as still as this before, and went on."""
        return self.age_ns < OUTLASTS * self.stall.recovered_ns

    def _unanswered(self) -> bool:
        silent, answers, probes = self.stall.silent_probes, self.stall.answers, self.stall.probes
        alone = any(silent[role] >= UNANSWERED and not probes[role.peer] for role in Role)
        return alone or (not any(answers) and all(len(each) >= UNANSWERED for each in probes))

    def _mutual(self) -> Outcome:
        """Both windows are closed."""
        if all(each is _Waiting.TO_WRITE for each in self.waiting):
            return Outcome.DEADLOCK
        for role in Role:
            if self.waiting[role] is _Waiting.UNKNOWN:
                return self._unsure(f"more probes of the {role}: {_Waiting.UNKNOWN}")
        if self.age_ns < UNASKED_NS:
            return self._unsure(f"time: mutual stall for {self.age_ns / SECOND:.1f} s, not yet probed by both")
        if any(each is _Waiting.TO_WRITE for each in self.waiting):
            return Outcome.ONE_SIDED_STALL
        return Outcome.IDLE

    def _single(self) -> Outcome:
        """One window is closed: is its peer waiting to write?"""
        writer = Role.SERVER if self.stall.wire.closed.client else Role.CLIENT
        waiting = self.waiting[writer]
        if waiting is _Waiting.TO_WRITE:
            return Outcome.ONE_SIDED_STALL
        if waiting is _Waiting.UNKNOWN:
            return self._unsure(f"more probes of the {writer}: {_Waiting.UNKNOWN}")
        return _plain(self.facts, self.until_ns)

    def _unsure(self, what: str) -> Outcome:
        self.missing = (what,)
        return Outcome.INCONCLUSIVE

    def _span(self, stalled: bool) -> tuple[int | None, int | None, Ended | None]:
        since, reset = self.stall.since, self.stall.reset
        if stalled:
            since_ns = since.time_ns if since else None
            if reset is None:
                return since_ns, None, Ended.FROZEN
            by, moment, bare = reset
            pair = (Ended.RESET_BY_CLIENT, Ended.RESET_BY_SERVER)
            if bare:
                pair = (Ended.TIMED_OUT_CLIENT, Ended.TIMED_OUT_SERVER)
            return since_ns, moment.time_ns, pair[by is Role.SERVER]
        mutual = self.stall.mutual
        if mutual is None or mutual[1].time_ns - mutual[0].time_ns < SILENCE_NS:
            return None, None, None
        return mutual[0].time_ns, mutual[1].time_ns, Ended.WENT_ON

    def _settle(self) -> tuple[str, ...]:
        """What would decide, and where."""
        ends = self.facts.ends
        if self.stall.reset is not None:
            return ("whether a program could still have read: the connection is gone, and nothing can tell any more",)
        return tuple(
            f"whether a program could still read: on {host(ends[role])}, `lab watch --port {port(ends.server)}` tells"
            for role in Role
        )

    def _evidence(self, stalled: bool) -> Iterable[Note]:
        stall, wire = self.stall, self.stall.wire
        notes = [
            Note(first.frame, first.time_ns, f"first zero window of the {role}")
            for role in Role
            if (first := wire.first_zero_window[role])
        ]
        if stalled and stall.since:
            notes.append(Note(stall.since.frame, stall.since.time_ns, "last progress: nothing new since"))
            for role in Role:
                since = [e for e in wire.events if e.role is role and e.moment.time_ns > stall.since.time_ns]
                notes += (_probe_note(each) for each in (since if len(since) <= NOTES else [*since[:2], *since[-2:]]))
        elif not stalled and stall.mutual:
            notes.append(Note(stall.mutual[0].frame, stall.mutual[0].time_ns, "the longest mutual stall begins"))
            notes.append(Note(stall.mutual[1].frame, stall.mutual[1].time_ns, "and it goes on"))
        if not stall.since:
            notes += (_probe_note(each) for each in wire.events[:NOTES])
        if stall.reset:
            by, moment, bare = stall.reset
            notes.append(Note(moment.frame, moment.time_ns, f"the {by} {'no longer knows' if bare else 'resets'} it"))
        return sorted(notes, key=lambda note: note.frame)


def _probe_note(event: Event) -> Note:
    name = "fragment" if event.kind is Kind.FRAGMENT else "probe"
    says = f"{name} {event.number} of the {event.role}: {event.kind.format(bytes=event.length)}"
    return Note(event.moment.frame, event.moment.time_ns, says)


def _verdict(
    facts: Facts,
    outcome: Outcome,
    *,
    seal_ns: int | None = None,
    age_s: float | None = None,
    missing: tuple[str, ...] = (),
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
        cycle=tuple(Edge(role, "room to write", role.peer, (Witness.WIRE,)) for role in Role) if deadlock else (),
        tail=(),
        live=(),
        qualifiers=(),
        missing=missing,
        contradictions=(),
        account=NO_ACCOUNT,
        wire=_summary(facts),
        forecast=NO_FORECAST,
    )


def _testimony(outcome: Outcome) -> Testimony:
    if outcome is Outcome.INCONCLUSIVE:
        return Testimony.MISSING
    return Testimony.SILENT if outcome is Outcome.IDLE else Testimony.AGREES


def _summary(facts: Facts) -> WireSummary:
    if facts.stall is None:
        return WireSummary(facts.frames, None, Pair(0, 0), Pair(0, 0), Pair(None, None))
    wire = facts.stall.wire
    first = [moment.time_ns if moment else None for moment in wire.first_zero_window]
    return WireSummary(facts.frames, None, Pair(*wire.zero_windows), Pair(*wire.probes), Pair(first[0], first[1]))


def host(end: str) -> str:
    return end.rpartition(":")[0].strip("[]")


def port(end: str) -> str:
    return end.rpartition(":")[2]
