"""The proof against a world that knows the truth: a knot if and only if nothing in it can ever move again."""

import os
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from lab.evidence import SocketSample, Wants
from lab.proof.cycles import Kind
from lab.proof.deadlock import Analysis, Knot, analyse
from lab.proof.stack import closed_window, could_write
from lab.spec import Grade
from tests.proof.simulator import SECOND, START, End, Op, Process, Thread, World, connect, draw

EXAMPLES = int(os.environ.get("LAB_EXAMPLES", "1200"))
"""More on demand: LAB_EXAMPLES=20000."""


def blocked_writers(world: World, end: End) -> list[Thread]:
    """Threads that wait for room on it, and for nothing that could be read."""
    writers = []
    for thread in world.threads():
        writes_to = thread.op.end if thread.op.kind == "send" else thread.op.other
        if thread.begun and thread.op.kind in ("send", "poll") and writes_to is end:
            writers.append(thread)
    return writers


def truly_mutual(world: World) -> list[tuple[int, int]]:
    """Connections on both ends of which a holder waits for room; meant for a world that is still."""
    return [
        (near.inode, near.peer.inode)
        for near in world.ends[::2]
        if blocked_writers(world, near) and blocked_writers(world, near.peer)
    ]


def first_move(world: World, threads: set[int], since_ns: dict[int, int]) -> int | None:
    """When the first of these went on, after having been looked at with so many moves behind it."""
    moves = [t.moves[since_ns[t.tid]] for t in world.threads() if t.tid in threads and len(t.moves) > since_ns[t.tid]]
    return min(moves, default=None)


def check_that_knots_hold(world: World, analysis: Analysis) -> None:
    seen = {thread.tid: len(thread.moves) for thread in world.threads()}
    world.play_until(None)
    for knot in analysis.knots:
        tied = {edge.waiter.tid for edge in (*knot.edges, *knot.tail)} | {edge.holder.tid for edge in knot.edges}
        moved = first_move(world, tied, seen)
        assert moved is None or (knot.holds_until_ns is not None and moved >= knot.holds_until_ns), knot


@settings(max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    alarms=st.sampled_from((0, 0, 0, 1, 2, 3)),
    short_of_ns=st.sampled_from((0, 1, SECOND // 2, 2 * SECOND)),
    steps=st.one_of(st.integers(0, 8), st.integers(0, 60)),
)
def test_what_is_called_a_knot_never_moves_again(seed: int, alarms: int, short_of_ns: int, steps: int) -> None:
    """At any instant: in the middle of things, right before an alarm, right after it."""
    world = draw(Random(seed))
    for _ in range(alarms):
        world.settle()
        world.to_the_next_alarm(short_of_ns)
    for _ in range(steps):
        world.step()
    check_that_knots_hold(world, analyse(world.snapshot(), world.now_ns))


@settings(max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32), st.sampled_from((0, 1, 3, 20)))
def test_every_true_deadlock_of_a_still_world_is_proven(seed: int, seconds: int) -> None:
    world = draw(Random(seed))
    world.play_until(START + seconds * SECOND)
    analysis = analyse(world.snapshot(), world.now_ns)
    alarm = world.next_alarm()
    near = alarm is not None and alarm - world.now_ns < SECOND
    for ends in truly_mutual(world):
        knot = analysis.knot(*ends)
        event(f"{'found' if knot else 'near' if near else 'missed'} {knot.grade if knot else ''}")
        assert near or knot is not None, analysis
        if knot is not None and knot.holds_until_ns is None:
            assert knot.grade in (Grade.PROVEN, Grade.PROVEN_CLOSED_WORLD)
    check_that_knots_hold(world, analysis)


def test_the_drawn_worlds_hold_enough_of_either_kind() -> None:
    grades: dict[str, int] = {}
    for seed in range(600):
        world = draw(Random(seed))
        world.play_until(START)
        writes = [knot for knot in analyse(world.snapshot(), world.now_ns).knots if knot.kind is Kind.WRITE_WRITE]
        for grade in {str(knot.grade) for knot in writes} or {"none"}:
            grades[grade] = grades.get(grade, 0) + 1
    assert min(grades[g] for g in (Grade.PROVEN, Grade.PROVEN_CLOSED_WORLD, Grade.PROVEN_UNTIL, "none")) >= 10, grades


def test_the_simulator_and_the_rules_of_the_stack_are_of_one_mind() -> None:
    for seed in range(300):
        world = draw(Random(seed))
        world.play_until(START)
        shot = world.snapshot()
        samples = {s.inode: s for s in (*shot.sockets, *shot.others) if s}
        for end in world.ends:
            if end.queued and not end.has_room:
                assert could_write(samples[end.inode], samples[end.peer.inode]).excluded


def resized(lot: Random) -> World:
    """A client writes to a server that sleeps, sets its receive buffer behind a closed window, and writes, too."""
    rcvbuf, size = lot.choice((32, 64)), lot.choice((64, 96, 400))
    near, far = connect(10, (64, 64, 64, rcvbuf))
    client, server = Process(1, {near}), Process(2, {far})
    client.threads = [Thread(1, client, [Op("send", near, size=5000)])]
    script = [Op("sleep", limit_ns=SECOND), Op("set", far, size=size), Op("send", far, size=5000)]
    server.threads = [Thread(2, server, script)]
    world = World([client, server], [near, far], lot)
    world.settle()
    world.to_the_next_alarm()
    for _ in range(lot.randint(0, 12)):
        world.step()
    return world


def is_refuted(world: World) -> bool:
    analysis = analyse(world.snapshot(), world.now_ns)
    try:
        check_that_knots_hold(world, analysis)
    except AssertionError:
        return True
    return False


def test_a_window_that_a_raised_buffer_opens_again_is_not_called_closed() -> None:
    assert not any(is_refuted(resized(Random(seed))) for seed in range(300))


def whatever_is_free(_: SocketSample) -> bool:
    return True


def below_eight_segments(receiver: SocketSample) -> bool:
    return closed_window.free_of(receiver) < 8 * receiver.rcv_mss


@pytest.mark.parametrize("rule", [whatever_is_free, below_eight_segments])
def test_a_looser_rule_for_closed_windows_is_refuted(
    rule: Callable[[SocketSample], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closed_window, "stays_closed", rule)
    assert any(is_refuted(resized(Random(seed))) for seed in range(300))


def chain(threads_of_the_proxy: int) -> World:
    """client <-> proxy <-> server; the proxy copies by a thread each way, or answers to one side only."""
    client, proxy, server = Process(1), Process(2), Process(3)
    a, b = connect(10, (64, 64, 64, 64))
    c, d = connect(20, (64, 64, 64, 64))
    client.ends, proxy.ends, server.ends = {a}, {b, c}, {d}
    client.threads = [Thread(1, client, [Op("send", a, size=5000)])]
    server.threads = [Thread(3, server, [Op("recv", d, size=8), Op("send", d, size=5000)])]
    up = Thread(2, proxy, [Op("recv", b, size=64), Op("send", c, size=5000)])
    down = Thread(22, proxy, [Op("recv", c, size=64), Op("send", b, size=5000)])
    blast = Thread(2, proxy, [Op("recv", b, size=64), Op("send", c, size=64), Op("send", b, size=5000)])
    proxy.threads = [up, down] if threads_of_the_proxy == 2 else [blast]
    world = World([client, proxy, server], [a, b, c, d], Random(1))
    world.settle()
    return world


def only_knot(world: World) -> Knot:
    found = [knot for knot in analyse(world.snapshot(), world.now_ns).knots if knot.kind is Kind.WRITE_WRITE]
    assert len(found) == 1
    return found[0]


def test_a_chain_through_a_proxy_is_one_circle_of_four_threads_over_two_connections() -> None:
    knot = only_knot(chain(2))
    assert {thread.tid for thread in knot.threads} == {1, 2, 22, 3}
    assert knot.connections == {frozenset({10, 11}), frozenset({20, 21})}
    assert knot.tail == ()


def test_a_server_behind_a_proxy_that_writes_to_its_client_only_is_the_tail() -> None:
    knot = only_knot(chain(1))
    assert {thread.tid for thread in knot.threads} == {1, 2}
    assert knot.connections == {frozenset({10, 11})}
    assert [(edge.waiter.tid, edge.waits_for, edge.holder.tid) for edge in knot.tail] == [(3, Wants.WRITE, 2)]
