"""A window that is closed for good, and one that may open again: one fact changed at a time."""

from dataclasses import replace

from lab.proof.stack import could_write
from lab.proof.stack.ruling import Argument, Ends, Possible
from lab.proof.stack.traits import KernelTraits
from lab.report.reasons import words
from tests.proof.frozen_pair import client, earlier, server


def test_a_flight_is_a_premise_only_where_there_is_one() -> None:
    assert "refused-flight" not in could_write(client(), server()).premises
    refused = client(notsent_bytes=7264, unacked=2, backoff=1, timer="on")
    assert "refused-flight" in could_write(refused, server()).premises


def test_a_full_queue_behind_a_window_that_is_closed_for_good_stays_full() -> None:
    for found in (could_write(client(), server()), could_write(server(), client())):
        assert found.possible is Possible.NO
        assert found.argument is Argument.CLOSED_WINDOW
        assert found.queue_full
        assert found.ends is Ends.NEVER


def test_one_answered_probe_shows_that_a_peer_with_some_room_does_not_open() -> None:
    roomy = server(rmem_alloc=6000)
    assert could_write(client(backoff=1, last_data_sent_ms=300, last_ack_recv_ms=60), roomy).possible is Possible.NO
    assert could_write(client(backoff=1, last_data_sent_ms=300, last_ack_recv_ms=120), roomy).possible is Possible.YES
    assert could_write(client(backoff=0, last_data_sent_ms=300, last_ack_recv_ms=60), roomy).possible is Possible.YES
    rto = [could_write(client(backoff=1, last_data_sent_ms=300, last_ack_recv_ms=ms), roomy) for ms in (106, 107)]
    assert [each.excluded for each in rto] == [True, False], "204 ms, and two ages that are rounded to 10 ms"


def test_what_an_answered_probe_has_shown_is_over_once_more_is_free_than_explains_it() -> None:
    """5184 of 8192 is a scaling ratio of 162/256; 2424 free bytes are 1533 of a window then, and 1408 in its units."""
    asked = client(backoff=1, last_data_sent_ms=300, last_ack_recv_ms=60)
    peer = server(rcv_mss=1448, window_clamp=5184, rmem_alloc=8192 - 2424)
    assert could_write(asked, peer).possible is Possible.NO
    assert could_write(asked, replace(peer, rmem_alloc=8192 - 2435)).possible is Possible.YES
    assert could_write(asked, replace(peer, rcvbuf=16384)).possible is Possible.YES
    assert could_write(asked, replace(peer, rcv_mss=1408)).possible is Possible.YES, "1408 is a whole segment"


def test_what_is_free_explains_nothing_once_the_program_has_set_the_size() -> None:
    """SO_RCVBUF leaves the largest window as it is: then it is no share of the buffer that the kernel knows."""
    asked = client(backoff=1, last_data_sent_ms=300, last_ack_recv_ms=60)
    peer = server(rcv_mss=1448, rmem_alloc=8192 - 2032)
    assert could_write(asked, peer).possible is Possible.NO
    raised = replace(peer, rcvbuf=8502)
    assert could_write(asked, replace(raised, rcvbuf_locked=True)).possible is Possible.YES
    assert could_write(asked, raised).possible is Possible.YES, "SO_BUF_LOCK has been taken back"
    assert could_write(asked, replace(peer, rcvbuf_locked=None)).possible is Possible.YES, "it is not known"
    locked = replace(peer, rcvbuf_locked=True)
    since = [could_write(asked, replace(locked, earlier=earlier(locked, unchanged_ms=ms))) for ms in (60, 263, 264)]
    assert [each.possible for each in since] == [Possible.NO] * 3
    for unsure in since[:2]:
        assert ["SO_RCVBUF" in words(each) for each in unsure.qualifiers] == [True], (
            "the answer came 60 ms ago, and was sent up to an RTO before"
        )
    assert since[2].qualifiers == ()
    no_share = replace(locked, rcvbuf=8502, rmem_alloc=8502 - 2032)
    assert could_write(asked, no_share).possible is Possible.YES
    assert could_write(asked, replace(no_share, earlier=earlier(no_share, unchanged_ms=264))).possible is Possible.NO
    assert could_write(asked, peer).qualifiers == (), "it is the kernel's choice"
    assert could_write(asked, replace(locked, rmem_alloc=8192)).qualifiers == (), "it stays closed, whatever the share"


def test_a_window_that_was_seen_to_close_needs_no_answered_probe() -> None:
    roomy = server(rcv_mss=1448, rmem_alloc=8192 - 2032, rcvbuf_locked=True)
    assert could_write(client(), roomy).possible is Possible.YES
    found = could_write(client(), replace(roomy, earlier=earlier(roomy, closed=True)))
    assert found.possible is Possible.NO
    assert ["SO_RCVBUF" in words(each) for each in found.qualifiers] == [True], "lowered, and raised again unseen"
    before_it_connected = KernelTraits(rcvbuf_settled=frozenset({roomy.inode}))
    for peer, kernel in ((roomy, before_it_connected), (replace(roomy, rcvbuf_locked=False), KernelTraits())):
        assert could_write(client(), replace(peer, earlier=earlier(peer, closed=True)), kernel).qualifiers == ()
    since = replace(roomy, earlier=earlier(roomy, closed=True, unchanged_ms=264))
    assert could_write(client(), since).qualifiers == (), "it is as it was before it was heard of"


def test_a_window_taken_back_for_want_of_memory_opens_again() -> None:
    """ICSK_ACK_NOMEM: the packet is dropped, and the window is 0 at once, whatever is free."""
    short = server(rcv_mss=1448, rmem_alloc=8192 - 2032, rcvbuf_locked=True, drops=1)
    seen = tuple(replace(each, drops=0) for each in earlier(short, closed=True)[:3])
    assert [each.rcv_wnd for each in seen[1:]] == [384, 384]
    assert could_write(client(), replace(short, earlier=seen)).possible is Possible.YES
    assert could_write(client(), replace(short, earlier=seen, drops=0)).possible is Possible.NO, "it closed by itself"


def test_above_half_of_the_largest_window_no_free_space_is_too_little() -> None:
    wide = server(rcvbuf=1 << 20, rcv_mss=1448, rmem_alloc=(1 << 20) - 60_000)
    assert could_write(client(), replace(wide, window_clamp=700_000)).possible is Possible.NO
    assert could_write(client(), replace(wide, window_clamp=100_000)).possible is Possible.YES
    assert could_write(client(), replace(wide, window_clamp=1152, rmem_alloc=(1 << 20) - 500)).possible is Possible.YES
    assert could_write(client(), replace(wide, window_clamp=1448, rmem_alloc=(1 << 20) - 500)).possible is Possible.NO
    assert could_write(client(), server(rmem_alloc=7192, window_clamp=2000)).possible is Possible.YES
    assert could_write(client(), server(rmem_alloc=7192, window_clamp=2001)).possible is Possible.NO


def test_a_path_that_is_slower_than_a_probe_is_told_from_one() -> None:
    """The acknowledgment of the last data itself comes 600 ms after it; a probe's answer comes after a whole RTO."""
    slow = client(backoff=1, rto_us=900_000, last_data_sent_ms=700, last_ack_recv_ms=100)
    assert could_write(slow, server(rmem_alloc=5000)).possible is Possible.YES


def test_less_than_a_sixteenth_of_a_large_buffer_is_no_window() -> None:
    wide = {"rcvbuf": 1 << 20, "rcv_mss": 1448, "window_clamp": 1 << 19}
    assert could_write(client(), server(**wide, rmem_alloc=(1 << 20) - 60_000)).possible is Possible.NO
    assert could_write(client(), server(**wide, rmem_alloc=(1 << 20) - 65_000)).possible is Possible.YES
    exact = server(rcvbuf=17 * 60_000, rcv_mss=1448, window_clamp=1 << 19, rmem_alloc=16 * 60_000)
    assert could_write(client(), exact).possible is Possible.YES
    assert could_write(client(), replace(exact, rmem_alloc=16 * 60_000 + 1)).possible is Possible.NO


def test_less_than_a_segment_is_no_window_and_a_whole_one_is() -> None:
    assert could_write(client(), server(rmem_alloc=8192 - 1447)).possible is Possible.NO
    assert could_write(client(), server(rmem_alloc=8192 - 1448)).possible is Possible.YES
    assert could_write(client(), server(rmem_alloc=8192 - 2047, rcv_mss=3000)).possible is Possible.NO
    assert could_write(client(), server(rmem_alloc=8192 - 2048, rcv_mss=3000)).possible is Possible.YES, "a quarter"
