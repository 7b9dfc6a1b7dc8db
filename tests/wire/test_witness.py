"""What the wire says is counted as the rules of zero-window probing have it.

Each flow is played from several initial sequence numbers, so that the numbers wrap.
"""

import pytest

from lab.evidence import Moment, WireFacts
from lab.spec import Pair
from lab.tcp.connection import ProbeKind
from lab.tcp.segment import ControlBits, Segment
from lab.wire.witness import MAX_EVENTS, WireWitness, witness
from tests.wire.wire_flows import CLIENT, FROZEN, HANDSHAKE, SERVER, flow


@pytest.fixture(params=[0, 2**32 - 1, 2**32 - 900, 2**32 - 1078, 2**31 - 500], ids="isn={}".format)
def isn(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


def moment(frame: int, seconds: float) -> Moment:
    return Moment(frame, round(seconds * 1e9))


def test_a_freeze_has_both_windows_closed_and_says_since_when(isn: int) -> None:
    facts = witness(flow(FROZEN, isn))
    assert facts.ends == Pair(CLIENT, SERVER)
    assert facts.roles_seen
    assert facts.closed == Pair(True, True)
    assert facts.zero_windows == Pair(1, 1)
    assert facts.first_zero_window == Pair(moment(6, 0.012), moment(5, 0.011))
    assert facts.progress == moment(6, 0.012)
    assert facts.reopened == facts.probes == Pair(0, 0)


def test_a_probe_is_not_progress(isn: int) -> None:
    facts = witness(flow(FROZEN + "0.212 > . 1000:1000(0) ack 1001 win 0\n0.213 < . 1001:1001(0) ack 1001 win 0", isn))
    assert facts.probes == facts.probes_since_still == Pair(1, 0)
    assert facts.progress == moment(6, 0.012)
    assert facts.zero_windows == Pair(2, 2)
    assert [(event.kind, event.number, event.moment.frame) for event in facts.events] == [(ProbeKind.PROBE, 1, 7)]


def test_the_same_segment_into_an_open_window_is_a_keep_alive_and_no_probe(isn: int) -> None:
    facts = witness(flow(HANDSHAKE + "9.000 > . 0:0(0) ack 1 win 250\n9.001 < . 1:1(0) ack 1 win 1000", isn))
    assert facts.probes == Pair(0, 0)
    assert facts.progress is None
    assert facts.closed == Pair(False, False)


def test_a_retransmission_into_a_zero_window_is_a_probe(isn: int) -> None:
    """The receiver drops what it had granted and takes its edge back: RTO retransmissions, and no probe of 0 bytes."""
    retreat = """
    0.010 > P. 1:401(400) ack 1 win 250
    0.011 < . 1:1(0) ack 1 win 0
    0.220 > P. 1:401(400) ack 1 win 250
    0.221 < . 1:1(0) ack 1 win 0
    0.640 > P. 1:401(400) ack 1 win 250
    """
    facts = witness(flow(HANDSHAKE + retreat, isn))
    assert facts.probes == facts.probes_since_still == Pair(2, 0)
    assert {event.kind for event in facts.events} == {ProbeKind.RETRANSMISSION}
    assert facts.progress == moment(4, 0.010)
    assert facts.closed == Pair(False, True)


def test_one_new_byte_at_the_edge_is_a_probe_each_time_it_is_sent(isn: int) -> None:
    probe = "1001:1002(1) ack 1001 win 0"
    facts = witness(flow(FROZEN + f"0.5 > . {probe}\n0.501 < . 1001:1001(0) ack 1001 win 0\n1.5 > . {probe}", isn))
    assert facts.probes == Pair(2, 0)
    assert {event.kind for event in facts.events} == {ProbeKind.BYTE}
    assert facts.progress == moment(6, 0.012)


def test_a_probe_byte_that_is_accepted_is_progress(isn: int) -> None:
    accepted = "0.5 > . 1001:1002(1) ack 1001 win 0\n0.501 < . 1001:1001(0) ack 1002 win 0"
    facts = witness(flow(FROZEN + accepted, isn))
    assert facts.progress == moment(8, 0.501)
    assert facts.probes == Pair(1, 0)
    assert facts.probes_since_still == Pair(0, 0)


def test_a_silly_window_fragment_is_new_data_and_no_probe(isn: int) -> None:
    silly = """
    0.010 > P. 1:901(900) ack 1 win 250
    0.011 < . 1:1(0) ack 901 win 100
    0.215 > P. 901:1001(100) ack 1 win 250
    0.216 < . 1:1(0) ack 1001 win 0
    """
    facts = witness(flow(HANDSHAKE + silly, isn))
    assert facts.silly_segments == Pair(1, 0)
    assert facts.probes == Pair(0, 0)
    assert facts.progress == moment(7, 0.216)


def test_the_edge_is_counted_in_scaled_windows(isn: int) -> None:
    """The client's scale is 2 and both SYNs carry one: its window of 25 is 100 bytes."""
    silly = """
    0.010 < P. 1:901(900) ack 1 win 1000
    0.011 > . 1:1(0) ack 901 win 25
    0.215 < P. 901:1001(100) ack 1 win 1000
    """
    assert witness(flow(HANDSHAKE + silly, isn)).silly_segments == Pair(0, 1)
    assert witness(flow((HANDSHAKE + silly).replace(" wscale 0", ""), isn)).silly_segments == Pair(0, 0)


def test_a_window_that_opens_again_voids_the_suspicion(isn: int) -> None:
    probes = "0.3 > . 1000:1000(0) ack 1001 win 0\n0.301 < . 1000:1000(0) ack 1001 win 0"
    facts = witness(flow(f"{FROZEN}{probes}\n0.4 < . 1001:1001(0) ack 1001 win 500", isn))
    assert facts.probes == Pair(1, 1)
    assert facts.probes_since_still == Pair(0, 0)
    assert facts.reopened == Pair(0, 1)
    assert facts.closed == Pair(True, False)
    assert facts.progress == moment(9, 0.4)


def test_an_older_acknowledgment_says_nothing_of_the_window(isn: int) -> None:
    facts = witness(flow(FROZEN + "0.020 < . 1:1(0) ack 501 win 500", isn))
    assert facts.closed == Pair(True, True)
    assert facts.reopened == Pair(0, 0)


def test_the_window_of_a_syn_or_a_reset_is_no_zero_window(isn: int) -> None:
    text = "0.0 > S 0:0(0) win 0\n0.001 < S. 0:0(0) ack 1 win 0\n0.002 > R 1:1(0) win 0"
    facts = witness(flow(text, isn))
    assert facts.zero_windows == Pair(0, 0)
    assert facts.closed == Pair(None, None)
    assert facts.rst == Pair(moment(3, 0.002), None)


def test_a_fin_is_seen_and_is_progress(isn: int) -> None:
    facts = witness(flow(HANDSHAKE + "1.0 > F. 1:1(0) ack 1 win 250", isn))
    assert facts.fin == Pair(moment(4, 1.0), None)
    assert facts.progress == moment(4, 1.0)


def test_what_a_capture_of_zero_windows_and_bare_acks_lacks_is_noticed_at_its_acknowledgment(isn: int) -> None:
    """Mode `proof` keeps no data segment with an open window: the reading peer's acknowledgments tell of them."""
    facts = witness(flow(HANDSHAKE + "0.5 < . 1:1(0) ack 1001 win 1000\n0.6 < . 1:1(0) ack 5001 win 1000", isn))
    assert facts.progress == moment(5, 0.6)
    assert facts.probes == facts.silly_segments == Pair(0, 0)


def test_a_retransmission_whose_original_the_capture_lacks_is_no_progress(isn: int) -> None:
    """Both windows are closed, so the peer cannot have opened its own on a data segment that was not kept."""
    closed = """
    0.011 < . 1:1(0) ack 1001 win 0
    0.012 > . 1001:1001(0) ack 1001 win 0
    """
    again = "0.3 > P. 1001:1401(400) ack 1001 win 0"
    facts = witness(flow(HANDSHAKE + closed + again, isn))
    assert facts.probes == Pair(1, 0)
    assert facts.progress == moment(5, 0.012)


def test_new_data_into_a_window_that_may_have_opened_unseen_is_progress(isn: int) -> None:
    closed = "0.011 < . 1:1(0) ack 1001 win 0\n0.012 > . 1001:1001(0) ack 1 win 250\n"
    for later in ("0.3 > P. 1001:1401(400) ack 801 win 0", "0.3 > P. 1001:1401(400) ack 1 win 250"):
        facts = witness(flow(HANDSHAKE + closed + later, isn))
        assert facts.probes == Pair(0, 0)
        assert facts.progress == moment(6, 0.3)


def test_without_a_syn_the_lower_port_is_the_servers_and_zero_is_zero(isn: int) -> None:
    late = flow("5.0 < . 1000:1000(0) ack 1001 win 0\n5.001 > . 1001:1001(0) ack 1001 win 0", isn)
    late += flow("5.1 > . 1000:1000(0) ack 1001 win 0\n5.4 < . 1000:1000(0) ack 1001 win 0", isn)
    facts = witness(late)
    assert facts.ends == Pair(CLIENT, SERVER)
    assert not facts.roles_seen
    assert facts.closed == Pair(True, True)
    assert facts.probes == Pair(1, 1)
    assert facts.progress is None


def test_the_caller_may_know_the_ends() -> None:
    late = flow("5.0 < . 1000:1000(0) ack 1001 win 0")
    assert witness(late, Pair(SERVER, CLIENT)).zero_windows == Pair(1, 0)
    assert witness(late, Pair("10.0.0.1:1", "10.0.0.2:2")).segments == 0


def test_other_connections_and_a_socket_connected_to_itself_are_passed_over() -> None:
    wire = WireWitness()
    wire.feed(Segment(1, 0, CLIENT, CLIENT, 0, 0, 0, 0, ControlBits.SYN, None))
    for segment in flow(FROZEN):
        wire.feed(segment)
    wire.feed(Segment(9, 0, CLIENT, "198.18.20.10:9", 0, 0, 0, 0, ControlBits.ACK, None))
    assert wire.facts() == witness(flow(FROZEN))


def test_nothing_seen_is_no_connection() -> None:
    facts = witness([])
    assert facts.ends is None
    assert facts.closed == Pair(None, None)
    assert facts == WireFacts()


def test_the_events_kept_are_bounded_and_the_latest() -> None:
    wire = WireWitness()
    for segment in flow(FROZEN):
        wire.feed(segment)
    probe = flow(FROZEN + "0.212 > . 1000:1000(0) ack 1001 win 0")[-1]
    for _ in range(MAX_EVENTS + 44):
        wire.feed(probe)
    facts = wire.facts()
    assert facts.probes.client == MAX_EVENTS + 44
    assert [event.number for event in facts.events] == list(range(45, MAX_EVENTS + 45))
