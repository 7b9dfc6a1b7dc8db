"""The proof against two TCP stacks that know nothing of it: what is proven never moves, real deadlocks are proven."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from random import Random

import pytest

from lab.evidence import Snapshot, SocketSample
from lab.proof.cycles import Kind
from lab.proof.deadlock import analyse
from lab.proof.stack import closed_window, could_receive_data, could_write, send_buffer
from lab.proof.stack.in_flight import are_one_connection, in_motion
from lab.proof.stack.ruling import Argument, Possible, Ruling
from lab.spec import Grade
from tests.proof.two_stacks import MS, SECOND, START_NS, TwoStacks, draw

WORLDS = int(os.environ.get("LAB_WORLDS", "100"))
"""More on demand: LAB_WORLDS=20000."""
LOOKS = 40
AFTERWARDS = 300 * SECOND
UNCONDITIONAL = (Grade.PROVEN, Grade.PROVEN_CLOSED_WORLD)


def snapshots(world: TwoStacks, lot: Random) -> Iterator[Snapshot]:
    """At any instant: in the middle of what happens, and later ever further apart."""
    for _ in range(LOOKS):
        world.step(lot.randint(1, 30))
        yield world.snapshot()
    for look in range(LOOKS):
        world.play(world.now + lot.randint(0, (3 + look**2 // 6) * MS))
        yield world.snapshot()


def state(world: TwoStacks) -> list[tuple[int, ...]]:
    return [(len(each.script), each.left, each.stack.copied, len(each.written)) for each in world.programs]


def outcome_of(seed: int) -> str:
    """What became of one world: it is looked at again and again, and then played to its end."""
    world, claimed = draw(Random(seed)), None
    for shot in snapshots(world, Random(seed)):
        knot = analyse(shot, START_NS + world.now * 1000, world.kernel).knot(1, 2, Kind.WRITE_WRITE)
        if knot and knot.grade in UNCONDITIONAL and claimed is None:
            claimed = state(world)
    last = state(world)
    world.play(world.now + AFTERWARDS)
    assert claimed in (None, state(world)), f"world {seed} has moved after its proof"
    writing = all(each.does == "write" and each.begun for each in world.programs)
    return f"{'frozen' if writing and last == state(world) else 'free'} {'proven' if claimed else 'not proven'}"


def refuted_ruling(seed: int) -> str | None:
    """What the rules of the stacks say of one direction, against what comes of it if no program acts."""
    world = draw(Random(seed))
    for shot in snapshots(world, Random(seed)):
        near, far = shot.sockets
        assert near is not None
        assert far is not None
        if [each.switches for each in shot.threads_before] != [each.switches for each in shot.threads_after]:
            continue
        if not are_one_connection(near, far):
            continue
        claims = [claim for pair in ((near, far), (far, near)) for claim in claims_of(world, *pair)]
        if claims:
            left = world.without_programs(AFTERWARDS)
            for claim, holds in claims:
                if not holds(left):
                    return f"world {seed} at {world.now} us: {claim}"
    return None


def claims_of(
    world: TwoStacks, socket: SocketSample, peer: SocketSample
) -> Iterator[tuple[str, Callable[[TwoStacks], bool]]]:
    index = socket.inode - 1
    program, received = world.programs[index], world.ends[index].rnxt
    writes = could_write(socket, peer, world.kernel)
    if program.does == "write" and program.begun and writes.excluded and not writes.qualifiers:
        yield f"{writes.argument} of {socket.inode}", lambda left: not left.programs[index].would_go_on
    brings = could_receive_data(socket, peer, world.kernel)
    if brings.excluded and not brings.qualifiers:
        yield f"{brings.argument}, nothing arrives at {socket.inode}", lambda left: left.ends[index].rnxt == received


def test_what_is_proven_of_two_stacks_never_moves_and_most_deadlocks_are_proven() -> None:
    found = Counter(map(outcome_of, range(WORLDS)))
    assert found["free proven"] == 0
    assert found["free not proven"] > WORLDS // 20, found
    assert found["frozen proven"] > 0.7 * (found["frozen proven"] + found["frozen not proven"]) > WORLDS // 20, found


def test_what_a_rule_excludes_of_two_stacks_never_happens() -> None:
    assert [found for seed in range(WORLDS) if (found := refuted_ruling(seed))] == []


SEALED = send_buffer.sealed


def whatever_the_windows(sender: SocketSample, peer: SocketSample) -> Ruling | None:
    return in_motion(sender, peer) or closed_window._reopening(sender, peer)


def whatever_may_arrive(sender: SocketSample, queued: int, arrival: Ruling, most: int, argument: Argument) -> Ruling:
    return SEALED(sender, queued, replace(arrival, possible=Possible.NO), most, argument)


def as_if_nothing_were_free(_: SocketSample, peer: SocketSample) -> tuple[int, int]:
    return 0, -max(0, peer.rcvbuf - peer.rqueue)


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        ("lab.proof.stack.closed_window", "opening", whatever_the_windows),
        ("lab.proof.stack", "sealed", whatever_may_arrive),
        ("lab.proof.stack.capacity", "received_unacked", as_if_nothing_were_free),
    ],
)
def test_a_rule_that_lacks_a_condition_is_refuted(
    module: str, name: str, broken: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module(module), name, broken)
    assert any(map(refuted_ruling, range(WORLDS)))
