"""The short way of a segment that only acknowledges comes to what the long way does."""

from dataclasses import asdict

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.tcp.connection import MOVED, TcpConnection
from lab.tcp.segment import ControlBits, Segment
from lab.tcp.seq import HALF, MODULUS

ONE, OTHER = "198.18.20.20:40000", "198.18.20.10:1060"
ACK = ControlBits.ACK

NEAR = st.sampled_from([0, 1, 2, HALF, HALF + 1, MODULUS - 1])
"""Numbers around one another, and at the two places where the circle's order turns."""
SEGMENTS = st.lists(
    st.builds(
        lambda back, seq, ack, wnd, length, bits: Segment(
            0, 0, OTHER if back else ONE, ONE if back else OTHER, seq, ack, wnd, length, bits, None
        ),
        st.booleans(),
        NEAR,
        NEAR,
        st.sampled_from([0, 1, 1]),
        st.sampled_from([0, 0, 0, 1]),
        st.sampled_from([ACK, ACK, ACK, ACK, ACK | ControlBits.FIN, ControlBits.SYN, ControlBits.RST]),
    ),
    max_size=40,
)


@settings(max_examples=500, deadline=None)
@given(SEGMENTS)
def test_both_ways_say_the_same_and_leave_the_same_books(segments: list[Segment]) -> None:
    short, long = TcpConnection(ONE, OTHER, marks=False), TcpConnection(ONE, OTHER)
    for number, segment in enumerate(segments, 1):
        timed = segment._replace(frame=number, time_ns=number * 100_000_000)
        assert short.feed(timed)[1:] == long.feed(timed)[1:]
        assert [asdict(tcb) for tcb in short.tcbs.values()] == [asdict(tcb) for tcb in long.tcbs.values()]
        assert short.moved_ns == long.moved_ns


def test_the_short_way_is_taken() -> None:
    connection = TcpConnection(ONE, OTHER, marks=False)
    acknowledging = Segment(1, 0, OTHER, ONE, 7, 1000, 500, 0, ACK, None)
    for segment in (acknowledging, Segment(2, 0, ONE, OTHER, 1000, 7, 500, 0, ACK, None)):
        assert connection.feed(segment) is not MOVED
    assert connection.feed(acknowledging._replace(ack=2000)) is MOVED
    assert connection.tcbs[OTHER].rcv_nxt == connection.tcbs[ONE].snd_nxt == 2000
