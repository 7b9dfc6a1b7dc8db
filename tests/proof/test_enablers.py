"""Who could end a wait: the holders of what is waited for, the stacks, and whoever was not seen."""

from dataclasses import replace
from typing import Any

import pytest

from lab.evidence import Resource, Snapshot, SocketSample, Wait, Wants
from lab.proof.deadlock import analyse
from lab.proof.enablers import Holdings, WaitCondition, sockets_of
from lab.proof.stack.traits import UNKNOWN_KERNEL
from lab.proof.threads import threads_of
from lab.spec import Grade, Pair
from tests.proof.frozen_pair import (
    CLIENT,
    HOLDS,
    IDLE,
    NOW,
    SECOND,
    SERVER,
    Ends,
    against,
    beside,
    client,
    earlier,
    grade,
    item,
    knot,
    on,
    polls,
    process,
    reads,
    server,
    snapshot,
    thread,
    wakes,
)


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


def test_the_unreadable_table_of_an_end_itself_is_no_qualifier() -> None:
    assert knot(snapshot(processes=[HOLDS[0], process(2, resources=None)])) is None


def test_a_holder_with_an_io_uring_is_live() -> None:
    shot = snapshot(processes=[HOLDS[0], replace(HOLDS[1], io_uring=True)])
    assert knot(shot) is None
    assert "io_uring" in against(shot)


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


def test_a_parent_that_waits_for_its_blocked_child_holds_the_socket_in_vain() -> None:
    bash = thread(3, Wait("wait4", (on("process:1", Wants.END),)))
    shot = beside(bash, processes=[process(3, "socket:11")])
    assert grade(shot) is Grade.PROVEN
    sleeper = thread(3, Wait("wait4", (on("process:8", Wants.END),)))
    assert knot(beside(sleeper, processes=[process(3, "socket:11")])) is None


def test_a_descriptor_that_is_polled_twice_is_one_wait() -> None:
    assert grade(snapshot([CLIENT, thread(2, polls(item(22), item(22)))])) is Grade.PROVEN


def test_mapped_addresses_find_their_peer() -> None:
    mapped = server(local="[::ffff:198.18.20.10]:1060", remote="[::ffff:198.18.20.20]:35834")
    assert grade(snapshot(sockets=Pair(client(), mapped))) is Grade.PROVEN


def test_two_sockets_with_the_same_addresses_leave_the_peer_in_doubt() -> None:
    """Two laboratories in namespaces of their own."""
    other: SocketSample = server(inode=33, cookie=3)
    assert knot(snapshot(others=(other,))) is None
    both = [HOLDS[0], process(2, "socket:22", "socket:33")]
    assert analyse(snapshot(processes=both, others=(other,)), NOW).knots == (), "nor is either of them the peer"
    assert knot(snapshot(others=(server(),))) is not None


def test_two_ends_whose_counters_do_not_fit_are_of_two_connections() -> None:
    """As the two of a proxy that connects by its client's address: it has read more than it has passed on."""
    for other in (server(bytes_received=12_000), server(bytes_acked=8_000), server(bytes_received=8_999)):
        shot = snapshot(sockets=Pair(client(), other))
        assert knot(shot) is None
        assert "do not fit" in against(shot)


def test_what_comes_to_an_error_queue_wakes_who_polls_and_a_write_that_finds_room_then() -> None:
    stamped: Ends = Pair(client(), server(error_queue="SO_TIMESTAMPING"))
    assert grade(snapshot(sockets=stamped)) is Grade.PROVEN, "its buffer is full: a write would sleep on"
    polling = snapshot([CLIENT, thread(2, polls(item(22)))], sockets=stamped)
    assert knot(polling) is None
    assert "error queue (SO_TIMESTAMPING)" in against(polling)
    with_room = snapshot(sockets=Pair(client(), server(error_queue="SO_TIMESTAMPING", wmem_queued=7256)))
    assert knot(with_room) is None
    assert "error queue (SO_TIMESTAMPING)" in against(with_room)


def test_an_icmp_error_ends_every_call_on_a_socket_that_asks_for_such_errors() -> None:
    for option in ("IP_RECVERR", "SO_TIMESTAMPING, IPV6_RECVERR"):
        asks: Ends = Pair(client(), server(error_queue=option))
        for shot in (snapshot(sockets=asks), snapshot([CLIENT, thread(2, polls(item(22)))], sockets=asks)):
            assert knot(shot) is None
            assert "ICMP" in against(shot)


def on_wait(shot: Snapshot, pid: int = 2) -> WaitCondition:
    """What could end the only wait of the process's first thread."""
    threads = threads_of(shot, NOW)
    (found,) = Holdings(shot, threads, UNKNOWN_KERNEL).conditions(next(each for each in threads if each.pid == pid))
    return found


def test_whoever_holds_either_end_and_every_thread_of_the_waiter_could_end_a_wait_on_a_socket() -> None:
    shot = beside(
        thread(2, wakes(2), tid=9), thread(3, wakes(3)), thread(4, wakes(4)), thread(5, wakes(5)),
        processes=[process(3, "socket:11"), process(4, "socket:22"), process(5)],
    )  # fmt: skip
    threads = threads_of(shot, NOW)
    waiter = next(each for each in threads if (each.pid, each.tid) == (2, 2))
    (found,) = Holdings(shot, threads, UNKNOWN_KERNEL).conditions(waiter)
    assert {(each.pid, each.tid) for each in found.enablers} == {(1, 1), (2, 9), (3, 3), (4, 4)}
    assert {each.pid for each in found.holders} == {1, 3}, "the peer's end"
    assert found.connection == {11, 22}


@pytest.mark.parametrize(("wants", "end"), [(Wants.READ, "write_ends"), (Wants.WRITE, "read_ends")])
def test_the_other_end_of_a_pipe_that_no_process_has_is_somebody_s_who_was_not_seen(wants: Wants, end: str) -> None:
    """The kernel's: autofs, core_pattern."""
    waits, pipe = thread(2, Wait("read", (on("pipe:5", wants),))), Resource.parse("pipe:5")

    def enablers(ends: frozenset[Resource] | None) -> list[str]:
        facts: dict[str, Any] = {end: ends}
        held = [HOLDS[0], process(2, "socket:22", "pipe:5", **facts), process(3, "pipe:5", **facts)]
        return [each.comm for each in on_wait(snapshot([CLIENT, waits, thread(3, wakes(3))], held)).enablers]

    assert enablers(frozenset({pipe})) == ["program"]
    assert enablers(None) == ["program"], "it is not told"
    assert enablers(frozenset()) == ["program", "the other end of pipe:5"]


def test_what_nobody_else_has_a_descriptor_of_only_the_waiter_s_own_process_can_signal() -> None:
    """Known exception: an eventfd that the kernel signals by itself, for a memory threshold or for KVM."""
    shot = snapshot([CLIENT, thread(2, polls(on("eventfd:7", Wants.READ))), thread(2, wakes(2), tid=9)],
                    [HOLDS[0], process(2, "socket:22", "eventfd:7")])  # fmt: skip
    assert {(each.pid, each.tid) for each in on_wait(shot).enablers} == {(2, 9)}


def test_a_timerfd_may_be_set_anew_by_the_waiters_own_process() -> None:
    wait = polls(on("timerfd:2/5", Wants.READ), deadline_ns=NOW + 9 * SECOND, timed=True)
    found = on_wait(snapshot([CLIENT, thread(2, wait), thread(2, wakes(2), tid=9)]))
    assert {(each.pid, each.tid) for each in found.enablers} == {(2, 9)}
    assert found.stacks.excluded


def test_only_a_newcomer_ends_a_wait_for_a_new_connection() -> None:
    found = on_wait(snapshot([CLIENT, thread(2, Wait("accept4", (on("listener:5", Wants.ACCEPT),)))]))
    assert (found.newcomer, found.enablers, found.stacks.excluded) == (True, (), True)


def test_a_poll_for_room_waits_to_write_only_if_something_is_queued() -> None:
    """Edge-triggered programs leave OUT armed forever."""
    armed = polls(item(22, edge=True))
    assert on_wait(snapshot([CLIENT, thread(2, armed)])).writes
    assert not on_wait(snapshot([CLIENT, thread(2, armed)], sockets=IDLE)).writes
    assert not on_wait(snapshot([CLIENT, thread(2, polls(on("pipe:5", Wants.WRITE, edge=True)))])).writes
    assert on_wait(snapshot([CLIENT, thread(2, polls(on("pipe:5", Wants.WRITE)))])).writes


def test_a_thread_that_keeps_house_waits_for_nothing_and_a_process_that_was_not_seen_is_live() -> None:
    keeper = thread(2, wakes(2), tid=9, comm="VM Periodic Tas")
    shot = snapshot([CLIENT, SERVER, keeper], [HOLDS[0], replace(HOLDS[1], runtime="jvm")])
    threads = threads_of(shot, NOW)
    holdings = Holdings(shot, threads, UNKNOWN_KERNEL)
    assert [len(holdings.conditions(each)) for each in threads] == [1, 1, 0]
    (nobody,) = holdings.threads(77)
    assert nobody.live
    assert holdings.reaped(77) == ()
    assert holdings.may_retry(77)


def test_sockets_without_an_inode_belong_to_no_program() -> None:
    shot = snapshot(sockets=Pair(client(), server(inode=0)), others=(server(inode=44),))
    assert set(sockets_of(shot)) == {11, 44}
