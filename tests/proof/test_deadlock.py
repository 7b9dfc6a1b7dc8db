"""The structural proof: what real programs look like when frozen, their look-alikes, and every fact sabotaged."""

from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from lab.evidence import Item, ProcessSample, Resource, Snapshot, SocketSample, ThreadSample, Wait, Wants
from lab.proof.cycles import Kind
from lab.proof.deadlock import Knot, analyse
from lab.proof.stack.traits import KernelTraits
from lab.report.reasons import all_words, words
from lab.spec import Grade, Pair, Role
from tests.proof.frozen_pair import (
    NOW,
    SECOND,
    client,
    earlier,
    item,
    on,
    polls,
    process,
    reads,
    sends,
    server,
    snapshot,
    thread,
    wakes,
)

CLIENT, SERVER = thread(1, sends(11)), thread(2, sends(22))
HOLDS = [process(1, "socket:11"), process(2, "socket:22")]
EMPTY: dict[str, Any] = {
    "rqueue": 0, "rmem_alloc": 0, "wqueue": 0, "notsent_bytes": 0, "wmem_queued": 0, "rcv_wnd": 4096, "snd_wnd": 4096,
    "timer": "none",
}  # fmt: skip
Ends: TypeAlias = Pair[SocketSample | None]
IDLE: Ends = Pair(client(**EMPTY), server(**EMPTY))


def knot(shot: Snapshot, kind: Kind = Kind.WRITE_WRITE, **stack: Any) -> Knot | None:  # noqa: ANN401
    return analyse(shot, NOW, KernelTraits(**stack)).knot(11, 22, kind)


def grade(shot: Snapshot) -> Grade | None:
    found = knot(shot)
    return found.grade if found else None


def against(shot: Snapshot) -> str:
    """The diagnosis of a `no`, in one text."""
    found = analyse(shot, NOW)
    return "; ".join(
        [*(f"{live.thread.name}: {words(live.why)}" for live in found.against(11, 22)), *all_words(found.missing)]
    )


def beside(*threads: ThreadSample, processes: list[ProcessSample] | None = None, **facts: Any) -> Snapshot:  # noqa: ANN401
    """The frozen pair with further threads."""
    return snapshot([CLIENT, SERVER, *threads], [*HOLDS, *(processes or [])], **facts)


def test_two_blocked_senders_are_proven_with_both_edges() -> None:
    found = knot(snapshot())
    assert found is not None
    assert found.grade is Grade.PROVEN
    assert [(e.waiter.name, e.waits_for, e.holder.name, e.resource) for e in found.edges] == [
        ("1/1 program", Wants.WRITE, "2/2 program", Resource.socket(11)),
        ("2/2 program", Wants.WRITE, "1/1 program", Resource.socket(22)),
    ]
    assert found.connections == {frozenset({11, 22})}
    assert (found.tail, found.qualifiers, found.closed_world, found.holds_until_ns) == ((), (), (), None)
    assert len(found.arguments) == 2
    assert analyse(snapshot(), NOW).live == ()


# Sabotage: each fact removed must be named, each reversed leaves no knot.


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("field", ["snd_wnd", "user_timeout_ms", "send_timeout_ns"])
def test_a_fact_of_a_socket_that_was_not_read_is_missing_by_name(field: str, role: Role) -> None:
    names = {"user_timeout_ms": "TCP_USER_TIMEOUT", "send_timeout_ns": "SO_SNDTIMEO"}
    shot = with_socket(role, **{field: None})
    assert knot(shot) is None
    assert names.get(field, field) in " ".join(all_words(analyse(shot, NOW).missing))


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    "facts",
    [
        {"snd_wnd": 1}, {"rcv_wnd": 1}, {"rmem_alloc": 4000}, {"wmem_queued": 4000}, {"backlog": 1}, {"unacked": 1},
        {"notsent_bytes": 4095, "unacked": 1}, {"state": "FIN-WAIT-1"}, {"user_timeout_ms": 1},
        {"snd_cwnd": 99, "sndbuf": 46080, "wmem_queued": 46080, "sndbuf_locked": False},
        {"send_timeout_ns": 1}, {"inode": 0},
        {"remote": "198.18.20.99:9"},
    ],
    ids=str,
)  # fmt: skip
def test_a_fact_of_a_socket_reversed_leaves_no_knot(facts: dict[str, Any], role: Role) -> None:
    assert knot(with_socket(role, **facts)) is None


def with_socket(role: Role, **facts: Any) -> Snapshot:  # noqa: ANN401
    ends: list[SocketSample | None] = [
        replace(each, **facts) if each.role is role else each for each in (client(), server())
    ]
    return snapshot(sockets=Pair(*ends))


def reread(reading: str, threads: tuple[ThreadSample, ...]) -> Snapshot:
    """The frozen pair, of which one reading found something else."""
    facts: dict[str, Any] = {reading: threads}
    return replace(snapshot(), **facts)


@pytest.mark.parametrize("pid", [1, 2])
@pytest.mark.parametrize("reading", ["threads_before", "threads_after"])
@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"state": None}, "state"), ({"switches": None}, "context switches"), ({"syscall": None}, "CAP_SYS_PTRACE"),
        ({"switches": 8}, "ran between"), ({"args": (5,)}, "ran between"), ({"syscall": "running"}, "runs"),
        ({"state": "R"}, "runs"), ({"state": "D"}, "state"), ({"state": "T"}, "stopped"),
        ({"suspended": "frozen"}, "frozen"), ({"wait": polls()}, "changed"),
    ],
    ids=str,
)  # fmt: skip
def test_a_fact_of_a_thread_removed_or_reversed_leaves_no_knot(
    facts: dict[str, Any], word: str, reading: str, pid: int
) -> None:
    changed = tuple(replace(each, **facts) if each.pid == pid else each for each in (CLIENT, SERVER))
    shot = reread(reading, changed)
    assert knot(shot) is None
    assert word in against(shot)


@pytest.mark.parametrize("reading", ["threads_before", "threads_after"])
def test_a_thread_that_was_seen_only_once_is_live(reading: str) -> None:
    shot = reread(reading, (CLIENT,))
    assert knot(shot) is None
    assert "only one" in against(shot)


def test_a_thread_of_which_no_wait_is_known_is_live() -> None:
    shot = snapshot([CLIENT, thread(2, None)])
    assert knot(shot) is None
    assert "wait is not known" in against(shot)


def test_holders_that_were_not_looked_for_are_missing() -> None:
    shot = replace(snapshot(), processes=None)
    assert knot(shot) is None
    assert "who holds" in against(shot)
    assert analyse(shot, NOW).against(11, 22)


@pytest.mark.parametrize("index", [0, 1])
def test_a_socket_that_nobody_seen_holds_is_held_by_somebody_unseen(index: int) -> None:
    shot = snapshot(processes=[process(7) if place == index else each for place, each in enumerate(HOLDS)])
    assert knot(shot) is None
    assert "no process that was looked at holds it" in against(shot)


def test_a_holder_of_which_no_thread_was_seen_is_live() -> None:
    shot = beside(processes=[process(3, "socket:11")])
    assert knot(shot) is None
    assert "threads were not seen" in against(shot)


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"catches_alarm": True}, "catches SIGALRM"), ({"catches_alarm": None}, "catches SIGALRM could not"),
        ({"posix_timers": 2}, "2 POSIX timers"), ({"posix_timers": None}, "POSIX timers"),
        ({"in_flight": 1}, "scm_fds"), ({"alarm_ends_it": True}, "ended by SIGALRM"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_of_a_process_qualifies(facts: dict[str, Any], word: str) -> None:
    found = knot(snapshot(processes=[HOLDS[0], replace(HOLDS[1], **facts)]))
    assert found is not None
    assert found.grade is Grade.QUALIFIED
    assert word in words(found.qualifiers[0])


def test_unreadable_tables_of_strangers_qualify() -> None:
    assert grade(snapshot(unreadable=2)) is Grade.QUALIFIED
    found = knot(beside(processes=[process(9, resources=None)]))
    assert found is not None
    assert all_words(found.qualifiers) == ("the descriptors of 9 program could not be read",)


def test_the_unreadable_table_of_an_end_itself_is_no_qualifier() -> None:
    assert knot(snapshot(processes=[HOLDS[0], process(2, resources=None)])) is None


def test_who_holds_an_end_and_cannot_be_seen_is_missing_by_the_capability_that_would_show_him() -> None:
    unseen = replace(snapshot(unreadable=2), processes=(), threads_before=(), threads_after=())
    (said, *_) = all_words(analyse(unseen, NOW).missing)
    assert said.startswith("who holds the client's socket: 2 descriptor tables could not be read (CAP_SYS_PTRACE")


def test_an_alarm_or_a_timer_of_a_stranger_does_not_matter() -> None:
    stranger = process(9, "socket:99", catches_alarm=True, posix_timers=3)
    assert grade(beside(thread(9, Wait("pause", ())), processes=[stranger])) is Grade.PROVEN


def test_a_holder_with_an_io_uring_is_live() -> None:
    shot = snapshot(processes=[HOLDS[0], replace(HOLDS[1], io_uring=True)])
    assert knot(shot) is None
    assert "io_uring" in against(shot)


def test_a_record_of_a_socket_that_is_missing_is_named() -> None:
    shot = snapshot(sockets=Pair(client(), None))
    assert knot(shot) is None
    assert "server's socket" in against(shot)


# Look-alikes.


@pytest.mark.parametrize(
    ("wait", "word"),
    [
        (Wait("clock_nanosleep", (), timed=True), "not known"),
        (Wait("clock_nanosleep", (), NOW + SECOND // 2, timed=True), "by itself in 0.5 s"),
        (Wait("clock_nanosleep", (), NOW - 1, timed=True), "by itself"),
        (Wait("pause", ()), "signal"),
        (Wait("connect", (), unknown="connect is not understood"), "not understood"),
        (polls(on("inotify:2/5", Wants.READ)), "nobody knows"),
        (polls(on("signalfd:2/5", Wants.READ)), "nobody knows"),
        (polls(on("timerfd:2/5", Wants.READ)), "timerfd"),
        (polls(on("other:tty", Wants.READ)), "nobody knows"),
        (polls(item(22, Wants.READ), item(22)), "readable"),
        (reads(22), "readable"),
    ],
)
def test_a_second_holder_that_may_go_on_leaves_no_knot(wait: Wait, word: str) -> None:
    """A forked parent, a reader thread, whoever: it might read."""
    shot = beside(thread(3, wait), processes=[process(3, "socket:22")])
    assert knot(shot) is None
    assert word in against(shot)
    second = snapshot([CLIENT, SERVER, thread(2, wait, tid=5)])
    assert knot(second) is None


def test_a_poll_with_a_time_limit_is_proven_until_then() -> None:
    limited = polls(item(22), deadline_ns=NOW + 30 * SECOND, timed=True)
    found = knot(snapshot([CLIENT, thread(2, limited)]))
    assert found is not None
    assert found.grade is Grade.PROVEN_UNTIL
    assert found.holds_until_ns == NOW + 30 * SECOND
    sooner = thread(3, Wait("clock_nanosleep", (), NOW + 9 * SECOND, timed=True))
    shot = beside(sooner, processes=[process(3, "socket:11", catches_alarm=True)])
    found = knot(shot)
    assert found is not None
    assert (found.grade, found.holds_until_ns) == (Grade.PROVEN_UNTIL, NOW + 9 * SECOND)
    assert found.qualifiers


def test_the_earlier_of_two_readings_of_a_deadline_counts() -> None:
    late = polls(item(22), deadline_ns=NOW + 30 * SECOND, timed=True)
    early = replace(late, deadline_ns=NOW + 29 * SECOND)
    shot = snapshot([CLIENT, thread(2, late)])
    found = knot(replace(shot, threads_before=(CLIENT, thread(2, early))))
    assert found is not None
    assert found.holds_until_ns == NOW + 29 * SECOND


def test_a_writer_that_a_signal_may_wake_is_judged_by_a_full_queue() -> None:
    """PostgreSQL stood at 7256 of 8192 until its idle timer retried the write."""
    sockets = Pair(client(), server(wmem_queued=7256))
    assert grade(snapshot(sockets=sockets)) is Grade.PROVEN
    signalled = [HOLDS[0], replace(HOLDS[1], catches_alarm=True)]
    shot = snapshot(processes=signalled, sockets=sockets)
    assert knot(shot) is None
    assert "7256 of 8192" in against(shot)
    assert grade(snapshot(processes=signalled)) is Grade.QUALIFIED


def test_a_write_that_may_go_on_by_itself_is_live_where_its_buffer_has_room() -> None:
    """A proxy's writer at 7872 of 8192 went on 0.2 s later, woken by nobody; who polls is woken by the stack alone."""
    room = server(wmem_queued=7872)
    room = replace(room, earlier=earlier(room, may_retry=True))
    assert knot(snapshot(sockets=Pair(client(), room))) is None
    assert "may try again by itself" in against(snapshot(sockets=Pair(client(), room)))
    assert grade(snapshot(sockets=Pair(client(earlier=()), server(earlier=())))) is Grade.PROVEN, "both are full"
    assert grade(snapshot([CLIENT, thread(2, polls(item(22)))], sockets=Pair(client(), room))) is Grade.PROVEN
    unknown = snapshot(sockets=Pair(client(), replace(room, earlier=None)))
    assert knot(unknown) is None
    assert "earlier samples" in against(unknown)


def test_a_write_that_fits_one_packet_has_gone_to_sleep_for_good() -> None:
    def proves(size: int, socket: SocketSample) -> bool:
        writer = replace(SERVER, args=(4, 0, size))
        return knot(snapshot([CLIENT, writer], sockets=Pair(client(), socket))) is not None

    def after(socket: SocketSample, **seen: Any) -> SocketSample:  # noqa: ANN401
        return replace(socket, earlier=earlier(socket, may_retry=True, **seen))

    room = server(wmem_queued=7872)
    assert proves(1408, after(room))
    assert not proves(1409, after(room))
    assert not proves(1408, after(room, mss=1447)), "the MSS was less when it began"
    assert not proves(1408, after(room, written=1407)), "it may have begun before the first sample"
    queued = 476_136
    wide = server(sndbuf=490_752, wmem_queued=488_616, wqueue=queued, notsent_bytes=queued)
    assert proves(4096, after(wide, window=65_536)), "packets of 25 kB"
    assert not proves(4096, after(wide, window=8192)), "half a window a packet"
    many = replace(wide, sndbuf=650_000, wmem_queued=queued + 640 * 100)
    assert not proves(4096, after(many, window=65_536)), "packets of 5 kB, less an MSS"


def test_a_writer_whose_peer_waits_for_something_else_is_no_knot() -> None:
    assert knot(snapshot([CLIENT, thread(2, wakes(2))])) is None
    assert analyse(snapshot([CLIENT, thread(2, wakes(2))]), NOW).knots == ()


def test_two_readers_of_an_empty_connection_are_the_other_knot() -> None:
    shot = snapshot([thread(1, reads(11)), thread(2, reads(22))], sockets=IDLE)
    assert knot(shot) is None
    found = knot(shot, Kind.READ_READ)
    assert found is not None
    assert found.grade is Grade.PROVEN
    assert {edge.waits_for for edge in found.edges} == {Wants.READ}
    on_its_way: Ends = Pair(client(**EMPTY), server(**{**EMPTY, "wqueue": 1}))
    assert knot(replace(shot, sockets=on_its_way), Kind.READ_READ) is None
    limited: Ends = Pair(client(**EMPTY, receive_timeout_ns=1), server(**EMPTY))
    assert knot(replace(shot, sockets=limited), Kind.READ_READ) is None


def test_a_starved_sender_and_the_reader_of_what_it_cannot_deliver_are_a_circle_and_tcp_ends_it() -> None:
    here = client(
        timer="on", backoff=2, unacked=1, notsent_bytes=7264, rcv_wnd=3840, rqueue=0, rmem_alloc=0, bytes_received=9096
    )
    there = server(timer="on", backoff=1, snd_wnd=3840, unacked=2, notsent_bytes=6264, bytes_acked=8000)
    shot = snapshot([thread(1, reads(11)), SERVER], sockets=Pair(here, there))
    assert knot(shot) is None, "not of every kernel"
    found = knot(shot, drops_beyond_window=True)
    assert found is not None
    assert {edge.waits_for for edge in found.edges} == {Wants.WRITE, Wants.READ}
    assert found.grade is Grade.QUALIFIED
    assert "tcp_retries2" in " ".join(all_words(found.qualifiers))
    both = snapshot(sockets=Pair(here, there))
    ends = knot(both, drops_beyond_window=True)
    assert ends is not None
    assert ends.grade is Grade.QUALIFIED


# What real programs look like (facts/runtimes.md).


def test_a_listener_closes_the_world() -> None:
    accepts = thread(2, Wait("accept4", (on("listener:5", Wants.ACCEPT),)), tid=3)
    found = knot(beside(accepts))
    assert found is not None
    assert found.grade is Grade.PROVEN_CLOSED_WORLD
    assert all_words(found.closed_world) == ("2/3 program waits for a new connection too (listener:5)",)
    loop = polls(item(22), Item(Resource.parse("listener:5"), Wants.READ))
    assert grade(snapshot([CLIENT, thread(2, loop)])) is Grade.PROVEN_CLOSED_WORLD


def test_a_stranger_that_has_the_listener_too_may_shut_it_down() -> None:
    accepts = thread(2, Wait("accept4", (on("listener:5", Wants.ACCEPT),)), tid=3)
    found = knot(beside(accepts, processes=[process(9, "listener:5")]))
    assert found is not None
    assert all_words(found.qualifiers) == ("9 program has listener:5 too, and may shut it down",)
    elsewhere = knot(beside(accepts, processes=[process(9, "listener:6")]))
    assert elsewhere is not None
    assert elsewhere.grade is Grade.PROVEN_CLOSED_WORLD


def test_the_kernel_may_signal_an_eventfd_for_a_stranger() -> None:
    loop = polls(item(22), on("eventfd:7", Wants.READ))
    held = [HOLDS[0], process(2, "socket:22", "eventfd:7")]
    for signals, grade in ((True, Grade.QUALIFIED), (False, Grade.PROVEN)):
        found = knot(snapshot([CLIENT, thread(2, loop)], [*held, process(9, signals=signals)]))
        assert found is not None
        assert found.grade is grade


def test_an_event_loop_with_a_self_pipe_is_understood() -> None:
    loop = polls(item(22), on("unix:7", Wants.READ))
    held = [HOLDS[0], process(2, "socket:22", "unix:7", "unix:8")]
    assert (
        grade(snapshot([CLIENT, thread(2, loop)], held, peers={Resource.parse("unix:7"): Resource.parse("unix:8")}))
        is Grade.PROVEN
    )
    lost = snapshot([CLIENT, thread(2, loop)], held)
    assert knot(lost) is None
    assert "unix_diag" in against(lost)
    elsewhere = snapshot([CLIENT, thread(2, loop)], held, peers={Resource.parse("unix:7"): Resource.parse("unix:9")})
    assert knot(elsewhere) is None


def test_edge_triggered_interest_that_is_always_armed_is_understood() -> None:
    """Go and tokio: IN and OUT for ever, with 3000 unread bytes, and an eventfd that nobody else holds."""
    loop = polls(item(22, Wants.READ, edge=True), item(22, edge=True), on("eventfd:3", Wants.READ, edge=True))
    held = [HOLDS[0], process(2, "socket:22", "eventfd:3")]
    shot = snapshot([CLIENT, thread(2, loop), thread(2, wakes(2), tid=9)], held)
    assert grade(shot) is Grade.PROVEN
    found = knot(shot)
    assert found is not None
    assert {edge.waiter.tid for edge in found.edges} == {1, 2}, "an idle worker is in no cycle"
    assert knot(replace(shot, sockets=Pair(client(unacked=1, notsent_bytes=4095), server()))) is None


def test_two_idle_edge_triggered_programs_wait_to_read_not_to_write() -> None:
    loops = [
        thread(pid, polls(item(inode, Wants.READ, edge=True), item(inode, edge=True)))
        for pid, inode in ((1, 11), (2, 22))
    ]
    shot = snapshot(loops, sockets=IDLE)
    assert knot(shot) is None
    assert knot(shot, Kind.READ_READ) is not None


def test_housekeeping_of_a_jvm_is_a_named_assumption() -> None:
    keeper = thread(2, Wait("futex", (), NOW + SECOND // 100, timed=True), tid=9, comm="VM Periodic Tas", state="R")
    jvm = [HOLDS[0], replace(HOLDS[1], runtime="jvm")]
    found = knot(snapshot([CLIENT, SERVER, keeper], jvm))
    assert found is not None
    assert found.grade is Grade.QUALIFIED
    assert all_words(found.qualifiers) == ("2/9 VM Periodic Tas is taken for housekeeping of the JVM",)
    assert knot(snapshot([CLIENT, SERVER, keeper])) is None, "the name alone is nothing"
    worker = replace(keeper, comm="pool-1-thread-1")
    assert knot(snapshot([CLIENT, SERVER, worker], jvm)) is None


def test_sysmon_of_go_is_told_by_the_absence_of_any_go_timer() -> None:
    go = [HOLDS[0], replace(HOLDS[1], runtime="go", catches_alarm=True)]
    sysmon = thread(2, Wait("futex", (on("process:2", Wants.WAKE),), NOW + SECOND // 2, timed=True), tid=9)
    found = knot(snapshot([CLIENT, SERVER, sysmon], go))
    assert found is not None
    assert found.grade is Grade.QUALIFIED
    assert any("sysmon" in text for text in all_words(found.qualifiers))
    timer = thread(2, polls(item(22), deadline_ns=NOW + SECOND // 2, timed=True))
    assert knot(snapshot([CLIENT, timer, sysmon], go)) is None
    late = replace(sysmon, wait=Wait("futex", (), NOW + 3600 * SECOND, timed=True))
    assert grade(snapshot([CLIENT, SERVER, late], go)) is Grade.PROVEN_UNTIL


def test_a_child_that_inherited_the_socket_and_reads_a_pipe_is_in_nobodys_way() -> None:
    """ncat --exec cat: cat waits for ncat, which waits for the client."""
    cat = thread(3, Wait("read", (on("pipe:6", Wants.READ),)))
    held = [HOLDS[0], process(2, "socket:22", "pipe:6"), process(3, "socket:22", "pipe:6")]
    shot = snapshot([CLIENT, SERVER, cat], held)
    assert grade(shot) is Grade.PROVEN
    found = knot(shot)
    assert found is not None
    assert [(edge.waiter.tid, edge.holder.tid) for edge in found.edges] == [(1, 2), (2, 1)]
    assert [(edge.waiter.tid, edge.waits_for) for edge in found.tail] == [(3, Wants.READ)]
    shell = thread(4, Wait("read", (Item(Resource.parse("other:tty"), Wants.READ),)))
    typed = snapshot([CLIENT, SERVER, cat, shell], [*held, process(4, "pipe:6")])
    assert knot(typed) is None


def test_a_parent_that_waits_for_its_blocked_child_holds_the_socket_in_vain() -> None:
    bash = thread(3, Wait("wait4", (on("process:1", Wants.END),)))
    shot = beside(bash, processes=[process(3, "socket:11")])
    assert grade(shot) is Grade.PROVEN
    sleeper = thread(3, Wait("wait4", (on("process:8", Wants.END),)))
    assert knot(beside(sleeper, processes=[process(3, "socket:11")])) is None


def test_a_descriptor_that_is_polled_twice_is_one_wait() -> None:
    assert grade(snapshot([CLIENT, thread(2, polls(item(22), item(22)))])) is Grade.PROVEN


def test_a_zombie_is_no_thread() -> None:
    assert grade(snapshot([CLIENT, SERVER, thread(2, None, tid=9, state="Z")])) is Grade.PROVEN


def test_a_suspended_holder_is_told_and_leaves_no_knot() -> None:
    shot = snapshot([replace(CLIENT, state="T"), SERVER])
    found = analyse(shot, NOW)
    assert found.knots == ()
    assert all_words(found.suspended) == ("1/1 program is stopped",)


def test_mapped_addresses_find_their_peer() -> None:
    mapped = server(local="[::ffff:198.18.20.10]:1060", remote="[::ffff:198.18.20.20]:35834")
    assert grade(snapshot(sockets=Pair(client(), mapped))) is Grade.PROVEN


def test_two_sockets_with_the_same_addresses_leave_the_peer_in_doubt() -> None:
    """Two laboratories in namespaces of their own."""
    other: SocketSample = server(inode=33, cookie=3)
    assert knot(snapshot(others=(other,))) is None
    assert knot(snapshot(others=(server(),))) is not None


def test_a_second_idle_client_of_the_same_loop_is_live_if_its_program_is() -> None:
    far = server(inode=44, local="192.0.2.1:4", remote="192.0.2.1:3", **EMPTY)
    near = client(inode=33, local="192.0.2.1:3", remote="192.0.2.1:4", **EMPTY)
    loop = polls(item(22), item(33, Wants.READ))
    held = [HOLDS[0], process(2, "socket:22", "socket:33"), process(5, "socket:44")]
    asleep = thread(5, Wait("clock_nanosleep", (), timed=True))
    assert knot(snapshot([CLIENT, thread(2, loop), asleep], held, others=(near, far))) is None
    reader = thread(5, reads(44))
    shot = snapshot([CLIENT, thread(2, loop), reader], held, others=(near, far))
    assert grade(shot) is Grade.PROVEN
    found = knot(shot)
    assert found is not None
    assert {edge.waiter.pid for edge in found.edges} == {1, 2}
    assert [edge.waiter.pid for edge in found.tail] == [5]


def test_two_ends_whose_counters_do_not_fit_are_of_two_connections() -> None:
    """As the two of a proxy that connects by its client's address: it has read more than it has passed on."""
    for other in (server(bytes_received=12_000), server(bytes_acked=8_000), server(bytes_received=8_999)):
        shot = snapshot(sockets=Pair(client(), other))
        assert knot(shot) is None
        assert "do not fit" in against(shot)


def test_what_lies_above_tcp_in_the_kernel_is_not_understood() -> None:
    shot = snapshot(sockets=Pair(client(), server(ulp="mptcp")))
    assert knot(shot) is None
    assert "mptcp" in against(shot)


@pytest.mark.parametrize("facts", [{"probes": 2}, {"timer": "on", "backoff": 2, "last_ack_recv_ms": 300}])
def test_tcp_gives_up_a_peer_that_does_not_answer(facts: dict[str, Any]) -> None:
    found = knot(snapshot(sockets=Pair(client(**facts), server())))
    assert found is not None
    assert found.grade is Grade.QUALIFIED
    assert any("tcp_retries2" in each for each in all_words(found.qualifiers))


def test_a_child_that_may_end_runs_a_handler_and_one_that_is_stuck_itself_does_not() -> None:
    catching = [process(1, "socket:11", reaps=(3,)), process(2, "socket:22")]
    unseen = knot(snapshot(processes=catching))
    assert unseen is not None
    assert any("SIGCHLD" in each for each in all_words(unseen.qualifiers))
    sleeps = thread(3, Wait("nanosleep", (), deadline_ns=NOW + 9 * SECOND, timed=True))
    for child, word in ((thread(3, wakes(3)), None), (sleeps, None), (thread(3, None, syscall="running"), "SIGCHLD")):
        found = knot(snapshot([CLIENT, SERVER, child], [*catching, process(3)]))
        assert found is not None
        assert any("SIGCHLD" in each for each in all_words(found.qualifiers)) is (word is not None)
        assert (found.holds_until_ns is not None) is (child is sleeps)


def test_what_may_signal_a_process_of_its_own_accord_is_named() -> None:
    found = knot(snapshot(processes=[process(1, "socket:11", hidden=("has a secret",)), process(2, "socket:22")]))
    assert found is not None
    assert found.grade is Grade.QUALIFIED
    assert "1 program has a secret" in all_words(found.qualifiers)
