"""Who waits for whom: the cycles among the stuck, and the waiters that are in none."""

from dataclasses import replace
from random import Random

from lab.evidence import Item, Resource, Wait, Wants
from lab.proof.cycles import Kind, components, cycles, reachable, waiters_on_cycle
from lab.proof.deadlock import analyse
from lab.proof.enablers import WaitCondition
from lab.proof.stack.ruling import Possible, Ruling
from lab.proof.threads import Thread
from lab.reason import Reason, Why
from lab.spec import Grade, Pair
from tests.proof.frozen_pair import (
    CLIENT,
    EMPTY,
    HOLDS,
    IDLE,
    NOW,
    SERVER,
    Ends,
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
    thread,
    wakes,
)


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


def test_two_idle_edge_triggered_programs_wait_to_read_not_to_write() -> None:
    loops = [
        thread(pid, polls(item(inode, Wants.READ, edge=True), item(inode, edge=True)))
        for pid, inode in ((1, 11), (2, 22))
    ]
    shot = snapshot(loops, sockets=IDLE)
    assert knot(shot) is None
    assert knot(shot, Kind.READ_READ) is not None


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


def node(number: int) -> Thread:
    return Thread(number, number, "program")


def waiting(holder: Thread, resource: str = "socket:11", wants: Wants = Wants.WRITE) -> WaitCondition:
    """A wait that only this thread could end."""
    connection = frozenset({11, 22}) if resource.startswith("socket") else frozenset[int]()
    ruling = Ruling(Possible.NO, Reason(Why.ONLY_A_THREAD))
    return WaitCondition(on(resource, wants), ruling, (holder,), (holder,), connection)


def test_the_components_are_those_whose_members_reach_each_other() -> None:
    for seed in range(200):
        lot = Random(seed)
        nodes = [node(number) for number in range(lot.randint(1, 9))]
        graph = {each: lot.sample(nodes, lot.randint(0, min(3, len(nodes)))) for each in nodes}
        needs = {each: tuple(map(waiting, targets)) for each, targets in graph.items()}
        reach = {each: reachable(needs, [each]) for each in nodes}
        expected = {frozenset(other for other in reach[each] if each in reach[other]) for each in nodes}
        found = components(graph)
        assert set(found) == expected
        assert len(found) == len(expected)


def test_a_cycle_needs_two_that_play_its_part_and_a_connection() -> None:
    one, other = node(1), node(2)
    both = {one: (waiting(other),), other: (waiting(one, "socket:22"),)}
    assert [cycle.kind for cycle in cycles(both)] == [Kind.WRITE_WRITE]
    assert cycles({one: (waiting(one),)}) == (), "one alone"
    pipes = {one: (waiting(other, "pipe:1"),), other: (waiting(one, "pipe:2"),)}
    assert cycles(pipes) == (), "pipes only"
    by_pipe = {one: (waiting(other),), other: (waiting(one, "pipe:2"),)}
    assert [cycle.kind for cycle in cycles(by_pipe)] == [Kind.WRITE_WRITE], "room in a pipe is room"
    fed = {one: (waiting(other),), other: (waiting(one, "pipe:2", Wants.READ),)}
    assert cycles(fed) == (), "the other waits for nothing of a connection"


def test_a_writer_and_a_reader_of_each_other_are_a_mixed_cycle() -> None:
    one, other = node(1), node(2)
    (found,) = cycles({one: (waiting(other),), other: (waiting(one, "socket:22", Wants.READ),)})
    assert found.kind is Kind.MIXED
    assert found.threads == {one, other}


def test_who_waits_for_a_cycle_without_being_in_it_is_its_tail_with_one_edge_towards_it() -> None:
    one, other, near, far = map(node, (1, 2, 3, 4))
    needs = {
        one: (waiting(other),), other: (waiting(one, "socket:22"),),
        near: (waiting(one, "pipe:3", Wants.READ),), far: (waiting(near, "pipe:4", Wants.READ),),
    }  # fmt: skip
    (cycle,) = cycles(needs)
    tail = waiters_on_cycle(needs, cycle)
    assert [(edge.waiter, edge.holder) for edge in tail] == [(near, one), (far, near)]
    assert reachable(needs, [far]) == {one, other, near, far}
