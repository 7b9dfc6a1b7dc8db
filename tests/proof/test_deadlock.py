"""The structural proof: what real programs look like when frozen, their look-alikes, and every fact sabotaged."""

from dataclasses import replace
from typing import Any

import pytest

from lab.evidence import Item, Resource, Snapshot, SocketSample, Wait, Wants
from lab.proof.deadlock import analyse
from lab.report.reasons import all_words, words
from lab.spec import Grade, Pair, Role
from tests.proof.frozen_pair import (
    CLIENT,
    HOLDS,
    NOW,
    SECOND,
    SERVER,
    against,
    beside,
    client,
    grade,
    item,
    knot,
    on,
    polls,
    process,
    reads,
    server,
    snapshot,
    starved,
    thread,
    wakes,
)


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


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"catches_alarm": True}, "catches SIGALRM"), ({"catches_alarm": None}, "catches SIGALRM could not"),
        ({"posix_timers": 2}, "2 POSIX timers"), ({"posix_timers": None}, "POSIX timers"),
        ({"in_flight": 1}, "scm_fds"), ({"alarm_ends_it": True}, "ended by SIGALRM"),
        ({"alarm_ends_it": None}, "is hidden"),
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


def test_who_holds_an_end_and_cannot_be_seen_is_missing_by_the_capability_that_would_show_him() -> None:
    unseen = replace(snapshot(unreadable=2), processes=(), threads_before=(), threads_after=())
    (said, *_) = all_words(analyse(unseen, NOW).missing)
    assert said.startswith("who holds the client's socket: 2 descriptor tables could not be read (CAP_SYS_PTRACE")


def test_an_alarm_or_a_timer_of_a_stranger_does_not_matter() -> None:
    stranger = process(9, "socket:99", catches_alarm=True, posix_timers=3)
    assert grade(beside(thread(9, Wait("pause", ())), processes=[stranger])) is Grade.PROVEN


def test_a_record_of_a_socket_that_is_missing_is_named() -> None:
    shot = snapshot(sockets=Pair(client(), None))
    assert knot(shot) is None
    assert "server's socket" in against(shot)


# Look-alikes.


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


def test_a_starved_sender_and_the_reader_of_what_it_cannot_deliver_are_a_circle_and_tcp_ends_it() -> None:
    there, here = starved(Role.SERVER)
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
    assert all_words(found.closed_world) == (
        "2/3 program waits for a new connection too (listener:5): it holds until one comes, whenever it was opened",
    )
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
    for signals, known in ((True, Grade.QUALIFIED), (False, Grade.PROVEN)):
        assert grade(snapshot([CLIENT, thread(2, loop)], [*held, process(9, signals=signals)])) is known
    own = [HOLDS[0], process(2, "socket:22", "eventfd:7", signals=True)]
    assert grade(snapshot([CLIENT, thread(2, loop)], own)) is Grade.QUALIFIED


def test_the_kernel_may_signal_any_eventfd_for_a_memory_threshold() -> None:
    loop = polls(item(22), on("eventfd:7", Wants.READ))
    held = [HOLDS[0], process(2, "socket:22", "eventfd:7")]
    shot = snapshot([CLIENT, thread(2, loop)], held)
    found = knot(replace(shot, thresholds=True))
    assert found is not None
    assert found.grade is Grade.QUALIFIED
    assert all_words(found.qualifiers) == ("the kernel may signal eventfd:7 for a memory threshold (cgroup version 1)",)
    assert grade(replace(snapshot(), thresholds=True)) is Grade.PROVEN, "nobody waits for an eventfd"


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
