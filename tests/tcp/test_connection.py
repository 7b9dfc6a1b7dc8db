"""What a segment is follows from the sequence variables of both ends; the short way has the same result."""

from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.tcp.connection import MOVED, ProbeKind, TcpConnection
from lab.tcp.notation import parse
from lab.tcp.segment import ControlBits, Segment
from lab.tcp.seq import HALF, MODULUS, forward

ONE, OTHER = "198.18.20.20:40000", "198.18.20.10:1060"
ACK = ControlBits.ACK

ISNS = (MODULUS - 500, HALF - 500)
"""The numbers of both sides wrap: the client's past 2^32, the server's past 2^31."""

FROZEN = """
0.000 > S 0:0(0) win 1000 wscale 2
0.001 < S. 0:0(0) ack 1 win 1000 wscale 3
0.002 > . 1:1(0) ack 1 win 250
0.010 > P. 1:1001(1000) ack 1 win 250
0.011 < P. 1:601(600) ack 1001 win 0
0.012 > . 1001:1001(0) ack 601 win 0
"""


def played(text: str) -> TcpConnection:
    connection = TcpConnection(ONE, OTHER)
    for segment in parse(text, ONE, OTHER, ISNS):
        connection.feed(segment)
    return connection


def test_the_variables_of_both_ends_are_those_of_rfc_9293() -> None:
    client, server = played(FROZEN).tcbs.values()
    assert (client.snd_nxt, server.snd_nxt) == (forward(ISNS[0], 1001), forward(ISNS[1], 601))
    assert (client.rcv_nxt, server.rcv_nxt) == (server.snd_nxt, client.snd_nxt)
    assert (client.rcv_wnd, client.rcv_wscale, client.closed) == (0, 2, True)
    assert (server.rcv_wnd, server.rcv_wscale, server.closed) == (0, 3, True)
    assert (client.max_payload, server.max_payload) == (1000, 600)
    assert (client.data_sent_ns, server.data_sent_ns) == (10_000_000, 11_000_000)


def test_an_acknowledgment_shows_what_the_capture_lacks_of_the_peer() -> None:
    client, server = played("0 < . 1:1(0) ack 5001 win 9").tcbs.values()
    assert client.snd_nxt == server.rcv_nxt == forward(ISNS[0], 5001)
    assert client.closed is None


@pytest.mark.parametrize(
    ("line", "probe", "moved", "reopened"),
    [
        ("0.3 > . 1000:1000(0) ack 601 win 0", ProbeKind.PROBE, False, False),
        ("0.3 > F. 1000:1000(0) ack 601 win 0", None, False, False),
        ("0.3 > . 1001:1001(0) ack 601 win 0", None, False, False),
        ("0.3 > P. 1001:1002(1) ack 601 win 0", ProbeKind.BYTE, False, False),
        ("0.3 > P. 1001:1101(100) ack 601 win 0", ProbeKind.RETRANSMISSION, False, False),
        ("0.1 > P. 1001:1101(100) ack 601 win 0", None, True, False),
        ("0.3 > P. 1:1001(1000) ack 601 win 0", None, False, False),
        ("0.3 < . 601:601(0) ack 1001 win 100", None, True, True),
        ("0.3 < . 601:601(0) ack 501 win 100", None, False, False),
        ("0.3 > F. 1001:1001(0) ack 601 win 0", None, True, False),
        ("0.3 > R. 1001:1001(0) ack 601 win 500", None, False, False),
        ("0.3 > S 5:5(0) win 500", None, False, False),
    ],
)
def test_what_a_segment_is_after_a_freeze(line: str, probe: ProbeKind | None, moved: bool, reopened: bool) -> None:
    connection = played(FROZEN)
    (segment,) = parse(line, ONE, OTHER, ISNS)
    said = connection.feed(segment)
    assert (said.probe, said.moved, said.reopened) == (probe, moved, reopened)


NEAR = st.sampled_from([0, 1, 2, HALF, HALF + 1, MODULUS - 1])
"""Numbers near one another, and at the two places where their order turns."""
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


@settings(max_examples=500)
@given(SEGMENTS)
def test_both_ways_say_the_same_and_leave_the_same_variables(segments: list[Segment]) -> None:
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
