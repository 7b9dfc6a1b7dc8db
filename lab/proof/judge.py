"""From evidence to verdict: the only place where an outcome is decided. Pure, and blind to any older verdict.

The structural proof decides first: if the connection is part of a knot of threads that wait for room to write, it is a
deadlock, within what the grade names, however short it has stood. Without a proof an outcome is a list of claims, each
with the witness that must bear it out, and it needs stillness (`ConnectionView.still`): the program (what its threads
wait for), the kernel (the two sockets), the wire (the captured segments). A claim that was not observed makes it
inconclusive and is named. A deadlock that is not proven is `consistent`, and lists who might still read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lab.evidence import Evidence, WireFacts
from lab.forecast import forecast
from lab.proof.account import account, imbalances, last_with_both, refuted_ends
from lab.proof.connection_view import RECEIVING, SENDING, ConnectionView
from lab.proof.cycles import WaitForEdge
from lab.proof.deadlock import Knot
from lab.proof.livelock import futile_sends
from lab.proof.threads import Thread
from lab.proof.writable import is_silent
from lab.spec import Grade, Outcome, Pair, Role
from lab.verdict import NO_FORECAST, Edge, ForecastSummary, Live, Testimonies, Testimony, Verdict, WireSummary, Witness

REOPENINGS = 3
"""A closed window that opened again this often, while bytes moved, is a slow reader's."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One fact that an outcome needs. `holds` is None if nobody observed it."""

    witness: Witness
    says: str
    holds: bool | None
    needed: bool = True
    """Whether the outcome stands without it as long as it is not refuted."""

    @property
    def stands(self) -> bool:
        return self.holds is True or (self.holds is None and not self.needed)


@dataclass(frozen=True, slots=True)
class Finding:
    """An outcome and the claims that it stands on, or fell by."""

    outcome: Outcome
    claims: tuple[Claim, ...] = ()
    missing: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()
    knot: Knot | None = None


def judge(evidence: Evidence) -> Verdict:
    """The one opinion of the house, on the evidence so far."""
    view = ConnectionView(evidence)
    finding = _find(view)
    knot = finding.knot
    return Verdict(
        outcome=finding.outcome,
        grade=_grade(finding),
        client=view.ends.client if view.ends else None,
        server=view.ends.server if view.ends else None,
        roles=evidence.roles if view.ends else None,
        seal_ns=view.seal_ns,
        proved_ns=view.proved_ns() if knot else None,
        holds_until_ns=knot.holds_until_ns if knot else None,
        age_s=None if view.seal_ns is None else (evidence.seen_ns - view.seal_ns) / 1e9,
        witnesses=_testimonies(view, finding),
        cycle=tuple(_cycle(view, finding)),
        tail=tuple(_edge(view, each) for each in knot.tail) if knot else (),
        live=tuple(_live(view, finding)),
        qualifiers=(*knot.qualifiers, *knot.closed_world) if knot else (),
        missing=(*finding.missing, *_unseen(view, finding), *evidence.missing),
        contradictions=finding.contradictions,
        account=account(evidence),
        wire=_wire_summary(evidence, view.wire),
        forecast=_forecast(evidence),
    )


def proven(evidence: Evidence) -> bool:
    """Whether `judge` would call it a proven deadlock; quick, for a pair that is looked at every millisecond."""
    view = ConnectionView(evidence)
    return view.knot is not None and _find(view).outcome is Outcome.DEADLOCK


def _find(view: ConnectionView) -> Finding:
    """The rules, in order."""
    evidence = view.evidence
    errors = [end for end in evidence.ended if end and end.error]
    if errors:
        corrupt = tuple(f"the {end.role} read a wrong byte: {end.error}" for end in errors if end.corrupt)
        return Finding(Outcome.ABORTED, contradictions=corrupt)
    if all(evidence.ended):
        refuted = (*refuted_ends(evidence), *_refuted_on_the_wire(view))
        return Finding(Outcome.INCONCLUSIVE if refuted else Outcome.COMPLETED, contradictions=refuted)
    if view.ends is None or view.last is None:
        return Finding(Outcome.INCONCLUSIVE, missing=("a connection: the client has not connected",))
    if view.knot:
        return _balanced(view, Finding(Outcome.DEADLOCK, tuple(_write_write(view)), knot=view.knot))
    if not any(view.socket(role) for role in Role):
        return Finding(Outcome.INCONCLUSIVE, missing=("the client's socket and the server's socket (inet_diag)",))
    if not view.still:
        slow = any(count >= REOPENINGS for count in view.reopenings())
        return Finding(Outcome.SLOW_READER if slow else Outcome.MOVING)
    return _still(view)


def _refuted_on_the_wire(view: ConnectionView) -> Iterator[str]:
    """Where a capture without a gap shows something else than the completion that both programs tell of.

    Every client says by its FIN that it has sent all, and every server reads up to it before it ends.
    """
    client = view.evidence.ended.client
    if client is None or not view.captured:
        return
    if view.wire.carried.client is None:
        yield "both programs say that all went well, and the wire shows no conversation of this client's to its end"
    for role, said in zip(Role, (client.sent, client.received), strict=True):
        carried = view.wire.carried[role]
        if carried not in (None, said % (1 << 32)):
            yield f"the wire carried {carried} bytes of the {role}'s, and the client tells of {said}"


def _balanced(view: ConnectionView, finding: Finding) -> Finding:
    """Whatever stands still for good must agree to the byte: what the programs counted and what the kernels hold."""
    # Who tries in vain may do so behind a window that drops the acknowledgments: none is on its way for so long.
    may_starve = finding.outcome is Outcome.LIVELOCK
    unbalanced = imbalances(account(view.evidence), last_with_both(view.evidence), starved=may_starve)
    starved = finding.knot is not None and any("tcp_retries2" in each for each in finding.knot.qualifiers)
    if not unbalanced or starved:  # no acknowledgment comes through: what the peer has is counted at both ends
        return finding
    return Finding(Outcome.INCONCLUSIVE, finding.claims, contradictions=unbalanced)


def _still(view: ConnectionView) -> Finding:
    """Nothing is proven and nothing has moved for a while: which of the kinds of stillness is it?"""
    if strange := view.not_its_own():
        return Finding(Outcome.INCONCLUSIVE, contradictions=strange)
    if view.analysis and view.analysis.suspended:
        return Finding(Outcome.SUSPENDED, missing=view.analysis.suspended)
    if view.one_end is not None:
        # Its peer's queues are not seen: only what has nothing to send and nothing to read can be told.
        empty = view.one_end.wqueue == 0 and view.one_end.rqueue == 0
        if empty:
            return Finding(Outcome.IDLE)
        other = next(role for role in Role if view.socket(role) is None)
        return Finding(Outcome.INCONCLUSIVE, missing=(f"the {other}'s socket: its queues are not seen",))
    refused = Finding(Outcome.LIVELOCK, tuple(_refused(view)))
    if all(claim.holds for claim in refused.claims):
        return _balanced(view, refused)
    held = Pair(*(view.blocked_by_zero_window(role) for role in Role))
    if all(held) and view.is_spinning():
        return Finding(Outcome.LIVELOCK, tuple(_write_write(view)))
    silent = [socket for role in Role if (socket := view.socket(role)) and is_silent(socket)]
    if any(socket.rcv_wnd == 0 for socket in silent):
        # A closed end may drop the acknowledgments of a living peer that lie beyond its window: ACK starvation.
        says = "whether the network loses its acknowledgments, or its own closed window drops them (ACK starvation)"
        return Finding(Outcome.INCONCLUSIVE, missing=(says,))
    if silent:
        return Finding(Outcome.BLACKHOLE)
    candidates = (
        Finding(Outcome.DEADLOCK, tuple(_both_closed(view))),
        Finding(Outcome.READ_READ, tuple(_read_read(view))),
        *(Finding(Outcome.ONE_SIDED_STALL, tuple(_one_sided(view, role))) for role in Role),
        Finding(Outcome.IDLE, tuple(_idle(view))),
    )
    for finding in candidates:
        if all(claim.stands for claim in finding.claims):
            return _balanced(view, finding)
    possible = next((f for f in candidates if all(claim.holds is not False for claim in f.claims)), None)
    nearest = possible or min(candidates, key=lambda f: sum(claim.holds is False for claim in f.claims))
    unseen = tuple(claim.says for claim in nearest.claims if claim.holds is None)
    against = tuple(f"for {nearest.outcome}, not so: {c.says}" for c in nearest.claims if c.holds is False)
    return Finding(Outcome.INCONCLUSIVE, nearest.claims, missing=unseen, contradictions=against)


def _write_write(view: ConnectionView) -> Iterator[Claim]:
    """What a proven deadlock shows; the proof itself has looked closer."""
    for role in Role:
        yield Claim(Witness.PROGRAM, f"the {role}'s program waits for room to write", view.knot is not None or None)
    yield from _both_closed(view)


def _both_closed(view: ConnectionView) -> Iterator[Claim]:
    for role in Role:
        yield Claim(
            Witness.KERNEL, f"the {role}'s socket holds data behind a zero window", view.blocked_by_zero_window(role)
        )
    for role in Role:
        if view.captured:
            advertised = view.wire.zero_windows[role] > 0 and view.wire.closed[role] is True
            yield Claim(Witness.WIRE, f"the {role} advertises a zero window on the wire", advertised)


def _refused(view: ConnectionView) -> Iterator[Claim]:
    """The client tries in vain, by its own count; the server waits on the connection: for room, or starved of data."""
    futile = futile_sends(view.evidence.snapshots, Role.CLIENT)
    yield Claim(Witness.PROGRAM, "the client's sends are refused", None if futile is None else futile > 0)
    waits = view.blocked_in(Role.SERVER, SENDING | RECEIVING)
    yield Claim(Witness.PROGRAM, "the server's program is blocked in a call on it", waits)
    nothing = view.nothing_to_send(Role.CLIENT)
    yield Claim(Witness.KERNEL, "the client's socket holds data", None if nothing is None else not nothing)
    if view.captured:
        yield Claim(Witness.WIRE, "a zero window stands on the wire", True in view.wire.closed)


def _read_read(view: ConnectionView) -> Iterator[Claim]:
    for role in Role:
        yield Claim(Witness.KERNEL, f"the {role}'s socket holds nothing", _empty(view, role))
        says = f"the {role}'s program is blocked in a receive on it"
        yield Claim(Witness.PROGRAM, says, bool(view.blocked_in(role, RECEIVING)))


def _one_sided(view: ConnectionView, role: Role) -> Iterator[Claim]:
    """One side is blocked behind the other's zero window, and the other has nothing to write."""
    yield Claim(
        Witness.KERNEL, f"the {role}'s socket holds data behind a zero window", view.blocked_by_zero_window(role)
    )
    yield Claim(Witness.KERNEL, f"the {role.peer}'s socket has nothing to send", view.nothing_to_send(role.peer))
    writing = view.blocked_in(role.peer, SENDING)
    says = f"the {role.peer}'s program is not blocked in a send"
    yield Claim(Witness.PROGRAM, says, None if writing is None else not writing, needed=False)
    if view.captured:
        closed = view.wire.closed[role.peer] is True
        yield Claim(Witness.WIRE, f"the {role.peer} advertises a zero window on the wire", closed)


def _idle(view: ConnectionView) -> Iterator[Claim]:
    for role in Role:
        yield Claim(Witness.KERNEL, f"the {role}'s socket has nothing to send", view.nothing_to_send(role))
        says = f"the {role}'s program is not blocked in a send"
        writing = view.blocked_in(role, SENDING)
        yield Claim(Witness.PROGRAM, says, None if writing is None else not writing, needed=False)


def _empty(view: ConnectionView, role: Role) -> bool | None:
    socket = view.socket(role)
    return None if socket is None else socket.rqueue == 0 and socket.wqueue == 0


def _grade(finding: Finding) -> Grade | None:
    if finding.outcome is not Outcome.DEADLOCK:
        return None
    return finding.knot.grade if finding.knot else Grade.CONSISTENT


def _testimonies(view: ConnectionView, finding: Finding) -> Testimonies:
    told = {each: [claim.holds for claim in finding.claims if claim.witness is each] for each in Witness}
    program = _testimony(told[Witness.PROGRAM])
    if finding.outcome is Outcome.DEADLOCK and not finding.knot:
        # Whoever is live might read; whoever was not seen, too.
        program = Testimony.MISSING if view.analysis is None or view.analysis.missing else Testimony.DISAGREES
    # The proof has its own reasons for the kernel: a starved side has its window open, and can move nothing.
    kernel = Testimony.AGREES if finding.knot else _testimony(told[Witness.KERNEL])
    wire = _testimony(told[Witness.WIRE]) if view.captured else Testimony.MISSING
    if finding.knot and wire is Testimony.DISAGREES and not _moved_after(view):
        wire = Testimony.SILENT
    return Testimonies(program, kernel, wire)


def _moved_after(view: ConnectionView) -> bool:
    """Whether the wire shows a new byte, or a window that opened, after the cut that proves that none can come."""
    progress = view.wire.progress
    return progress is not None and view.last is not None and progress.time_ns > view.last.time_ns


def _testimony(claims: list[bool | None]) -> Testimony:
    if None in claims:
        return Testimony.MISSING
    if not claims:
        return Testimony.SILENT
    return Testimony.AGREES if all(claims) else Testimony.DISAGREES


def _cycle(view: ConnectionView, finding: Finding) -> Iterator[Edge]:
    if finding.knot:
        yield from (_edge(view, each) for each in finding.knot.edges)
    elif finding.outcome in (Outcome.DEADLOCK, Outcome.READ_READ):
        waits_for = "room to write" if finding.outcome is Outcome.DEADLOCK else "data to read"
        witnesses = tuple(each for each in Witness if any(claim.witness is each for claim in finding.claims))
        yield from (Edge(role, waits_for, role.peer, witnesses) for role in (Role.SERVER, Role.CLIENT))


def _edge(view: ConnectionView, dependency: WaitForEdge) -> Edge:
    """Witnessed by the program and the kernel; by the wire where zero windows of the holder were captured."""
    roles = {(t.pid, t.tid): t.role for t in view.last.threads_after} if view.last else {}
    ends = [roles.get((each.pid, each.tid)) for each in (dependency.waiter, dependency.holder)]
    planned = view.evidence.spec is not None
    both = zip(ends, (dependency.waiter, dependency.holder), strict=True)
    names = [role if role and planned else _named(view, thread) for role, thread in both]
    holder = ends[1]
    seen = holder is not None and view.captured and view.wire.zero_windows[holder] > 0
    witnesses = (Witness.PROGRAM, Witness.KERNEL, *((Witness.WIRE,) if seen else ()))
    return Edge(str(names[0]), dependency.waits_for, str(names[1]), witnesses)


def _named(view: ConnectionView, thread: Thread) -> str:
    """`pid/tid comm`, and its container where it is in one."""
    processes = (view.last.processes or ()) if view.last else ()
    inside = next((each.container for each in processes if each.pid == thread.pid), None)
    return f"{thread.name} [{inside}]" if inside else thread.name


def _live(view: ConnectionView, finding: Finding) -> Iterable[Live]:
    """Whose life keeps it from being proven, and what each waits for."""
    client, server = (view.socket(role) for role in Role)
    if finding.outcome in (Outcome.COMPLETED, Outcome.ABORTED):
        return
    if finding.knot or view.analysis is None or client is None or server is None:
        return
    for each in view.analysis.against(client.inode, server.inode):
        yield Live(each.thread.name, f"{each.waits_for}: {each.why}")


def _unseen(view: ConnectionView, finding: Finding) -> tuple[str, ...]:
    """What was not observed, and would decide whether a deadlock is proven."""
    if finding.outcome is not Outcome.DEADLOCK or finding.knot or view.analysis is None:
        return ()
    return view.analysis.missing


def _forecast(evidence: Evidence) -> ForecastSummary:
    if evidence.spec is None:
        return NO_FORECAST
    seen = forecast(evidence.spec, evidence.settings, evidence.core)
    return ForecastSummary(seen.client_accepted, seen.server_processed)


def _wire_summary(evidence: Evidence, wire: WireFacts) -> WireSummary:
    if evidence.capture is None:
        nothing: Pair[int | None] = Pair(None, None)
        return WireSummary(None, None, nothing, nothing, nothing)
    first = [moment.time_ns if moment else None for moment in wire.first_zero_window]
    return WireSummary(
        frames=evidence.capture.frames,
        dropped=evidence.capture.dropped,
        zero_windows=Pair(*wire.zero_windows),
        probes=Pair(*wire.probes),
        first_zero_window_ns=Pair(first[0], first[1]),
    )
