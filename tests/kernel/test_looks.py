"""A blocked write that may go on by itself: known by the looks at its socket, one after the other."""

from dataclasses import replace

import pytest

from lab.evidence import Looks, SocketSample
from lab.kernel import looks
from lab.kernel.looks import PACKET, WAIT_S, Memory
from tests.proof.frozen_pair import client

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


def told(known: Memory, sample: SocketSample) -> Looks:
    found = known.told(sample).looks
    assert found is not None
    return found


def answers(clock: Clock, *seen: tuple[float, SocketSample]) -> list[bool]:
    known, found = Memory(), []
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
    known = Memory()
    told(known, replace(ROOM, snd_wnd=65_536, snd_mss=2048, wqueue=40))
    told(known, replace(ROOM, snd_wnd=None, snd_mss=1448))
    found = told(known, ROOM)
    assert (found.written, found.window, found.mss) == (7000, 65_536, 1448)
