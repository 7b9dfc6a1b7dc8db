"""From evidence to verdict. Pure, and blind to any older verdict.

The structural proof decides first: if the connection is part of a knot of threads that wait for room to write, it is a
deadlock, within what the grade names, however short it has stood. Without a proof the outcome is read from a table
(`standstill`), and needs stillness (`Limits.still_s`). A deadlock that is not proven is `consistent`, and lists the
threads that might still read. A connection of which only packets are known is judged by `lab.wire`.
"""

from collections.abc import Iterable, Iterator

from lab.evidence import Evidence, SocketSample, Wants, WireFacts
from lab.forecast import NOTHING_FORECAST, Forecast, forecast
from lab.proof.account import account, refuted_ends
from lab.proof.connection_view import ConnectionView
from lab.proof.cycles import WaitForEdge
from lab.proof.diagnosis import diagnosis
from lab.proof.one_end import ends_seen
from lab.proof.standstill import Finding, balanced, kind_of_standstill, write_write
from lab.proof.threads import Thread
from lab.reason import Reason, Why, because, quoted
from lab.spec import Grade, Outcome, Pair, Role
from lab.verdict import Edge, LastData, LiveWait, Testimonies, Testimony, Verdict, WireSummary, Witness

REOPENINGS = 3
"""A closed window that opened again this often, while bytes moved, is a slow reader's."""


def judge(evidence: Evidence) -> Verdict:
    """The one opinion of the house, on the evidence so far."""
    return _judged(ConnectionView(evidence))


def judge_all(evidences: Iterable[Evidence]) -> list[Verdict]:
    """As `judge` of each. Of connections in one snapshot, it is worked out once who waits for whom."""
    first: dict[int, ConnectionView] = {}
    verdicts = []
    for evidence in evidences:
        last = evidence.snapshots[-1] if evidence.snapshots else None
        shared = id(last.processes) if last and last.processes else None
        view = ConnectionView(evidence, first.get(shared) if shared else None)
        if shared:
            first.setdefault(shared, view)
        verdicts.append(_judged(view))
    return verdicts


def _judged(view: ConnectionView) -> Verdict:
    evidence, finding = view.evidence, _find(view)
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
        missing=(*finding.missing, *_unseen(view, finding), *map(quoted, evidence.missing)),
        contradictions=finding.contradictions,
        account=account(evidence),
        wire=_wire_summary(evidence, view.wire),
        forecast=_forecast(evidence),
        seen=ends_seen(view.last.sockets) if view.last else None,
        last_data=_last_data(view),
        peer_probes=view.peer_probes,
        diagnosis=finding.diagnosis or diagnosis(view, finding.outcome),
        premises=knot.premises if knot else (),
        arguments=knot.arguments if knot else (),
    )


def proven(evidence: Evidence) -> bool:
    """Whether `judge` would call it a proven deadlock; quick, for a pair that is sampled every millisecond."""
    view = ConnectionView(evidence)
    return view.knot is not None and _find(view).outcome is Outcome.DEADLOCK


def _find(view: ConnectionView) -> Finding:
    """The rules, in order."""
    if found := _ended(view):
        return found
    if view.ends is None or view.last is None:
        return Finding(Outcome.INCONCLUSIVE, missing=(Reason(Why.NO_CONNECTION),))
    if view.knot:
        return balanced(view, Finding(Outcome.DEADLOCK, tuple(write_write(view)), knot=view.knot))
    if not any(view.socket(role) for role in Role):
        return Finding(Outcome.INCONCLUSIVE, missing=(Reason(Why.NEITHER_SOCKET),))
    if not view.still:
        slow = any(count >= REOPENINGS for count in view.reopenings())
        return Finding(Outcome.SLOW_READER if slow else Outcome.MOVING)
    return kind_of_standstill(view)


def _ended(view: ConnectionView) -> Finding | None:
    """Where a program has failed, or both have ended."""
    evidence = view.evidence
    failed = [end for end in evidence.ended if end and end.error]
    if failed:
        corrupt = tuple(because(Why.WRONG_BYTE, end.role, end.error or "") for end in failed if end.corrupt)
        return Finding(Outcome.ABORTED, contradictions=corrupt)
    if all(evidence.ended):
        refuted = (*refuted_ends(evidence), *_refuted_on_the_wire(view))
        return Finding(Outcome.INCONCLUSIVE if refuted else Outcome.COMPLETED, contradictions=refuted)
    return None


def _refuted_on_the_wire(view: ConnectionView) -> Iterator[Reason]:
    """Where a complete capture shows something else than the completion that both programs report.

    Every client says by its FIN that it has sent all, and every server reads up to it before it ends.
    """
    client = view.evidence.ended.client
    if client is None or not view.captured:
        return
    if view.wire.carried.client is None:
        yield Reason(Why.NO_CONVERSATION)
    for role, said in zip(Role, (client.sent, client.received), strict=True):
        carried = view.wire.carried[role]
        if carried is not None and carried != said % (1 << 32):
            yield because(Why.WIRE_CARRIED, carried, role, said)


def _grade(finding: Finding) -> Grade | None:
    if finding.outcome is not Outcome.DEADLOCK:
        return None
    return finding.knot.grade if finding.knot else Grade.CONSISTENT


def _testimonies(view: ConnectionView, finding: Finding) -> Testimonies:
    claimed = {each: [claim.holds for claim in finding.claims if claim.witness is each] for each in Witness}
    program = _testimony(claimed[Witness.PROGRAM])
    if finding.outcome is Outcome.DEADLOCK and not finding.knot:
        # A live thread might read, and so might one that was not seen.
        program = Testimony.MISSING if view.analysis is None or view.analysis.missing else Testimony.DISAGREES
    # The proof has its own reasons for the kernel: a starved side has its window open, and can move nothing.
    kernel = Testimony.AGREES if finding.knot else _testimony(claimed[Witness.KERNEL])
    wire = _testimony(claimed[Witness.WIRE]) if view.captured else Testimony.MISSING
    if finding.knot and wire is Testimony.DISAGREES and not _moved_after(view):
        wire = Testimony.SILENT
    return Testimonies(program, kernel, wire)


def _moved_after(view: ConnectionView) -> bool:
    """Whether the wire shows a new byte, or a window that opened, after the snapshot that proves that none can come."""
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
    elif finding.outcome in (Outcome.DEADLOCK, Outcome.READ_READ) and finding.claims:
        waits_for = Wants.WRITE if finding.outcome is Outcome.DEADLOCK else Wants.READ
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


def _live(view: ConnectionView, finding: Finding) -> Iterable[LiveWait]:
    """The live threads that keep it from being proven, and what each waits for."""
    client, server = (view.socket(role) for role in Role)
    if finding.outcome in (Outcome.COMPLETED, Outcome.ABORTED):
        return
    if finding.knot or view.analysis is None or client is None or server is None:
        return
    for each in view.analysis.against(client.inode, server.inode):
        yield LiveWait(each.name, each.told)


def _last_data(view: ConnectionView) -> Pair[LastData | None]:
    """The kernel's stamps are of its start where there was no data: then the counters show that there was none."""

    def of(socket: SocketSample | None) -> LastData | None:
        if socket is None:
            return None
        sent = socket.bytes_acked + socket.wqueue > 1 and socket.state != "SYN-SENT"
        received = socket.bytes_received > 0 and socket.last_data_recv_ms is not None
        return LastData(
            socket.last_data_sent_ms / 1000 if sent else None,
            (socket.last_data_recv_ms or 0) / 1000 if received else None,
        )

    return Pair(*(of(view.socket(role)) for role in Role))


def _unseen(view: ConnectionView, finding: Finding) -> tuple[Reason, ...]:
    """What was not observed, and would decide whether a deadlock is proven."""
    if finding.outcome is not Outcome.DEADLOCK or finding.knot or view.analysis is None:
        return ()
    return view.analysis.missing


def _forecast(evidence: Evidence) -> Forecast:
    spec = evidence.spec
    return NOTHING_FORECAST if spec is None else forecast(spec, evidence.settings, evidence.core)


def _wire_summary(evidence: Evidence, wire: WireFacts) -> WireSummary:
    if evidence.capture is None:
        nothing: Pair[int | None] = Pair(None, None)
        return WireSummary(None, None, nothing, nothing, nothing)
    return WireSummary.of(wire, evidence.capture.frames, evidence.capture.dropped)
