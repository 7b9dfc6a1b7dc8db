"""What several samples of one socket show together: each sample is written down with its time."""

from dataclasses import replace

import pytest

from lab.evidence import EarlierSample, SocketSample
from lab.proof.stack.history import PACKET_BYTES, RETRY_NS, History, history_of
from tests.proof.frozen_pair import MS, SECOND, as_earlier, client, server

RETRY_MS = RETRY_NS // MS
ROOM = client(wqueue=7040, notsent_bytes=7040, wmem_queued=7872, time_ns=SECOND)
FULL = replace(ROOM, wmem_queued=8192)


def after(sample: SocketSample, *before: EarlierSample) -> History:
    found = history_of(replace(sample, earlier=before))
    assert found is not None
    return found


def test_without_earlier_samples_nothing_is_known() -> None:
    assert history_of(replace(ROOM, earlier=None)) is None


def test_a_write_may_be_tried_again_for_a_while_after_the_last_byte() -> None:
    assert after(ROOM).may_retry
    assert after(ROOM, as_earlier(ROOM, RETRY_MS - 1)).may_retry
    assert not after(ROOM, as_earlier(ROOM, RETRY_MS)).may_retry
    assert after(ROOM, as_earlier(ROOM, RETRY_MS, wqueue=ROOM.wqueue - 1)).may_retry, "a byte was written since"
    acknowledged = as_earlier(ROOM, RETRY_MS, bytes_acked=ROOM.bytes_acked - 1000, wqueue=ROOM.wqueue + 1000)
    assert not after(ROOM, acknowledged).may_retry, "bytes were acknowledged since, and none was written"


def test_a_buffer_that_was_full_after_the_last_byte_has_put_its_writer_to_sleep_for_good() -> None:
    assert not after(FULL).may_retry
    assert not after(ROOM, as_earlier(FULL, 10)).may_retry
    assert after(ROOM, as_earlier(FULL, 10, wqueue=ROOM.wqueue - 1)).may_retry, "it was full before the last byte"


def test_packets_in_flight_may_have_been_split_off_since_and_fill_no_buffer() -> None:
    split = replace(FULL, unacked=2)
    assert after(split).may_retry
    assert not after(replace(split, wmem_queued=split.sndbuf + 2 * PACKET_BYTES)).may_retry


def test_the_first_sample_and_the_smallest_mss_are_remembered() -> None:
    first = as_earlier(ROOM, 30, wqueue=40, snd_wnd=65_536, snd_mss=2048)
    found = after(ROOM, first, as_earlier(ROOM, 20, snd_wnd=None, snd_mss=1200))
    assert (found.written, found.first_window, found.least_mss) == (7000, 65_536, 1200)


OPEN = server(rcv_wnd=384, bytes_received=18_256, rqueue=848, rmem_alloc=5776, time_ns=SECOND)
FILLED = replace(OPEN, rcv_wnd=0, bytes_received=18_640, rqueue=1232, rmem_alloc=6160)
"""As a squeezed echo server stood: 2032 bytes are free, and no window comes of them."""
UNACKNOWLEDGED = replace(FILLED, rcv_wnd=384)


def closes(*seen: SocketSample) -> bool:
    *before, last = seen
    return after(last, *(as_earlier(each, 100 - nth) for nth, each in enumerate(before))).seen_to_close


def test_a_window_that_closed_with_all_that_is_there_now_was_seen_to_close() -> None:
    assert closes(OPEN, OPEN, FILLED)
    assert closes(OPEN, OPEN, UNACKNOWLEDGED, UNACKNOWLEDGED, FILLED, replace(FILLED, drops=1))


def test_a_window_that_closes_while_the_writer_may_be_at_work_may_have_closed_for_a_backlog() -> None:
    opened, filled = replace(OPEN, wmem_queued=7872), replace(FILLED, wmem_queued=7872)
    seen = (as_earlier(opened, 1), as_earlier(opened, 0))
    assert not after(filled, *seen).seen_to_close
    assert after(filled, as_earlier(opened, RETRY_MS), *seen).seen_to_close, "nothing was written for so long"
    assert after(filled, as_earlier(OPEN, 2), *seen).seen_to_close, "it was full, and so the writer went to sleep"
    assert not after(filled, as_earlier(OPEN, 2, wqueue=OPEN.wqueue - 1), *seen).seen_to_close, "before the last byte"


@pytest.mark.parametrize(
    "seen",
    [
        (FILLED, FILLED),
        (OPEN, OPEN, replace(FILLED, wqueue=FILLED.wqueue + 1)),
        (OPEN, OPEN, FILLED, replace(FILLED, wqueue=FILLED.wqueue + 1)),
        (replace(OPEN, rqueue=847), OPEN, FILLED),
        (OPEN, OPEN, UNACKNOWLEDGED),
        (OPEN, OPEN, replace(FILLED, rqueue=1231)),
        (OPEN, OPEN, replace(FILLED, drops=1)),
        (OPEN, OPEN, replace(FILLED, rcvbuf=9216)),
        (replace(OPEN, rqueue=0), replace(OPEN, rqueue=0), replace(FILLED, rqueue=384)),
        (OPEN, OPEN, FILLED, replace(FILLED, rcvbuf=9216)),
        (OPEN, OPEN, FILLED, replace(FILLED, rmem_alloc=5000)),
        (OPEN, OPEN, replace(FILLED, rcv_wnd=None)),
        (OPEN, OPEN, UNACKNOWLEDGED, replace(FILLED, drops=1)),
        (OPEN, OPEN, FILLED, UNACKNOWLEDGED),
        (OPEN, OPEN, replace(UNACKNOWLEDGED, rcvbuf=7000), FILLED),
        (OPEN, OPEN, replace(FILLED, rcvbuf=7000), FILLED),
    ],
    ids=[
        "never seen open", "written meanwhile", "written since", "seen once, in the midst", "not closed",
        "read meanwhile", "refused for lack of memory",
        "resized meanwhile", "alone in the buffer", "resized", "less in it", "unknown", "refused while it was open",
        "open again", "lowered and raised while it was open", "lowered and raised while it closed",
    ],
)  # fmt: skip
def test_any_other_way_to_a_closed_window_shows_nothing(seen: tuple[SocketSample, ...]) -> None:
    assert not closes(*seen)


def test_a_buffer_that_was_filled_and_read_between_two_samples_has_changed() -> None:
    empty = replace(FILLED, rqueue=0, rmem_alloc=0)
    assert after(empty, as_earlier(empty, 500)).unchanged_ms == 500
    assert after(empty, as_earlier(empty, 500, bytes_received=empty.bytes_received - 384)).unchanged_ms == 0
    assert after(FILLED, as_earlier(FILLED, 500, rqueue=FILLED.rqueue - 1)).unchanged_ms == 0


def test_for_how_long_a_receive_buffer_has_been_as_large_and_as_full_as_it_is() -> None:
    other = as_earlier(FILLED, 300, rcvbuf=8502)
    assert after(FILLED).unchanged_ms == 0
    assert after(FILLED, as_earlier(FILLED, 500), as_earlier(FILLED, 200)).unchanged_ms == 500
    assert after(FILLED, as_earlier(FILLED, 500), other, as_earlier(FILLED, 200)).unchanged_ms == 200
    assert after(FILLED, as_earlier(FILLED, 500), other).unchanged_ms == 0
