"""A blocked write that may go on by itself: known by the looks at its socket, one after the other."""

from dataclasses import replace

import pytest

from lab.evidence import Looks, SocketSample
from lab.kernel.sockets import looks
from lab.kernel.sockets.looks import PACKET, WAIT_S, SocketHistory
from tests.proof.frozen_pair import client, server

ROOM = client(looks=None, wqueue=7040, notsent_bytes=7040, wmem_queued=7872)
"""As it stood in a proxy 0.2 s before its write went on: 320 bytes are free."""
FULL = replace(ROOM, wmem_queued=8192)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(looks, "time", found)
    return found


def told(known: SocketHistory, sample: SocketSample) -> Looks:
    found = known.told(sample).looks
    assert found is not None
    return found


def answers(clock: Clock, *seen: tuple[float, SocketSample]) -> list[bool]:
    known, found = SocketHistory(), []
    for seconds, sample in seen:
        clock.now += seconds
        found.append(told(known, sample).may_retry)
    return found


def test_a_buffer_with_room_is_waited_for_until_its_writer_would_have_tried_again(clock: Clock) -> None:
    seen = (0.0, ROOM), (0.2, ROOM), (WAIT_S - 0.2, ROOM), (1.0, ROOM)
    assert answers(clock, *seen) == [True, True, False, False]


def test_what_is_written_meanwhile_begins_it_anew_and_what_is_acknowledged_does_not(clock: Clock) -> None:
    acknowledged = replace(ROOM, bytes_acked=ROOM.bytes_acked + 1000, wqueue=ROOM.wqueue - 1000, wmem_queued=6872)
    written = replace(acknowledged, wqueue=acknowledged.wqueue + 100)
    seen = (0.0, ROOM), (WAIT_S, acknowledged), (0.1, written), (WAIT_S, written)
    assert answers(clock, *seen) == [True, False, True, False]


def test_a_buffer_that_was_full_after_the_last_byte_has_put_its_writer_to_sleep_for_good(clock: Clock) -> None:
    drained = replace(FULL, bytes_acked=FULL.bytes_acked + 1000, wqueue=FULL.wqueue - 1000, wmem_queued=7192)
    assert answers(clock, (0.0, FULL), (0.01, drained)) == [False, False]


def test_packets_in_flight_may_have_been_split_off_since_and_fill_no_buffer(clock: Clock) -> None:
    split = replace(FULL, unacked=2)
    assert answers(clock, (0.0, split)) == [True]
    assert answers(clock, (0.0, replace(split, wmem_queued=split.sndbuf + 2 * PACKET))) == [False]


def test_each_socket_is_known_by_its_cookie(clock: Clock) -> None:
    other = replace(ROOM, cookie=ROOM.cookie + 10)
    assert answers(clock, (0.0, ROOM), (WAIT_S, other), (0.0, ROOM)) == [True, True, False]


def test_the_first_look_and_the_least_mss_are_remembered() -> None:
    known = SocketHistory()
    told(known, replace(ROOM, snd_wnd=65_536, snd_mss=2048, wqueue=40))
    told(known, replace(ROOM, snd_wnd=None, snd_mss=1448))
    found = told(known, ROOM)
    assert (found.written, found.window, found.mss) == (7000, 65_536, 1448)


OPEN = server(looks=None, rcv_wnd=384, bytes_received=18_256, rqueue=848, rmem_alloc=5776)
FILLED = replace(OPEN, rcv_wnd=0, bytes_received=18_640, rqueue=1232, rmem_alloc=6160)
"""As a squeezed echo server stood: 2032 bytes are free, and no window comes of them."""
UNACKNOWLEDGED = replace(FILLED, rcv_wnd=384)


def closes(*seen: SocketSample) -> bool:
    known = SocketHistory()
    return [told(known, sample).closed for sample in seen][-1]


def test_a_window_that_closes_with_all_that_is_there_now_has_closed_for_good() -> None:
    assert closes(OPEN, OPEN, FILLED)
    assert closes(OPEN, OPEN, UNACKNOWLEDGED, UNACKNOWLEDGED, FILLED, replace(FILLED, drops=1))


@pytest.mark.parametrize(
    "seen",
    [
        (FILLED, FILLED),
        (OPEN, FILLED),
        (OPEN, OPEN, UNACKNOWLEDGED),
        (OPEN, OPEN, replace(FILLED, rqueue=1231)),
        (OPEN, OPEN, replace(FILLED, drops=1)),
        (OPEN, OPEN, replace(FILLED, rcvbuf=9216)),
        (replace(OPEN, rqueue=0), replace(OPEN, rqueue=0), replace(FILLED, rqueue=384)),
        (OPEN, OPEN, FILLED, replace(FILLED, rcvbuf=9216)),
        (OPEN, OPEN, FILLED, replace(FILLED, rmem_alloc=5000)),
        (OPEN, OPEN, replace(FILLED, rcv_wnd=None)),
    ],
    ids=[
        "never seen open", "seen once, in the midst", "not closed", "read meanwhile", "refused for lack of memory",
        "resized meanwhile", "alone in the buffer", "resized", "less in it", "unknown",
    ],
)  # fmt: skip
def test_any_other_way_to_a_closed_window_shows_nothing(seen: tuple[SocketSample, ...]) -> None:
    assert not closes(*seen)


def test_for_how_long_a_receive_buffer_has_been_as_large_and_as_full_as_it_is(clock: Clock) -> None:
    known, found = SocketHistory(), []
    for sample in (FILLED, FILLED, replace(FILLED, rcvbuf=8502), replace(FILLED, rcvbuf=8502, rmem_alloc=6000), FILLED):
        found.append(told(known, sample).unchanged_ms)
        clock.now += 0.5
    assert found == [0, 500, 0, 0, 0]
