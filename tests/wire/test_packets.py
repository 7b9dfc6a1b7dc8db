"""The witness of one connection in a capture keeps what the judgement needs, in constant memory."""

import sys

from lab.evidence import Moment
from lab.spec import Pair, Role
from lab.tcp.notation import parse
from lab.wire.packets import MAX_PROBES, PacketWitness, Reset
from lab.wire.witness import MAX_EVENTS
from tests.wire.wire_flows import CLIENT, FROZEN, SERVER, exchange, facts, stall


def test_a_freeze_of_a_thousand_probes_is_kept_in_constant_memory() -> None:
    found = stall(FROZEN + exchange(*range(1, 1001), theirs=False))
    assert len(found.probes.client) == MAX_PROBES
    assert len(found.wire.events) == MAX_EVENTS
    assert found.wire.probes.client == 1000
    assert sys.getsizeof(found.probes.client) < 400


def test_a_stall_is_counted_from_the_last_progress() -> None:
    again = "\n2.0 < . 1001:1001(0) ack 1001 win 100\n2.001 > P. 1001:1101(100) ack 1001 win 0"
    found = stall(FROZEN + exchange(0.22, 0.63, 1.45) + again)
    assert found.since == Moment(20, 2_001_000_000)
    assert found.probes == Pair((), ())
    assert found.answers == found.silent_probes == Pair(0, 0)
    assert found.wire.probes == Pair(3, 3)
    assert found.recovered_ns == 2_000_000_000 - 12_000_000
    assert found.longest_mutual == (Moment(6, 12_000_000), Moment(19, 2_000_000_000))


def test_answers_and_unanswered_probes_are_told_apart() -> None:
    answered = stall(FROZEN + exchange(0.22, 0.63, theirs=False))
    assert (answered.answers, answered.silent_probes) == (Pair(0, 2), Pair(0, 0))
    silent = stall(FROZEN + "0.22 > . 1000:1000(0) ack 1001 win 0\n0.63 > . 1000:1000(0) ack 1001 win 0")
    assert (silent.answers, silent.silent_probes) == (Pair(0, 0), Pair(2, 0))


def test_a_capture_that_begins_with_a_probe_knows_it_by_its_answer() -> None:
    found = stall(exchange(5, theirs=False))
    assert found.probes == Pair((5_000_000_000,), ())
    assert found.since is None


def test_after_a_reset_only_bits_and_frames_are_counted() -> None:
    found = facts(FROZEN + "1 > R. 1001:1001(0) ack 1001 win 0\n2 < . 1001:1001(0) ack 1001 win 900")
    assert found.frames == 8
    assert found.stall is not None
    assert found.stall.reset == Reset(Role.CLIENT, Moment(7, 1_000_000_000), bare=False)
    assert found.stall.wire.closed.server is True
    assert found.stall.wire.reopened.server == 0


def test_without_a_closed_window_there_is_no_stall() -> None:
    assert facts("0 > P. 1:11(10) ack 1 win 9\n1 < . 1:1(0) ack 11 win 9").stall is None


def test_another_syn_is_another_connection() -> None:
    first, again, other = parse("0 > S 5:5(0) win 9\n1 > S 5:5(0) win 9\n2 > S 77:77(0) win 9", CLIENT, SERVER)
    witness = PacketWitness()
    assert not witness.restarts(first)
    witness.feed(first)
    assert not witness.restarts(again)
    assert witness.restarts(other)
