"""What one end shows of a standstill: row by row, and how the probes of its peer are counted."""

from dataclasses import replace
from typing import Any

import pytest

from lab.evidence import SocketSample
from lab.proof.one_end import awaits_probe, ends_seen, kind_of_one_end, may_be_closed, peer_probes
from lab.report.reasons import words
from lab.spec import Outcome
from lab.verdict import PeerProbes
from tests.proof.frozen_pair import EMPTY, MS, SECOND, client, server

NONE_DUE, NONE_YET, SOME = PeerProbes(0, 5.0, 2.0), PeerProbes(0, 0.3, 2.0), PeerProbes(2, 0.3, 2.0)
HELD = {"rcv_wnd": 4096, "rqueue": 0}
"""Our window is open; the peer's is closed."""
UNREAD = {"wqueue": 0, "notsent_bytes": 0, "wmem_queued": 0, "timer": "none"}
"""Nothing is to be sent; what has come is not read, and our window is closed."""


@pytest.mark.parametrize(
    ("facts", "probes", "outcome"),
    [
        ({"state": "SYN-SENT", "timer": "on", "backoff": 2, "last_ack_recv_ms": 9000}, NONE_YET, "blackhole"),
        ({"state": "SYN-SENT", "timer": "on", "backoff": 1, "last_ack_recv_ms": 9000}, SOME, "inconclusive"),
        ({**HELD, "timer": "on", "backoff": 2, "last_ack_recv_ms": 9000, "snd_wnd": 4096}, NONE_YET, "blackhole"),
        ({**HELD, "probes": 2}, SOME, "blackhole"),
        ({"probes": 2}, SOME, "inconclusive"),
        ({**HELD}, NONE_YET, "one-sided-stall"),
        ({"rqueue": 0}, NONE_YET, "one-sided-stall"),
        ({}, SOME, "deadlock"),
        ({"rcv_wnd": None}, SOME, "deadlock"),
        ({}, NONE_YET, "inconclusive"),
        ({"rcv_wnd": None}, NONE_YET, "inconclusive"),
        ({}, NONE_DUE, "one-sided-stall"),
        ({**UNREAD}, SOME, "one-sided-stall"),
        ({**UNREAD}, NONE_YET, "inconclusive"),
        ({**UNREAD}, NONE_DUE, "idle"),
        ({**UNREAD, "rcv_wnd": 4096}, NONE_YET, "idle"),
        ({**EMPTY}, NONE_YET, "idle"),
        ({"snd_wnd": 4096, "unacked": 1}, SOME, "inconclusive"),
        ({"snd_wnd": None}, SOME, "inconclusive"),
    ],
)
def test_each_row_of_the_table(facts: dict[str, Any], probes: PeerProbes, outcome: str) -> None:
    found = kind_of_one_end(client(**facts), probes)
    assert found.outcome == outcome
    assert bool(found.missing) == (found.outcome is Outcome.INCONCLUSIVE), "what is missing is named"
    assert bool(found.diagnosis) == (outcome not in ("inconclusive", "idle"))


def test_what_would_decide_says_until_when() -> None:
    (missing,) = kind_of_one_end(client(), NONE_YET).missing
    assert "within 1.7 s" in words(missing)


def test_a_probe_matters_only_to_a_window_that_may_be_closed() -> None:
    assert awaits_probe(client())
    assert awaits_probe(client(**UNREAD))
    for facts in ({**HELD}, {**EMPTY}, {"snd_wnd": 4096}, {"probes": 2}):
        assert not awaits_probe(client(**facts)), facts
    assert may_be_closed(client(rcv_wnd=None))
    assert not may_be_closed(client(rcv_wnd=None, rqueue=0)), "an empty buffer is open"


def later(before: SocketSample, ms: int, came: int, *, heard: bool = False) -> SocketSample:
    """So much later, after so many segments; the last acknowledgment is as old as it then is, or new."""
    assert before.segs_in is not None
    ack_ms = 3 if heard else before.last_ack_recv_ms + ms
    return replace(before, time_ns=before.time_ns + ms * MS, segs_in=before.segs_in + came, last_ack_recv_ms=ack_ms)


@pytest.mark.parametrize(
    ("ms", "came", "heard", "count"),
    [
        (20, 0, False, 0),
        (20, 1, False, 1),
        (20, 2, False, 2),
        (20, 1, True, 0),
        (20, 2, True, 1),
        (310, 1, False, 1),
        (310, 2, True, 0),
        (310, 3, True, 0),
    ],
)
def test_a_segment_that_answers_nothing_is_a_probe(ms: int, came: int, heard: bool, count: int) -> None:
    """Where two answers to probes of our own may have come, nobody knows what else came."""
    first = client(segs_in=40, last_ack_recv_ms=900)
    assert peer_probes([first, later(first, ms, came, heard=heard)]).count == count


def test_a_jiffy_is_no_acknowledgment() -> None:
    first = client(segs_in=40, last_ack_recv_ms=900)
    assert peer_probes([first, replace(later(first, 20, 1), last_ack_recv_ms=910)]).count == 1


def test_the_next_probe_comes_after_no_more_than_the_time_since_the_last_data() -> None:
    first = client(segs_in=40, last_data_recv_ms=1500, rto_us=204_000)
    counted = peer_probes([first, later(first, 300, 0)])
    assert (counted.for_s, counted.next_within_s) == (0.3, 1.704)
    assert peer_probes([replace(first, last_data_recv_ms=10**9)]).next_within_s == 120.204
    assert peer_probes([replace(first, last_data_recv_ms=None)]).next_within_s == 120.204


def test_without_the_counter_no_probe_is_counted() -> None:
    first = client(segs_in=None, last_ack_recv_ms=900)
    assert peer_probes([first, replace(first, time_ns=first.time_ns + SECOND)]).count == 0


def test_which_ends_were_seen() -> None:
    assert ends_seen((client(), server())) == "both"
    assert (ends_seen((client(), None)), ends_seen((None, server()))) == ("client", "server")
    assert ends_seen((None, None)) is None
