"""A blocked write that may go on by itself: known by the looks at its socket, one after the other."""

from dataclasses import replace

import pytest

from lab.evidence import SocketSample
from lab.kernel import retries
from lab.kernel.retries import PACKET, WAIT_S, Retries
from tests.proof.frozen_pair import client

ROOM = client(may_retry=None, wqueue=7040, notsent_bytes=7040, wmem_queued=7872)
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
    monkeypatch.setattr(retries, "time", found)
    return found


def answers(clock: Clock, *looks: tuple[float, SocketSample]) -> list[bool | None]:
    known, found = Retries(), []
    for seconds, sample in looks:
        clock.now += seconds
        found.append(known.told(sample).may_retry)
    return found


def test_a_buffer_with_room_is_waited_for_until_its_writer_would_have_tried_again(clock: Clock) -> None:
    looks = (0.0, ROOM), (0.2, ROOM), (WAIT_S - 0.2, ROOM), (1.0, ROOM)
    assert answers(clock, *looks) == [True, True, False, False]


def test_what_is_written_meanwhile_begins_it_anew_and_what_is_acknowledged_does_not(clock: Clock) -> None:
    acknowledged = replace(ROOM, bytes_acked=ROOM.bytes_acked + 1000, wqueue=ROOM.wqueue - 1000, wmem_queued=6872)
    written = replace(acknowledged, wqueue=acknowledged.wqueue + 100)
    looks = (0.0, ROOM), (WAIT_S, acknowledged), (0.1, written), (WAIT_S, written)
    assert answers(clock, *looks) == [True, False, True, False]


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


def test_the_largest_window_of_all_looks_is_told() -> None:
    known = Retries()
    looks = (known.told(replace(ROOM, snd_wnd=window)).largest_window for window in (65_536, 128, None))
    assert list(looks) == [65_536] * 3
