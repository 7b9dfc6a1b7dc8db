"""Nothing is proven and nothing has moved for a while: which kind of standstill is it?

An outcome is a list of claims, each with the witness that must bear it out: the program (what its threads wait for),
the kernel (the two sockets), the wire (the captured segments). A claim that nobody observed makes the outcome
inconclusive, and is named. The tables are read in order; the first entry that holds decides.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lab.proof.account import account, imbalances, last_with_both
from lab.proof.connection_view import ConnectionView
from lab.proof.deadlock import Knot
from lab.proof.livelock import futile_sends
from lab.proof.one_end import kind_of_one_end
from lab.proof.stack import is_silent
from lab.reason import Reason, Why, because
from lab.spec import Outcome, Role
from lab.syscalls import RECEIVES, SENDS
from lab.verdict import Diagnosis, Witness


@dataclass(frozen=True, slots=True)
class Claim:
    """One fact that an outcome needs. `holds` is None if nobody observed it."""

    witness: Witness
    says: Reason
    holds: bool | None
    needed: bool = True
    """False: the outcome stands without it as long as it is not refuted."""

    @property
    def stands(self) -> bool:
        return self.holds is True or (self.holds is None and not self.needed)


@dataclass(frozen=True, slots=True)
class Finding:
    """An outcome and the claims that it stands on, or fell by."""

    outcome: Outcome
    claims: tuple[Claim, ...] = ()
    missing: tuple[Reason, ...] = ()
    contradictions: tuple[Reason, ...] = ()
    knot: Knot | None = None
    diagnosis: Diagnosis | None = None


@dataclass(frozen=True, slots=True)
class Standstill:
    """One row of the table: the outcome, and what it claims."""

    outcome: Outcome
    claims: Callable[[ConnectionView], Iterable[Claim]]


def kind_of_standstill(view: ConnectionView) -> Finding:
    for exception in EXCEPTIONS:
        if found := exception(view):
            return found
    findings = [Finding(each.outcome, tuple(each.claims(view))) for each in STANDSTILLS]
    for finding in findings:
        if all(claim.stands for claim in finding.claims):
            return balanced(view, finding)
    return _undecided(findings)


def balanced(view: ConnectionView, finding: Finding) -> Finding:
    """What stands still for good must agree to the byte: what the programs counted and what the kernels hold.

    Where an end drops its peer's acknowledgments, the bytes that the peer has are counted at both ends.
    """
    refused = finding.outcome is Outcome.LIVELOCK or (finding.knot is not None and finding.knot.acks_refused)
    unbalanced = imbalances(account(view.evidence), last_with_both(view.evidence), starved=refused)
    if not unbalanced:
        return finding
    return Finding(Outcome.INCONCLUSIVE, finding.claims, contradictions=unbalanced)


def _undecided(findings: list[Finding]) -> Finding:
    """What the nearest outcome lacks, and what speaks against it."""
    possible = next((f for f in findings if all(claim.holds is not False for claim in f.claims)), None)
    nearest = possible or min(findings, key=lambda f: sum(claim.holds is False for claim in f.claims))
    unseen = tuple(claim.says for claim in nearest.claims if claim.holds is None)
    against = tuple(
        because(Why.CLAIM_REFUTED, nearest.outcome, claim.says) for claim in nearest.claims if claim.holds is False
    )
    return Finding(Outcome.INCONCLUSIVE, nearest.claims, missing=unseen, contradictions=against)


# What comes before the table: each gives its finding, or None.


def _other_connection(view: ConnectionView) -> Finding | None:
    strange = view.not_its_own()
    return Finding(Outcome.INCONCLUSIVE, contradictions=strange) if strange else None


def _suspended(view: ConnectionView) -> Finding | None:
    inodes = [socket.inode for role in Role if (socket := view.socket(role))]
    suspended = view.analysis.suspended(*inodes) if view.analysis else ()
    return Finding(Outcome.SUSPENDED, missing=suspended) if suspended else None


def _refused_sends(view: ConnectionView) -> Finding | None:
    found = Finding(Outcome.LIVELOCK, tuple(_refused(view)))
    return balanced(view, found) if all(claim.holds for claim in found.claims) else None


def _spinning_writer(view: ConnectionView) -> Finding | None:
    if all(view.blocked_by_zero_window(role) for role in Role) and view.is_spinning():
        return Finding(Outcome.LIVELOCK, tuple(write_write(view)))
    return None


def _silent_peer(view: ConnectionView) -> Finding | None:
    """A closed end may drop the acknowledgments of a living peer that lie beyond its window: ACK starvation."""
    silent = [socket for role in Role if (socket := view.socket(role)) and is_silent(socket)]
    if any(socket.rcv_wnd == 0 for socket in silent):
        return Finding(Outcome.INCONCLUSIVE, missing=(Reason(Why.LOST_OR_DROPPED),))
    return Finding(Outcome.BLACKHOLE) if silent else None


def _one_end_only(view: ConnectionView) -> Finding | None:
    """In a run both ends are on this host: there the other is a fact that is missing."""
    if view.one_end is None or view.peer_probes is None:
        return None
    if view.evidence.spec and (view.one_end.wqueue or view.one_end.rqueue):
        other = next(role for role in Role if view.socket(role) is None)
        return Finding(Outcome.INCONCLUSIVE, missing=(because(Why.QUEUES_NOT_SEEN, other),))
    found = kind_of_one_end(view.one_end, view.peer_probes)
    return Finding(found.outcome, missing=found.missing, diagnosis=found.diagnosis)


EXCEPTIONS: tuple[Callable[[ConnectionView], Finding | None], ...] = (
    _other_connection,
    _suspended,
    _one_end_only,
    _refused_sends,
    _spinning_writer,
    _silent_peer,
)


# The claims of each outcome.


def write_write(view: ConnectionView) -> Iterator[Claim]:
    """What a proven deadlock shows; the proof itself has looked closer."""
    for role in Role:
        yield Claim(Witness.PROGRAM, because(Why.WAITS_FOR_ROOM, role), view.knot is not None or None)
    yield from _both_closed(view)


def _both_closed(view: ConnectionView) -> Iterator[Claim]:
    for role in Role:
        yield Claim(Witness.KERNEL, because(Why.HELD_BY_ZERO_WINDOW, role), view.blocked_by_zero_window(role))
    for role in Role:
        if view.captured:
            advertised = view.wire.zero_windows[role] > 0 and view.wire.closed[role] is True
            yield Claim(Witness.WIRE, because(Why.ADVERTISES_ZERO, role), advertised)


def _refused(view: ConnectionView) -> Iterator[Claim]:
    """The client's sends are refused, by its own count; the server waits on the connection, for room or for data."""
    futile = futile_sends(view.evidence.snapshots, Role.CLIENT)
    yield Claim(Witness.PROGRAM, Reason(Why.SENDS_REFUSED), None if futile is None else futile > 0)
    waits = view.blocked_in(Role.SERVER, SENDS | RECEIVES)
    yield Claim(Witness.PROGRAM, Reason(Why.SERVER_BLOCKED), waits)
    nothing = view.nothing_to_send(Role.CLIENT)
    yield Claim(Witness.KERNEL, Reason(Why.CLIENT_HOLDS_DATA), None if nothing is None else not nothing)
    if view.captured:
        yield Claim(Witness.WIRE, Reason(Why.ZERO_ON_WIRE), True in view.wire.closed)


def _read_read(view: ConnectionView) -> Iterator[Claim]:
    for role in Role:
        yield Claim(Witness.KERNEL, because(Why.HOLDS_NOTHING, role), _empty(view, role))
        blocked = bool(view.blocked_in(role, RECEIVES))
        yield Claim(Witness.PROGRAM, because(Why.BLOCKED_IN_RECEIVE, role), blocked)


def _one_sided(role: Role) -> Callable[[ConnectionView], Iterator[Claim]]:
    """`role` is blocked by its peer's zero window, and the peer has nothing to write."""

    def claims(view: ConnectionView) -> Iterator[Claim]:
        yield Claim(Witness.KERNEL, because(Why.HELD_BY_ZERO_WINDOW, role), view.blocked_by_zero_window(role))
        yield Claim(Witness.KERNEL, because(Why.SENDS_NOTHING, role.peer), view.nothing_to_send(role.peer))
        yield _not_in_a_send(view, role.peer)
        if view.captured:
            closed = view.wire.closed[role.peer] is True
            yield Claim(Witness.WIRE, because(Why.ADVERTISES_ZERO, role.peer), closed)

    return claims


def _idle(view: ConnectionView) -> Iterator[Claim]:
    for role in Role:
        yield Claim(Witness.KERNEL, because(Why.SENDS_NOTHING, role), view.nothing_to_send(role))
        yield _not_in_a_send(view, role)


def _not_in_a_send(view: ConnectionView, role: Role) -> Claim:
    writing = view.blocked_in(role, SENDS)
    holds = None if writing is None else not writing
    return Claim(Witness.PROGRAM, because(Why.NOT_BLOCKED_IN_SEND, role), holds, needed=False)


def _empty(view: ConnectionView, role: Role) -> bool | None:
    socket = view.socket(role)
    return None if socket is None else socket.rqueue == 0 and socket.wqueue == 0


STANDSTILLS = (
    Standstill(Outcome.DEADLOCK, _both_closed),
    Standstill(Outcome.READ_READ, _read_read),
    Standstill(Outcome.ONE_SIDED_STALL, _one_sided(Role.CLIENT)),
    Standstill(Outcome.ONE_SIDED_STALL, _one_sided(Role.SERVER)),
    Standstill(Outcome.IDLE, _idle),
)
