"""What a connection came to, as far as its packets show. The only place in `lab.wire` that decides an outcome.

Both last windows being 0 is not enough for a deadlock. Packets also show:

* whether a side has unsent data (`lab.wire.persist_timer`);
* whether its peer is there: it answers probes;
* whether the stall outlasts those that this connection has recovered from. If not, it is a slow reader's.

The connection is judged as it stood before a RST, else at the end of the capture.
"""

from dataclasses import dataclass

from lab.reason import Reason, Why, because
from lab.spec import Outcome, Pair, Role
from lab.tcp.address import host, port
from lab.tcp.connection import SILENCE_NS
from lab.tcp.segment import FIN, RST, SYN
from lab.wire.packets import ConnectionFacts, StallFacts
from lab.wire.persist_timer import SECOND, Probing, probing

FIRST_PROBE_NS = 3 * SECOND
"""A side with unsent data has probed by now: the first probe comes after one retransmission time-out."""
OUTLASTS = 3
"""A stall this many times as long as the longest that the connection has recovered from is a new thing."""
RECENT_NS = SECOND
"""A connection with payload within this of the end is moving."""
REOPENINGS = 3
"""A connection that moves and has reopened its windows this often has a slow reader."""
UNANSWERED = 3
"""This many SYNs or probes without an answer: the peer is not there."""


@dataclass(frozen=True, slots=True)
class LastStall:
    """A connection whose window closed, as it stood at `until_ns`: at its RST, else at the end of the capture."""

    facts: ConnectionFacts
    stall: StallFacts
    until_ns: int
    age_ns: int
    """Since the last progress; since the first zero window, if the whole capture is within the stall."""
    probing: Pair[Probing]

    @property
    def writers(self) -> list[Role]:
        """The sides that are known to wait for the closed window of their peer: they have unsent data."""
        return [role for role in Role if self._is_closed_to(role) and self.probing[role] is Probing.UNSENT_DATA]

    @property
    def perhaps_writers(self) -> list[Role]:
        """The sides that send into the closed window of their peer, for a reason that is not known."""
        return [role for role in Role if self._is_closed_to(role) and self.probing[role] is Probing.UNKNOWN]

    @property
    def unanswered(self) -> bool:
        stall = self.stall
        one_alone = any(stall.silent_probes[role] >= UNANSWERED and not stall.probes[role.peer] for role in Role)
        crossing = not any(stall.answers) and all(len(times) >= UNANSWERED for times in stall.probes)
        return one_alone or crossing

    def _is_closed_to(self, role: Role) -> bool:
        return self.stall.wire.closed[role.peer] is True


@dataclass(frozen=True, slots=True)
class PacketOutcome:
    outcome: Outcome
    missing: tuple[Reason, ...] = ()
    """What would have to be known to say more."""


def last_stall(facts: ConnectionFacts, stall: StallFacts, end_ns: int) -> LastStall:
    """`end_ns` is when the capture ended."""
    until_ns = stall.reset.moment.time_ns if stall.reset else max(end_ns, facts.last_ns)
    first = [moment.time_ns for moment in stall.wire.first_zero_window if moment]
    since_ns = stall.since.time_ns if stall.since else min(first, default=until_ns)
    return LastStall(facts, stall, until_ns, until_ns - since_ns, Pair(*(probing(stall, role) for role in Role)))


def without_stall(facts: ConnectionFacts, end_ns: int) -> Outcome:
    """Of a connection whose windows are open, or do not matter."""
    client, server = facts.bits
    if client & FIN and server & FIN:
        return Outcome.COMPLETED
    if (client | server) & RST:
        return Outcome.ABORTED
    if client & SYN and not server and facts.frames >= UNANSWERED:
        return Outcome.BLACKHOLE
    recent = facts.payload_ns is not None and end_ns - facts.payload_ns < RECENT_NS
    return Outcome.MOVING if recent else Outcome.IDLE


def with_stall(last: LastStall) -> PacketOutcome:
    """Of a connection whose window has closed at least once."""
    stall, closed = last.stall, last.stall.wire.closed
    for role in Role:
        if closed[role] is None:
            return _inconclusive(because(Why.ONE_DIRECTION_ONLY, role))

    otherwise = without_stall(last.facts, last.until_ns)
    if not any(closed) or (last.age_ns < SILENCE_NS and not any(stall.probes)):
        if otherwise is Outcome.MOVING and sum(stall.wire.reopened) >= REOPENINGS:
            return PacketOutcome(Outcome.SLOW_READER)
        return PacketOutcome(otherwise)

    if last.age_ns < OUTLASTS * stall.recovered_ns:
        return PacketOutcome(Outcome.SLOW_READER if stall.reset is None else Outcome.ABORTED)
    if last.unanswered:
        return PacketOutcome(Outcome.BLACKHOLE)
    if len(last.writers) == 2:
        return PacketOutcome(Outcome.DEADLOCK, _what_would_settle_it(last))
    if unknown := last.perhaps_writers:
        return _inconclusive(because(Why.TOO_FEW_PROBES, unknown[0]))
    if all(closed) and last.age_ns < FIRST_PROBE_NS:
        return _inconclusive(because(Why.NOT_YET_PROBED, last.age_ns / SECOND))
    if last.writers:
        return PacketOutcome(Outcome.ONE_SIDED_STALL)
    return PacketOutcome(Outcome.IDLE if all(closed) else otherwise)


def _inconclusive(missing: Reason) -> PacketOutcome:
    return PacketOutcome(Outcome.INCONCLUSIVE, (missing,))


def _what_would_settle_it(last: LastStall) -> tuple[Reason, ...]:
    """A deadlock is never proven here: what would have to be asked, and where."""
    if last.stall.reset is not None:
        return (because(Why.COULD_HAVE_READ),)
    ends = last.facts.ends
    return tuple(because(Why.MAY_STILL_READ, host(end), port(ends.server)) for end in ends)
