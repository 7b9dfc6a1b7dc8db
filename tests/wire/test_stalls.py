"""What packets alone tell is told, and no more: look-alikes of a deadlock get their own names."""

import pytest

from lab.report.reasons import words
from lab.spec import Grade, Outcome
from lab.tcp.notation import parse
from lab.wire.packets import PacketWitness
from lab.wire.stalls import Ended, Judged, judge_packets

CLIENT, SERVER = "198.18.20.20:40000", "198.18.20.10:1060"

HANDSHAKE = """
0.000 > S 0:0(0) win 1000 wscale 2
0.001 < S. 0:0(0) ack 1 win 1000 wscale 0
0.002 > . 1:1(0) ack 1 win 250
"""
FROZEN = f"""{HANDSHAKE}
0.010 > P. 1:1001(1000) ack 1 win 250
0.011 < P. 1:1001(1000) ack 1001 win 0
0.012 > . 1001:1001(0) ack 1001 win 0
"""
PROBE, ANSWER = "> . 1000:1000(0) ack 1001 win 0", "< . 1001:1001(0) ack 1001 win 0"
ITS_PROBE, ITS_ANSWER = "< . 1000:1000(0) ack 1001 win 0", "> . 1001:1001(0) ack 1001 win 0"


def judged(text: str, isn: int = 4_294_966_900, until: float = 0) -> Judged:
    witness, last = PacketWitness(), 0
    for segment in parse(text, CLIENT, SERVER, (isn, isn + 5)):
        witness.feed(segment)
        last = segment.time_ns
    return judge_packets(witness.facts(), max(last, round(until * 1e9)))


def exchange(*times: float, ours: bool = True, theirs: bool = True) -> str:
    lines = []
    for at in times:
        if ours:
            lines += [f"{at:.3f} {PROBE}", f"{at + 0.001:.3f} {ANSWER}"]
        if theirs:
            lines += [f"{at + 0.010:.3f} {ITS_PROBE}", f"{at + 0.011:.3f} {ITS_ANSWER}"]
    return "\n".join(lines)


def test_one_early_probe_of_each_side_is_a_deadlock_no_more_than_consistent() -> None:
    found = judged(FROZEN + exchange(0.22))
    assert found.verdict.outcome is Outcome.DEADLOCK
    assert found.verdict.grade is Grade.CONSISTENT
    assert found.ended is Ended.FROZEN
    assert found.since_ns == found.verdict.seal_ns == 12_000_000
    assert set(found.waits) == {(CLIENT, SERVER), (SERVER, CLIENT)}


def test_both_last_windows_zero_is_not_enough() -> None:
    assert judged(FROZEN, until=0.1).verdict.outcome is Outcome.MOVING
    assert judged(FROZEN, until=1).verdict.outcome is Outcome.INCONCLUSIVE
    assert judged(FROZEN, until=9).verdict.outcome is Outcome.IDLE


def test_probes_of_one_side_only_are_a_one_sided_stall() -> None:
    found = judged(FROZEN + exchange(0.22, 0.63, 1.45, 3.1, theirs=False))
    assert found.verdict.outcome is Outcome.ONE_SIDED_STALL
    assert found.waits == ((CLIENT, SERVER),)


def test_keep_alives_at_equal_gaps_are_no_probes_of_a_persist_timer() -> None:
    """Byte for byte the same segments: an idle pair whose windows are exactly filled."""
    assert judged(FROZEN + exchange(1.03, 2.05, 3.07, 4.1)).verdict.outcome is Outcome.IDLE


def test_too_few_late_probes_decide_nothing() -> None:
    found = judged(FROZEN + exchange(3.0, 6.1))
    assert found.verdict.outcome is Outcome.INCONCLUSIVE
    assert "more probes" in words(found.verdict.missing[0])


def test_gaps_that_grow_are_a_persist_timer_however_late_the_capture_began() -> None:
    late = "\n".join(f"{at:.1f} {PROBE}\n{at + 0.1:.1f} {ANSWER}\n{at + 1:.1f} {ITS_PROBE}" for at in (0.5, 7.1, 20.3))
    found = judged(late)
    assert found.verdict.outcome is Outcome.DEADLOCK
    assert found.verdict.roles == "guessed"
    assert found.since_ns is None


def test_probes_at_the_longest_gap_are_a_persist_timer_too() -> None:
    late = "\n".join(
        f"{at} {PROBE}\n{at + 1} {ANSWER}\n{at + 9} {ITS_PROBE}\n{at + 10} {ITS_ANSWER}" for at in (5, 126, 247)
    )
    assert judged(late).verdict.outcome is Outcome.DEADLOCK


def test_retransmissions_into_a_zero_window_are_probes() -> None:
    frozen = f"""{HANDSHAKE}
    0.010 > P. 1:401(400) ack 1 win 250
    0.011 < P. 1:1001(1000) ack 1 win 0
    0.012 > . 401:401(0) ack 1001 win 0
    1.500 > P. 1:401(400) ack 1001 win 0
    1.501 < . 1001:1001(0) ack 1 win 0
    1.510 < . 1000:1000(0) ack 1 win 0
    3.500 < . 1000:1000(0) ack 1 win 0
    3.501 > . 401:401(0) ack 1001 win 0
    8.500 < . 1000:1000(0) ack 1 win 0
    """
    assert judged(frozen).verdict.outcome is Outcome.DEADLOCK


@pytest.mark.parametrize("way", ["peer silent", "probes cross and nobody answers"])
def test_unanswered_probes_are_a_black_hole(way: str) -> None:
    if way == "peer silent":
        text = FROZEN + "\n".join(f"{at} {PROBE}" for at in (0.22, 0.63, 1.45, 3.1))
    else:
        text = FROZEN + "\n".join(f"{at} {PROBE}\n{at + 0.01:.3f} {ITS_PROBE}" for at in (0.22, 0.63, 1.45, 3.1))
    assert judged(text).verdict.outcome is Outcome.BLACKHOLE


def test_a_stall_that_ends_went_on() -> None:
    text = (
        FROZEN
        + exchange(0.22, 0.63, 1.45)
        + "\n2.000 < . 1001:1001(0) ack 1001 win 900\n2.001 > P. 1001:1501(500) ack 1001 win 0"
    )
    found = judged(text)
    assert found.verdict.outcome is Outcome.MOVING
    assert (found.since_ns, found.until_ns, found.ended) == (12_000_000, 2_000_000_000, Ended.WENT_ON)


def test_a_stall_no_longer_than_those_it_recovered_from_is_a_slow_readers() -> None:
    once = (
        FROZEN
        + exchange(0.22, 0.63, 1.45)
        + "\n2.0 < . 1001:1001(0) ack 1001 win 100\n2.001 > P. 1001:1101(100) ack 1001 win 0\n"
        + "2.002 < . 1001:1001(0) ack 1101 win 0\n"
    )
    again = "\n".join(
        f"{at} > . 1100:1100(0) ack 1001 win 0\n{at + 0.01:.2f} < . 1000:1000(0) ack 1101 win 0\n"
        f"{at + 0.02:.2f} > . 1101:1101(0) ack 1001 win 0"
        for at in (2.25, 2.7, 3.5)
    )
    assert judged(once + again).verdict.outcome is Outcome.SLOW_READER
    assert judged(once + again, until=30).verdict.outcome is Outcome.DEADLOCK


@pytest.mark.parametrize(
    ("line", "ended"),
    [
        ("5.0 > R. 1001:1001(0) ack 1001 win 0", Ended.RESET_BY_CLIENT),
        ("5.0 < R. 1001:1001(0) ack 1001 win 0", Ended.RESET_BY_SERVER),
        ("5.0 > R 1001:1001(0) win 0", Ended.TIMED_OUT_CLIENT),
        ("5.0 < R 1001:1001(0) win 0", Ended.TIMED_OUT_SERVER),
    ],
)
def test_the_state_is_judged_before_the_reset_that_ended_it(line: str, ended: Ended) -> None:
    found = judged(f"{FROZEN}{exchange(0.22, 0.63, 1.45)}\n{line}\n5.1 > R 1001:1001(0) win 0", until=60)
    assert found.verdict.outcome is Outcome.DEADLOCK
    assert (found.until_ns, found.ended) == (5_000_000_000, ended)
    assert found.verdict.age_s == pytest.approx(4.988)


def test_one_direction_only_decides_nothing() -> None:
    lines = (FROZEN + exchange(0.22, 0.63, 1.45)).splitlines()
    found = judged("\n".join(line for line in lines if ">" in line))
    assert found.verdict.outcome is Outcome.INCONCLUSIVE
    assert "one direction" in words(found.verdict.missing[0])


def test_a_probe_captured_on_two_interfaces_is_one_probe() -> None:
    """Else the gap of nothing between the copies would look like a persist timer's."""
    twice = "\n".join(line.strip() for each in exchange(1.03, 2.05, 3.07, 4.1).splitlines() for line in (each, each))
    assert judged(FROZEN + twice).verdict.outcome is Outcome.IDLE


def test_connections_without_a_closed_window_are_told_apart_by_their_ends() -> None:
    open_ = HANDSHAKE + "0.010 > P. 1:101(100) ack 1 win 250\n0.011 < . 1:1(0) ack 101 win 1000\n"
    fins = "0.020 > F. 101:101(0) ack 1 win 250\n0.021 < F. 1:1(0) ack 102 win 1000\n"
    assert judged(open_).verdict.outcome is Outcome.MOVING
    assert judged(open_, until=9).verdict.outcome is Outcome.IDLE
    assert judged(open_ + fins).verdict.outcome is Outcome.COMPLETED
    assert judged(open_ + "0.020 < R. 1:1(0) ack 101 win 0").verdict.outcome is Outcome.ABORTED
    syns = "\n".join(f"{at} > S 0:0(0) win 1000" for at in (0, 1, 3, 7))
    assert judged(syns).verdict.outcome is Outcome.BLACKHOLE


def test_marks_are_counted_by_side() -> None:
    found = judged(FROZEN + exchange(0.22))
    assert found.marks is not None
    assert (found.marks["keep_alive"].client, found.marks["keep_alive"].server) == (1, 1)
