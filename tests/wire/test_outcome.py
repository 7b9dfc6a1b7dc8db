"""Look-alikes of a deadlock get their own outcomes: idle, slow reader, one-sided stall, black hole, inconclusive."""

import pytest

from lab.report.reasons import words
from lab.spec import Outcome
from tests.wire.wire_flows import FROZEN, HANDSHAKE, ITS_PROBE, PROBE, exchange, judged

SILENT = (0.22, 0.63, 1.45, 3.1)
"""When a persist timer probes, in seconds."""


def outcome(text: str, until: float = 0) -> Outcome:
    return judged(text, until).verdict.outcome


def missing(text: str, until: float = 0) -> str:
    """What an inconclusive verdict lacks."""
    verdict = judged(text, until).verdict
    assert verdict.outcome is Outcome.INCONCLUSIVE
    (lacks,) = verdict.missing
    return words(lacks)


def test_one_early_probe_of_each_side_is_a_deadlock() -> None:
    assert outcome(FROZEN + exchange(0.22)) is Outcome.DEADLOCK


def test_both_last_windows_zero_is_not_enough() -> None:
    assert outcome(FROZEN, until=0.1) is Outcome.MOVING
    assert missing(FROZEN, until=1) == "time: mutual stall for 1.0 s, not yet probed by both"
    assert outcome(FROZEN, until=9) is Outcome.IDLE


def test_probes_of_one_side_only_are_a_one_sided_stall() -> None:
    assert outcome(FROZEN + exchange(*SILENT, theirs=False)) is Outcome.ONE_SIDED_STALL
    assert outcome(FROZEN + exchange(*SILENT, ours=False)) is Outcome.ONE_SIDED_STALL


@pytest.mark.parametrize(
    ("times", "said"),
    [(SILENT, Outcome.ONE_SIDED_STALL), ((3.0, 6.1), Outcome.INCONCLUSIVE), ((), Outcome.IDLE)],
    ids=["probed", "too few probes", "not probed"],
)
def test_with_one_window_closed_its_writer_decides(times: tuple[float, ...], said: Outcome) -> None:
    one_sided = f"{HANDSHAKE}0.010 > P. 1:1001(1000) ack 1 win 250\n0.011 < . 1:1(0) ack 1001 win 0\n"
    probes = "\n".join(
        f"{at} > . 1000:1000(0) ack 1 win 250\n{at + 0.01:.2f} < . 1:1(0) ack 1001 win 0" for at in times
    )
    assert outcome(one_sided + probes, until=9) is said


def test_keep_alives_at_equal_gaps_are_no_probes_of_a_persist_timer() -> None:
    """Byte for byte the same segments: an idle pair whose windows are exactly filled."""
    assert outcome(FROZEN + exchange(1.03, 2.05, 3.07, 4.1)) is Outcome.IDLE


def test_too_few_late_probes_decide_nothing() -> None:
    assert "more probes of the client" in missing(FROZEN + exchange(3.0, 6.1))


def test_gaps_that_grow_are_a_persist_timer_however_late_the_capture_began() -> None:
    late = "\n".join(
        f"{at:.1f} {PROBE}\n{at + 0.1:.1f} < . 1001:1001(0) ack 1001 win 0\n{at + 1:.1f} {ITS_PROBE}"
        for at in (0.5, 7.1, 20.3)
    )
    assert outcome(late) is Outcome.DEADLOCK


def test_probes_at_the_longest_gap_are_a_persist_timer_too() -> None:
    assert outcome(exchange(5, 126, 247)) is Outcome.DEADLOCK


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
    assert outcome(frozen) is Outcome.DEADLOCK


def test_probes_of_one_side_that_nobody_answers_are_a_black_hole() -> None:
    assert outcome(FROZEN + "\n".join(f"{at} {PROBE}" for at in SILENT)) is Outcome.BLACKHOLE


def test_probes_that_cross_and_are_never_answered_are_a_black_hole() -> None:
    crossing = "\n".join(f"{at} {PROBE}\n{at + 0.01:.3f} {ITS_PROBE}" for at in SILENT)
    assert outcome(FROZEN + crossing) is Outcome.BLACKHOLE


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
    assert outcome(once + again) is Outcome.SLOW_READER
    assert outcome(once + again + "\n3.6 < R. 1001:1001(0) ack 1101 win 0") is Outcome.ABORTED
    assert outcome(once + again, until=30) is Outcome.DEADLOCK


def test_a_reader_that_keeps_reopening_its_window_is_slow() -> None:
    text = HANDSHAKE
    for turn in range(3):
        at, seq = 0.1 * (turn + 1), 1 + 1000 * turn
        text += (
            f"{at:.2f} > P. {seq}:{seq + 1000}(1000) ack 1 win 250\n{at + 0.01:.2f} < . 1:1(0) ack {seq + 1000} win 0\n"
        )
        text += f"{at + 0.02:.2f} < . 1:1(0) ack {seq + 1000} win 1000\n"
    assert outcome(text) is Outcome.SLOW_READER
    assert outcome(text, until=9) is Outcome.IDLE


def test_one_direction_only_decides_nothing() -> None:
    lines = (FROZEN + exchange(0.22, 0.63, 1.45)).splitlines()
    assert "one direction" in missing("\n".join(line for line in lines if ">" in line))


def test_a_probe_captured_on_two_interfaces_is_one_probe() -> None:
    """Else the gap of nothing between the copies would look like a persist timer's."""
    twice = "\n".join(line.strip() for each in exchange(1.03, 2.05, 3.07, 4.1).splitlines() for line in (each, each))
    assert outcome(FROZEN + twice) is Outcome.IDLE


def test_connections_without_a_closed_window_are_told_apart_by_their_ends() -> None:
    open_ = HANDSHAKE + "0.010 > P. 1:101(100) ack 1 win 250\n0.011 < . 1:1(0) ack 101 win 1000\n"
    fins = "0.020 > F. 101:101(0) ack 1 win 250\n0.021 < F. 1:1(0) ack 102 win 1000\n"
    assert outcome(open_) is Outcome.MOVING
    assert outcome(open_, until=9) is Outcome.IDLE
    assert outcome(open_ + fins) is Outcome.COMPLETED
    assert outcome(open_ + "0.020 < R. 1:1(0) ack 101 win 0") is Outcome.ABORTED
    syns = "\n".join(f"{at} > S 0:0(0) win 1000" for at in (0, 1, 3, 7))
    assert outcome(syns) is Outcome.BLACKHOLE
