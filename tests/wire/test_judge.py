"""The verdict from packets: consistent at most, since when it stalled, how that ended, on which frames."""

import pytest

from lab.report.reasons import all_words
from lab.spec import Grade, Outcome
from lab.verdict import Testimony as Says
from lab.wire.judge import StallEnd
from tests.wire.wire_flows import CLIENT, FROZEN, HANDSHAKE, SERVER, exchange, judged


def test_a_deadlock_is_no_more_than_consistent_and_names_what_would_settle_it() -> None:
    found = judged(FROZEN + exchange(0.22))
    assert found.verdict.outcome is Outcome.DEADLOCK
    assert found.verdict.grade is Grade.CONSISTENT
    assert found.ended is StallEnd.FROZEN
    assert found.since_ns == found.verdict.seal_ns == 12_000_000
    assert set(found.waits) == {(CLIENT, SERVER), (SERVER, CLIENT)}
    assert [edge.holder for edge in found.verdict.cycle] == ["server", "client"]
    on_client, on_server = all_words(found.verdict.missing)
    assert "on 198.18.20.20, `lab watch --port 1060`" in on_client
    assert "on 198.18.20.10, `lab watch --port 1060`" in on_server


def test_a_one_sided_stall_has_one_wait_and_no_cycle() -> None:
    found = judged(FROZEN + exchange(0.22, 0.63, 1.45, 3.1, theirs=False))
    assert found.waits == ((CLIENT, SERVER),)
    assert found.verdict.cycle == ()
    assert found.verdict.grade is None


def test_a_capture_that_begins_within_the_stall_guesses_the_roles_and_has_no_beginning() -> None:
    found = judged(exchange(5, 126, 247))
    assert found.verdict.outcome is Outcome.DEADLOCK
    assert (found.verdict.client, found.verdict.server, found.verdict.roles) == (CLIENT, SERVER, "guessed")
    assert found.since_ns is found.verdict.seal_ns is None


def test_a_stall_that_ends_went_on() -> None:
    text = (
        FROZEN
        + exchange(0.22, 0.63, 1.45)
        + "\n2.000 < . 1001:1001(0) ack 1001 win 900\n2.001 > P. 1001:1501(500) ack 1001 win 0"
    )
    found = judged(text)
    assert found.verdict.outcome is Outcome.MOVING
    assert (found.since_ns, found.until_ns, found.ended) == (12_000_000, 2_000_000_000, StallEnd.WENT_ON)
    assert [note.says for note in found.evidence][-2:] == ["the longest mutual stall begins", "and it goes on"]


@pytest.mark.parametrize(
    ("line", "ended", "says"),
    [
        ("5.0 > R. 1001:1001(0) ack 1001 win 0", StallEnd.RESET_BY_CLIENT, "the client resets it"),
        ("5.0 < R. 1001:1001(0) ack 1001 win 0", StallEnd.RESET_BY_SERVER, "the server resets it"),
        ("5.0 > R 1001:1001(0) win 0", StallEnd.TIMED_OUT_CLIENT, "the client no longer knows it"),
        ("5.0 < R 1001:1001(0) win 0", StallEnd.TIMED_OUT_SERVER, "the server no longer knows it"),
    ],
)
def test_the_state_is_judged_before_the_reset_that_ended_it(line: str, ended: StallEnd, says: str) -> None:
    found = judged(f"{FROZEN}{exchange(0.22, 0.63, 1.45)}\n{line}\n5.1 > R 1001:1001(0) win 0", until=60)
    assert found.verdict.outcome is Outcome.DEADLOCK
    assert (found.until_ns, found.ended) == (5_000_000_000, ended)
    assert found.verdict.age_s == pytest.approx(4.988)
    assert found.evidence[-1].says == says
    assert all_words(found.verdict.missing) == (
        "whether a program could still have read: the connection is gone, and nothing can tell any more",
    )


def test_the_frames_that_show_a_stall_are_in_order_and_of_many_probes_the_first_two_and_the_last_two() -> None:
    found = judged(FROZEN + exchange(0.22, 0.63, 1.45, 3.1, 6.4, 13.0))
    frames = [note.frame for note in found.evidence]
    assert frames == sorted(frames)
    said = [note.says.partition(":")[0] for note in found.evidence]
    assert said[:3] == ["first zero window of the server", "first zero window of the client", "last progress"]
    assert [text for text in said if "of the client" in text][1:] == [
        f"probe {number} of the client" for number in (1, 2, 5, 6)
    ]


def test_marks_are_counted_by_side() -> None:
    found = judged(FROZEN + exchange(0.22))
    assert found.marks is not None
    assert (found.marks["keep_alive"].client, found.marks["keep_alive"].server) == (1, 1)


def test_the_wire_is_the_only_witness() -> None:
    for text, said in (
        (FROZEN + exchange(0.22), Says.AGREES),
        (FROZEN + exchange(3.0, 6.1), Says.MISSING),
        (FROZEN + exchange(1.03, 2.05, 3.07, 4.1), Says.SILENT),
    ):
        witnesses = judged(text).verdict.witnesses
        assert (witnesses.program, witnesses.kernel) == (Says.MISSING, Says.MISSING)
        assert witnesses.wire is said


def test_without_a_closed_window_there_is_a_verdict_and_no_story() -> None:
    found = judged(HANDSHAKE + "0.010 > P. 1:101(100) ack 1 win 250\n")
    assert found.verdict.outcome is Outcome.MOVING
    assert (found.since_ns, found.until_ns, found.ended, found.evidence, found.marks) == (None, None, None, (), None)
