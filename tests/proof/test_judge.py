"""Sabotage: a real freeze is recorded, one fact is taken away or turned round, and the proof must fall.

The rules of the proof have tests of their own; here is what the whole verdict makes of a run that was really played.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lab.evidence import (
    CaptureCount,
    Ended,
    Evidence,
    Item,
    Progress,
    Resource,
    Snapshot,
    SocketSample,
    ThreadSample,
    Wait,
    Wants,
)
from lab.forecast import NOTHING_FORECAST
from lab.proof.connection_view import STILL_S
from lab.proof.judge import judge, judge_all
from lab.report.reasons import all_words, words
from lab.spec import Grade, Outcome, Pair, Role
from lab.tcp.segment import ControlBits, Segment
from lab.verdict import LastData, Verdict, Witness
from lab.verdict import Testimony as Says
from lab.wire.witness import witness
from tests.played import frozen, played, segments, spec_of
from tests.proof import frozen_pair

Change = Callable[[Evidence], Evidence]
ROLES = list(Role)
MOVES = (Outcome.MOVING, Outcome.SLOW_READER)
"""On its way to the freeze a pair closes windows and opens them again, now and then often enough for the second."""


def every_snapshot(evidence: Evidence, change: Callable[[Snapshot], Snapshot]) -> Evidence:
    return replace(evidence, snapshots=tuple(map(change, evidence.snapshots)))


def last_snapshot(evidence: Evidence, change: Callable[[Snapshot], Snapshot]) -> Evidence:
    return replace(evidence, snapshots=(*evidence.snapshots[:-1], change(evidence.snapshots[-1])))


def socket(role: Role, **facts: object) -> Callable[[Snapshot], Snapshot]:
    def changed(sample: SocketSample | None) -> SocketSample | None:
        return replace(sample, **facts) if sample and sample.role is role else sample  # type: ignore[arg-type]

    return lambda shot: replace(shot, sockets=Pair(*map(changed, shot.sockets)))


def no_socket(role: Role) -> Callable[[Snapshot], Snapshot]:
    return lambda shot: replace(shot, sockets=Pair(*(s if s and s.role is not role else None for s in shot.sockets)))


def threads(role: Role, *, before: bool = True, **facts: Any) -> Callable[[Snapshot], Snapshot]:  # noqa: ANN401
    def changed(samples: tuple[ThreadSample, ...]) -> tuple[ThreadSample, ...]:
        return tuple(replace(t, **facts) if t.role is role else t for t in samples)

    return lambda shot: replace(
        shot,
        threads_before=changed(shot.threads_before) if before else shot.threads_before,
        threads_after=changed(shot.threads_after),
    )


def no_threads(role: Role) -> Callable[[Snapshot], Snapshot]:
    return lambda shot: replace(
        shot,
        threads_before=tuple(t for t in shot.threads_before if t.role is not role),
        threads_after=tuple(t for t in shot.threads_after if t.role is not role),
    )


def progress(role: Role, change: Callable[[Progress], Progress | None]) -> Callable[[Snapshot], Snapshot]:
    return lambda shot: replace(shot, progress=Pair(*(change(p) if p and p.role is role else p for p in shot.progress)))


def without(role: Role, unwanted: Callable[[Segment], bool]) -> Change:
    def change(evidence: Evidence) -> Evidence:
        ends = evidence.connected.client
        assert ends is not None
        address = ends.local if role is Role.CLIENT else ends.remote
        seen = segments(evidence)
        kept = [s for s in seen if not (s.source == address and unwanted(s))]
        assert len(kept) < len(seen)
        return replace(evidence, wire=witness(kept, Pair(ends.local, ends.remote)))

    return change


def ended(role: Role, error: str | None = None, *, corrupt: bool = False) -> Ended:
    return Ended(role, 0, 0, 0, error, corrupt)


def both(*changes: Change) -> Change:
    def change(evidence: Evidence) -> Evidence:
        for each in changes:
            evidence = each(evidence)
        return evidence

    return change


def blind(evidence: Evidence) -> Evidence:
    """No program can be read: nothing is proven, and stillness has to do."""
    for role in Role:
        evidence = every_snapshot(evidence, threads(role, syscall=None, args=(), wait=None))
    return evidence


def fallen(change: Change) -> Verdict:
    """The verdict on the frozen run without that fact; with it, it is proven."""
    evidence = frozen()
    assert judge(evidence).grade is Grade.PROVEN
    changed = change(evidence)
    assert changed != evidence, "nothing was sabotaged"
    verdict = judge(changed)
    assert verdict.grade in (None, Grade.CONSISTENT)
    assert (verdict.proved_ns, verdict.holds_until_ns) == (None, None)
    return verdict


def test_a_real_freeze_is_a_proven_deadlock_and_all_three_witnesses_say_so() -> None:
    verdict = judge(frozen())
    assert (verdict.outcome, verdict.grade) == (Outcome.DEADLOCK, Grade.PROVEN)
    assert (verdict.witnesses.program, verdict.witnesses.kernel, verdict.witnesses.wire) == (Says.AGREES,) * 3
    assert {(edge.waiter, edge.holder) for edge in verdict.cycle} == {("client", "server"), ("server", "client")}
    assert all(edge.witnesses == tuple(Witness) for edge in verdict.cycle)
    assert (verdict.missing, verdict.contradictions, verdict.live) == ((), (), ())
    assert len(verdict.arguments) == 2, "one for each socket"
    assert all((verdict.wire.zero_windows[role] or 0) > 0 for role in Role)
    assert all((verdict.wire.probes[role] or 0) > 0 for role in Role)


def test_its_seal_comes_before_its_proof_and_its_age_counts_from_the_seal() -> None:
    evidence = frozen()
    verdict = judge(evidence)
    assert verdict.seal_ns is not None
    assert verdict.proved_ns is not None
    assert evidence.started_ns < verdict.seal_ns <= verdict.proved_ns < evidence.seen_ns
    assert verdict.age_s == pytest.approx((evidence.seen_ns - verdict.seal_ns) / 1e9)
    stamps = [p.stamp_ns for p in evidence.snapshots[-1].progress if p]
    assert verdict.seal_ns >= max(stamps)


def no_window(role: Role) -> Callable[[Snapshot], Snapshot]:
    """Neither what it may send nor what its peer offers: the one or the other may do for a proof."""
    heard, offered = socket(role, snd_wnd=None), socket(role.peer, rcv_wnd=None)
    return lambda shot: offered(heard(shot))


REMOVED: dict[str, tuple[Change, str]] = {
    "no snapshot": (lambda e: replace(e, snapshots=()), "connect"),
    "no connection": (lambda e: replace(e, connected=Pair(None, None)), "connect"),
} | {
    f"{name} of the {role}": (lambda e, change=change, role=role: every_snapshot(e, change(role)), says.format(role))
    for role in Role
    for name, change, says in (
        ("no socket", no_socket, "the {}'s socket"),
        ("no window", no_window, "the {}'s socket holds data behind a zero window"),
    )
}


@pytest.mark.parametrize("name", REMOVED)
def test_without_a_fact_of_the_kernels_it_is_inconclusive_and_the_fact_is_named(name: str) -> None:
    change, says = REMOVED[name]
    verdict = fallen(change)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert any(says in each for each in all_words(verdict.missing)), verdict.missing


def ran_meanwhile(role: Role) -> Change:
    """One more context switch in the second reading of the last cut."""
    return lambda e: last_snapshot(
        e, threads(role, before=False, switches=1 + sum(t.switches or 0 for t in e.snapshots[-1].threads_after))
    )


UNREAD: dict[str, Callable[[Role], Change]] = {
    "no threads": lambda role: lambda e: every_snapshot(e, no_threads(role)),
    "unreadable calls": lambda role: lambda e: every_snapshot(e, threads(role, syscall=None, args=(), wait=None)),
    "unknown switches": lambda role: lambda e: every_snapshot(e, threads(role, switches=None)),
    "an unknown wait": lambda role: lambda e: every_snapshot(e, threads(role, wait=None)),
    "a thread that ran meanwhile": ran_meanwhile,
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", UNREAD)
def test_without_a_fact_of_the_programs_nothing_is_proven_and_whoever_might_read_is_named(
    name: str, role: Role
) -> None:
    verdict = fallen(UNREAD[name](role))
    pid = next(t.pid for t in frozen().snapshots[-1].threads_after if t.role is role)
    assert any(str(pid) in each.thread for each in verdict.live), verdict.live
    assert verdict.witnesses.program in (Says.MISSING, Says.DISAGREES)
    assert verdict.witnesses.kernel is Says.AGREES


@pytest.mark.parametrize(
    "change", [lambda e: replace(e, capture=None), lambda e: replace(e, capture=CaptureCount("eth0", 100, 5))]
)
def test_the_proof_does_not_need_the_wire_and_says_that_it_is_missing(change: Change) -> None:
    verdict = judge(change(frozen()))
    assert (verdict.grade, verdict.witnesses.wire) == (Grade.PROVEN, Says.MISSING)
    assert all(Witness.WIRE not in edge.witnesses for edge in verdict.cycle)


def test_what_the_observer_missed_is_passed_on() -> None:
    why = "cannot capture on eth0: needs CAP_NET_RAW"
    verdict = judge(replace(frozen(), capture=None, missing=(why,)))
    assert why in all_words(verdict.missing)
    assert (verdict.wire.frames, verdict.wire.zero_windows.client, verdict.wire.probes.server) == (None, None, None)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("facts", [{"snd_wnd": 1 << 20}, {"wqueue": 0}])
def test_an_open_window_or_an_empty_queue_is_no_deadlock_and_the_contradiction_is_told(
    role: Role, facts: dict[str, int]
) -> None:
    offered = {"rcv_wnd": facts["snd_wnd"]} if "snd_wnd" in facts else {}
    verdict = fallen(lambda e: every_snapshot(every_snapshot(e, socket(role, **facts)), socket(role.peer, **offered)))
    assert verdict.outcome in (Outcome.INCONCLUSIVE, Outcome.ONE_SIDED_STALL)
    assert verdict.contradictions or verdict.outcome is Outcome.ONE_SIDED_STALL


@pytest.mark.parametrize("role", ROLES)
def test_a_writer_with_room_is_not_blocked_for_good(role: Role) -> None:
    verdict = fallen(lambda e: every_snapshot(e, socket(role, wmem_queued=0)))
    assert any("has room" in words(each.waits_for) for each in verdict.live)


WAITS: dict[str, Callable[[SocketSample], dict[str, Any]]] = {
    "it reads": lambda s: {
        "syscall": "recvfrom",
        "wait": Wait("recvfrom", (Item(Resource.socket(s.inode), Wants.READ),)),
    },
    "it sleeps": lambda _: {
        "syscall": "clock_nanosleep",
        "socket_inode": None,
        "wait": Wait("clock_nanosleep", (), timed=True),
    },
    "it runs": lambda _: {"syscall": "running", "args": (), "socket_inode": None, "wait": None, "state": "R"},
    "it has a time limit": lambda s: {
        "wait": Wait("sendto", (Item(Resource.socket(s.inode), Wants.WRITE),), timed=True)
    },
    "it waits for a stranger as well": lambda s: {
        "wait": Wait(
            "poll", (Item(Resource.socket(s.inode), Wants.WRITE), Item(Resource.parse("other:what"), Wants.READ))
        )
    },
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", WAITS)
def test_a_program_that_may_still_act_is_live_and_nothing_is_proven(name: str, role: Role) -> None:
    sample = frozen().snapshots[-1].sockets[role]
    assert sample is not None
    verdict = fallen(lambda e: every_snapshot(e, threads(role, **WAITS[name](sample))))
    assert verdict.live
    assert verdict.witnesses.program is not Says.AGREES


def test_of_what_moves_too_it_is_told_who_is_live() -> None:
    """A slow reader rests in the one thread that all wait for."""
    evidence = played("slow-reader", until="1")
    verdict = judge(evidence)
    assert verdict.outcome in MOVES
    last = evidence.snapshots[-1]
    assert {each.thread.partition(" ")[0] for each in verdict.live} >= {f"{t.pid}/{t.tid}" for t in last.threads_after}


@pytest.mark.parametrize("role", ROLES)
def test_a_wire_without_zero_windows_of_one_side_is_no_witness_for_a_proof(role: Role) -> None:
    verdict = judge(without(role, lambda segment: segment.wnd == 0)(frozen()))
    assert (verdict.grade, verdict.witnesses.wire) == (Grade.PROVEN, Says.SILENT)


@pytest.mark.parametrize("role", ROLES)
def test_where_nothing_is_proven_a_wire_without_zero_windows_of_one_side_speaks_against_it(role: Role) -> None:
    verdict = fallen(both(blind, without(role, lambda segment: segment.wnd == 0)))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.witnesses.wire is Says.DISAGREES
    assert any(f"the {role} advertises a zero window" in each for each in all_words(verdict.contradictions))


def opened(role: Role) -> Change:
    """Its window opens on the wire, after all."""

    def change(evidence: Evidence) -> Evidence:
        ends = evidence.connected.client
        assert ends is not None
        address = ends.local if role is Role.CLIENT else ends.remote
        seen = segments(evidence)
        last = next(segment for segment in reversed(seen) if segment.source == address)
        late = last._replace(frame=seen[-1].frame + 1, wnd=7, time_ns=evidence.seen_ns)
        return replace(evidence, wire=witness([*seen, late], Pair(ends.local, ends.remote)))

    return change


@pytest.mark.parametrize("role", ROLES)
def test_a_window_that_opened_on_the_wire_after_all_disagrees_with_a_proof(role: Role) -> None:
    assert judge(opened(role)(frozen())).witnesses.wire is Says.DISAGREES


@pytest.mark.parametrize("role", ROLES)
def test_where_nothing_is_proven_such_a_window_speaks_against_it(role: Role) -> None:
    verdict = fallen(both(blind, opened(role)))
    assert (verdict.outcome, verdict.witnesses.wire) == (Outcome.INCONCLUSIVE, Says.DISAGREES)


def test_without_a_proof_a_long_stillness_is_consistent_with_a_deadlock() -> None:
    verdict = fallen(blind)
    assert (verdict.outcome, verdict.grade) == (Outcome.DEADLOCK, Grade.CONSISTENT)
    assert verdict.witnesses.program is Says.MISSING
    assert len(verdict.live) == 2


@pytest.mark.parametrize("role", ROLES)
def test_without_a_proof_a_byte_just_now_means_that_it_moves(role: Role) -> None:
    def just_now(e: Evidence) -> Evidence:
        return last_snapshot(e, progress(role, lambda p: replace(p, stamp_ns=e.snapshots[-1].time_ns - 499_000_000)))

    assert fallen(both(blind, just_now)).outcome in MOVES


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("fact", ["bytes_acked", "bytes_received"])
def test_without_a_proof_a_sequence_that_moved_just_now_means_that_it_moves(role: Role, fact: str) -> None:
    def moved(evidence: Evidence) -> Evidence:
        sample = evidence.snapshots[-1].sockets[role]
        return last_snapshot(evidence, socket(role, **{fact: getattr(sample, fact) + 1}))

    assert fallen(both(blind, moved)).outcome in MOVES


def test_without_a_proof_stillness_is_counted_from_the_last_byte_and_must_last() -> None:
    """The first snapshot after the seal shows the same as the last one, and is not enough."""
    evidence = frozen()
    seal_ns = judge(evidence).seal_ns
    assert seal_ns is not None
    early = tuple(s for s in evidence.snapshots if s.time_ns < seal_ns + 400_000_000)
    assert any(s.time_ns >= seal_ns for s in early)
    assert judge(blind(replace(evidence, snapshots=early))).outcome in MOVES


@pytest.mark.parametrize("surplus", [-1, 1, 1024])
@pytest.mark.parametrize(("role", "total"), [(Role.CLIENT, "server_processed"), (Role.SERVER, "client_accepted")])
def test_accounts_that_do_not_balance_make_it_inconclusive(role: Role, total: str, surplus: int) -> None:
    """A counter of one side is what those of the others must add up to; a byte too many is two witnesses at odds."""
    verdict = fallen(lambda e: every_snapshot(e, progress(role, lambda p: replace(p, received=p.received + surplus))))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.cycle == ()
    assert any(total in each for each in all_words(verdict.contradictions))


@pytest.mark.parametrize("retries", ["15", "1"])
def test_the_account_is_checked_whatever_a_proof_is_qualified_by(retries: str) -> None:
    """With tcp_retries2=1 TCP itself may end the connection, which excuses no byte that is counted wrong."""
    settings, pair = frozen_pair.settings(tcp_retries2=retries), frozen_pair.counted()
    proven = judge(frozen_pair.evidence(pair, settings=settings))
    assert proven.grade is (Grade.QUALIFIED if retries == "1" else Grade.PROVEN), proven
    assert any("tcp_retries2" in each for each in all_words(proven.qualifiers)) is (retries == "1")
    off = progress(Role.SERVER, lambda counts: replace(counts, received=counts.received + 1024))(pair)
    verdict = judge(frozen_pair.evidence(off, settings=settings))
    assert (verdict.outcome, verdict.grade) == (Outcome.INCONCLUSIVE, None)
    assert any("server_processed 28024" in each for each in all_words(verdict.contradictions))


@pytest.mark.parametrize("facts", [{"state": "T"}, {"state": "t"}, {"suspended": "frozen"}])
@pytest.mark.parametrize("role", ROLES)
def test_a_stopped_program_is_suspended_whatever_it_was_doing(role: Role, facts: dict[str, Any]) -> None:
    verdict = fallen(lambda e: every_snapshot(e, threads(role, **facts)))
    assert verdict.outcome is Outcome.SUSPENDED
    assert verdict.missing, "who is suspended"


@pytest.mark.parametrize("role", ROLES)
def test_an_error_aborts(role: Role) -> None:
    def change(evidence: Evidence) -> Evidence:
        end = ended(role, "ECONNRESET: Connection reset by peer")
        return replace(evidence, ended=Pair(*(end if each is role else None for each in Role)))

    verdict = fallen(change)
    assert (verdict.outcome, verdict.contradictions) == (Outcome.ABORTED, ())


@pytest.mark.parametrize("role", ROLES)
def test_a_wrong_byte_is_loud(role: Role) -> None:
    def change(evidence: Evidence) -> Evidence:
        end = ended(role, "corrupt: at byte 7 expected b'x', got b'y'", corrupt=True)
        return replace(evidence, ended=Pair(*(end if each is role else None for each in Role)))

    verdict = fallen(change)
    assert verdict.outcome is Outcome.ABORTED
    assert any(
        f"the {role} read a wrong byte" in each and "at byte 7" in each for each in all_words(verdict.contradictions)
    )


def well(role: Role, count: int) -> Ended:
    """All was sent, read and verified, by its own word."""
    return Ended(role, 0, count, count, None)


def claimed(count: int) -> Change:
    return lambda e: replace(e, ended=Pair(well(Role.CLIENT, count), well(Role.SERVER, count)))


PAYLOAD = 64 << 20
"""Of the scenario that completes."""


def test_both_say_that_they_ended_well_and_their_sockets_refute_it() -> None:
    """Nothing but a program's word says that it has ended: each socket has moved less than the program tells of."""
    verdict = fallen(claimed(PAYLOAD))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    for role in Role:
        assert any(f"the {role} says it wrote {PAYLOAD}" in each and "by its socket" in each
                   for each in all_words(verdict.contradictions)), verdict.contradictions  # fmt: skip


def test_an_end_before_the_payload_was_through_is_no_good_end() -> None:
    verdict = fallen(claimed(0))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    due = spec_of(frozen()).scenario.load.payload
    assert f"the client says it wrote 0 and read 0, of {due} and {due}" in all_words(verdict.contradictions)
    assert f"the server says it wrote 0 and read 0, of 0 and {due}" in all_words(verdict.contradictions)


def test_where_the_sockets_are_gone_the_wire_refutes_it() -> None:
    def gone(evidence: Evidence) -> Evidence:
        for role in Role:
            evidence = every_snapshot(evidence, no_socket(role))
        return evidence

    verdict = fallen(both(claimed(PAYLOAD), gone))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert any(
        "shows no conversation of this client's to its end" in each for each in all_words(verdict.contradictions)
    )


@pytest.mark.parametrize("role", ROLES)
def test_a_completion_stands_on_what_the_wire_carried(role: Role) -> None:
    evidence = played("healthy")
    ends = evidence.connected.client
    assert ends is not None
    assert judge(evidence).outcome is Outcome.COMPLETED
    address = ends.local if role is Role.CLIENT else ends.remote

    def one_byte_more(segment: Segment) -> Segment:
        late = segment.source == address and ControlBits.FIN in segment.bits
        return segment._replace(seq=segment.seq + 1) if late else segment

    more = witness(map(one_byte_more, segments(evidence)), evidence.wire.ends)
    verdict = judge(replace(evidence, wire=more))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert all_words(verdict.contradictions) == (
        f"the wire carried {PAYLOAD + 1} bytes of the {role}'s, and the client tells of {PAYLOAD}",
    )


@pytest.mark.parametrize("role", ROLES)
def test_a_socket_that_the_program_does_not_hold_tells_nothing_of_it(role: Role) -> None:
    """Its program has named some other connection of this namespace."""

    def change(evidence: Evidence) -> Evidence:
        socket = evidence.snapshots[-1].sockets[role]
        assert socket is not None

        def holds_another(shot: Snapshot) -> Snapshot:
            return replace(
                shot,
                processes=tuple(
                    replace(p, resources=tuple(r for r in p.resources or () if r != Resource.socket(socket.inode)))
                    for p in shot.processes or ()
                ),
            )

        return every_snapshot(blind(evidence), holds_another)

    verdict = fallen(change)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert any(f"the {role} says that" in each for each in all_words(verdict.contradictions))


def test_one_that_ended_well_is_not_enough() -> None:
    evidence = replace(frozen(), ended=Pair(ended(Role.CLIENT), None))
    assert judge(evidence).outcome is not Outcome.COMPLETED


OUTCOMES = {
    "upper": Outcome.DEADLOCK,
    "echo": Outcome.DEADLOCK,
    "healthy": Outcome.COMPLETED,
    "idle": Outcome.IDLE,
    "one-sided-stall": Outcome.ONE_SIDED_STALL,
    "read-read": Outcome.READ_READ,
    "slow-reader": Outcome.SLOW_READER,
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_play_has_its_own_outcome(name: str) -> None:
    verdict = judge(played(name))
    assert verdict.outcome is OUTCOMES[name]
    assert verdict.missing == ()
    assert verdict.contradictions == ()
    assert (verdict.grade is not None) == (verdict.outcome is Outcome.DEADLOCK)


@pytest.mark.parametrize("name", ["idle", "one-sided-stall", "read-read"])
def test_a_control_with_one_socket_unseen_is_not_what_it_was(name: str) -> None:
    for role in Role:
        verdict = judge(every_snapshot(played(name, until="1.2"), no_socket(role)))
        assert verdict.outcome in (Outcome.INCONCLUSIVE, Outcome.IDLE)
        assert (verdict.outcome is Outcome.IDLE) <= (name != "one-sided-stall"), "one end shows that nothing is queued"


@pytest.mark.parametrize("role", ROLES)
def test_read_read_needs_empty_queues_and_two_readers(role: Role) -> None:
    """A byte in a queue will be read; a program that does something else will do something else."""
    evidence = played("read-read")
    assert judge(every_snapshot(evidence, threads(role, syscall="pause"))).outcome is not Outcome.READ_READ
    assert judge(every_snapshot(evidence, socket(role, rqueue=1))).outcome is not Outcome.READ_READ
    assert judge(every_snapshot(evidence, socket(role, wqueue=1))).outcome is not Outcome.READ_READ


def test_read_read_needs_no_wire() -> None:
    evidence = played("read-read")
    verdict = judge(replace(evidence, capture=None))
    assert (verdict.outcome, verdict.witnesses.wire) == (Outcome.READ_READ, Says.MISSING)
    assert judge(evidence).witnesses.wire is Says.SILENT
    assert {edge.waits_for for edge in verdict.cycle} == {Wants.READ}


def test_a_one_sided_stall_is_none_when_the_server_writes_too() -> None:
    """It would be half of a deadlock."""
    evidence = played("one-sided-stall")
    inode = evidence.snapshots[-1].sockets.server
    assert inode is not None
    writing = every_snapshot(evidence, threads(Role.SERVER, syscall="sendto", socket_inode=inode.inode))
    assert judge(writing).outcome is Outcome.INCONCLUSIVE


def test_a_slow_reader_is_known_without_a_capture_too() -> None:
    """Its windows are in the samples as well, though there are fewer of these."""
    evidence = played("slow-reader")
    verdict = judge(replace(evidence, capture=None))
    assert verdict.outcome in MOVES


def of_others(evidence: Evidence) -> Evidence:
    """As seen of programs that the lab has not started: no spec, no counters, no word of theirs, no capture."""
    seen = every_snapshot(evidence, lambda shot: replace(shot, progress=Pair(None, None)))
    return replace(seen, spec=None, core={}, ended=Pair(None, None), capture=None, missing=())


def test_a_deadlock_of_other_programs_is_proven_without_a_spec_and_names_their_threads() -> None:
    verdict, planned = judge(of_others(frozen())), judge(frozen())
    assert (verdict.outcome, verdict.grade) == (Outcome.DEADLOCK, planned.grade)
    assert verdict.forecast == NOTHING_FORECAST != planned.forecast
    assert verdict.account.in_hand is None, "whether the server answers is not known"
    assert {each.waiter for each in planned.cycle} == set(Role)
    pids = {thread.pid for thread in frozen().snapshots[-1].threads_after}
    assert {int(each.waiter.split("/")[0]) for each in verdict.cycle} <= pids


@pytest.mark.parametrize(("longer_ns", "outcome"), [(-1, Outcome.MOVING), (0, Outcome.DEADLOCK)])
def test_a_connection_of_other_programs_stands_after_a_time_of_the_judge_s_own(longer_ns: int, outcome: str) -> None:
    last = frozen().snapshots[-1]
    still_ns = int(STILL_S * 1e9) + longer_ns

    def later(sample: SocketSample | None) -> SocketSample | None:
        return sample and replace(sample, time_ns=last.time_ns + still_ns)

    then = replace(last, number=last.number + 1, sockets=Pair(*map(later, last.sockets)))
    assert judge(of_others(blind(replace(frozen(), snapshots=(last, then))))).outcome == outcome


def beside_others(stopped: int | None = None) -> list[Evidence]:
    """Of three connections in one snapshot: two are frozen, the third has a reader that sleeps.

    The server of the one with this number is `stopped`.
    """
    pairs: list[Pair[SocketSample | None]] = []
    threads, held = [], []
    for number in range(3):
        here, there = f"198.18.20.20:{number + 1}", "198.18.20.10:1060"
        inodes = Pair(11 + 100 * number, 22 + 100 * number)
        silent = {"wqueue": 0, "notsent_bytes": 0, "wmem_queued": 0} if number == 2 else {}
        near = frozen_pair.client(inode=inodes.client, local=here, remote=there)
        far = frozen_pair.server(inode=inodes.server, local=there, remote=here, **silent)
        pairs.append(Pair(near, far))
        for role in Role:
            pid = 10 * number + 1 + ROLES.index(role)
            sleeps = number == 2 and role is Role.SERVER
            wait = Wait("clock_nanosleep", ()) if sleeps else frozen_pair.sends(inodes[role])
            own = None if sleeps else inodes[role]
            stops = "stopped" if number == stopped and role is Role.SERVER else None
            threads.append(frozen_pair.thread(pid, wait, role=role, socket_inode=own, suspended=stops))
            held.append(frozen_pair.process(pid, f"socket:{inodes[role]}"))
    every = [socket for pair in pairs for socket in pair if socket]
    shared = frozen_pair.snapshot(threads, held)
    shots = [replace(shared, sockets=pair, others=tuple(s for s in every if s not in tuple(pair))) for pair in pairs]
    return [frozen_pair.evidence(snapshots=(long_before(shot), shot)) for shot in shots]


def long_before(shot: Snapshot) -> Snapshot:
    minute_ns = 60 * 10**9
    old = Pair(*(replace(socket, time_ns=socket.time_ns - minute_ns) if socket else None for socket in shot.sockets))
    return Snapshot(0, (), old, (), Pair(None, None))


def test_of_connections_in_one_snapshot_each_gets_the_verdict_that_it_gets_alone() -> None:
    for together in map(beside_others, (None, 0, 1, 2)):
        assert judge_all(together) == [judge(each) for each in together]


def test_who_sleeps_or_is_stopped_in_another_connection_of_the_snapshot_does_not_matter() -> None:
    usual = [Outcome.DEADLOCK, Outcome.DEADLOCK, Outcome.ONE_SIDED_STALL]
    for stopped in (None, 0, 1, 2):
        expected = [Outcome.SUSPENDED if number == stopped else each for number, each in enumerate(usual)]
        verdicts = judge_all(beside_others(stopped))
        assert [each.outcome for each in verdicts] == expected
        assert all(each.grade in (Grade.PROVEN, None) for each in verdicts)


def test_the_kernel_tells_when_the_last_data_came_and_went() -> None:
    near = frozen_pair.client(last_data_sent_ms=8300, last_data_recv_ms=9000)
    far = frozen_pair.server(
        bytes_acked=0, wqueue=0, bytes_received=0, last_data_sent_ms=10**9, last_data_recv_ms=10**9
    )
    verdict = judge(frozen_pair.evidence(frozen_pair.snapshot(sockets=Pair(near, far))))
    assert verdict.last_data == Pair(LastData(8.3, 9.0), LastData(None, None))
    alone = judge(frozen_pair.evidence(frozen_pair.snapshot(sockets=Pair(replace(near, last_data_recv_ms=None), None))))
    assert alone.last_data == Pair(LastData(8.3, None), None)
