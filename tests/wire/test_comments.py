"""The frames that matter carry comments, the same while they come and at the end."""

from lab.wire.comments import frame_comments
from lab.wire.witness import WireWitness, witness
from tests.wire.wire_flows import FROZEN, HANDSHAKE, flow

PROBED = flow(f"{FROZEN}0.212 > . 1000:1000(0) ack 1001 win 0")


def test_first_zero_windows_and_probes_carry_comments() -> None:
    facts = witness(PROBED)
    comments = frame_comments(facts)
    assert comments == {
        5: "first zero window of the server: it has no room for a byte",
        6: "first zero window of the client: it has no room for a byte",
        7: "probe 1 of the client: 0 bytes at SND.UNA-1 into a zero window; Wireshark calls this Keep-Alive",
    }
    assert frame_comments(facts, since=6) == {frame: text for frame, text in comments.items() if frame >= 6}


def test_a_segment_that_fills_a_silly_window_is_no_probe() -> None:
    silly = """
    0.010 > P. 1:901(900) ack 1 win 250
    0.011 < . 1:1(0) ack 901 win 100
    0.215 > P. 901:1001(100) ack 1 win 250
    """
    assert frame_comments(witness(flow(HANDSHAKE + silly))) == {
        6: "fragment 1 of the client: 100 new bytes that fill a silly window to its edge, sent by the persist timer; "
        "no probe"
    }


def test_two_comments_on_one_frame_are_joined() -> None:
    late = flow("5.0 < . 1000:1000(0) ack 1001 win 0\n5.1 > . 1000:1000(0) ack 1001 win 0")
    assert frame_comments(witness(late))[2].split("; ")[0] == (
        "first zero window of the client: it has no room for a byte"
    )
    assert "probe 1 of the client" in frame_comments(witness(late))[2]


def test_the_comments_while_packets_come_are_those_at_the_end() -> None:
    wire = WireWitness()
    found: dict[int, str] = {}
    for segment in PROBED:
        wire.feed(segment)
        found |= frame_comments(wire.facts(), segment.frame)
    assert found == frame_comments(wire.facts())


def test_nothing_seen_has_no_comments() -> None:
    assert frame_comments(witness([])) == {}
