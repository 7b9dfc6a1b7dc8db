"""A window that the peer's kernel does not tell (below Linux 6.2): one fact changed at a time."""

from dataclasses import replace
from typing import Any

import pytest

from lab.proof.stack import could_write
from lab.proof.stack.ruling import Possible
from lab.proof.stack.traits import KernelTraits
from lab.proof.stack.unseen_window import selects_none, share
from lab.report.reasons import words
from tests.proof.frozen_pair import client, earlier, server

PEER = server(rcv_wnd=None)
ROOMY = server(rcv_wnd=None, rmem_alloc=6000, window_clamp=4096, rcv_mss=1448, last_data_sent_ms=900)
"""2192 bytes are free: half of them make 1096 bytes of window, less than a segment."""
BY_SCALE = KernelTraits(adv_win_scale_of={22: 1})


def test_what_is_free_makes_no_window_whatever_the_share() -> None:
    found = could_write(client(), PEER)
    assert found.excluded
    assert {"unseen-window", "window-selection"} <= set(found.premises)


def test_without_the_share_more_free_space_decides_nothing_and_the_missing_fact_is_named() -> None:
    found = could_write(client(), ROOMY)
    assert found.possible is Possible.UNKNOWN
    assert "tcpi_rcv_wnd" in words(found.reason)
    assert "Linux 6.2" in words(found.reason)


def test_the_share_in_effect_shows_that_too_little_is_free() -> None:
    found = could_write(client(), ROOMY, BY_SCALE)
    assert found.excluded
    assert "window-selection-by-scale" in found.premises
    assert could_write(client(), replace(ROOMY, rmem_alloc=5100), BY_SCALE).possible is Possible.YES


def test_an_answered_probe_shows_it_only_if_the_buffer_is_unchanged_since_before_the_answer_left() -> None:
    asked = client(backoff=1, last_data_sent_ms=900, last_ack_recv_ms=60)
    assert could_write(asked, ROOMY).possible is Possible.UNKNOWN
    assert could_write(asked, replace(ROOMY, earlier=earlier(ROOMY, unchanged_ms=263))).possible is Possible.UNKNOWN
    seen = replace(ROOMY, earlier=earlier(ROOMY, unchanged_ms=264))
    assert could_write(asked, seen).excluded
    assert not could_write(client(), seen).excluded


def test_a_clamp_that_was_lowered_since_the_answer_may_open_the_window() -> None:
    """As on 6.1 (`window-clamp-lowered`): with less than half of the clamp free no answer had a window until then."""
    asked = client(backoff=1, last_data_sent_ms=900, last_ack_recv_ms=60)
    seen = replace(ROOMY, earlier=earlier(ROOMY, unchanged_ms=264))
    assert could_write(asked, seen).excluded
    assert "window-clamp" in could_write(asked, seen).premises
    assert could_write(asked, replace(seen, window_clamp=1500)).possible is Possible.UNKNOWN
    assert could_write(asked, replace(seen, window_clamp=None)).possible is Possible.UNKNOWN


def test_data_that_the_peer_sends_again_is_no_answer_to_a_probe() -> None:
    """As on 6.1: it had read all, the window update was lost, and only its retransmission came through."""
    asked = client(backoff=1, last_data_sent_ms=900, last_ack_recv_ms=60)
    seen = replace(ROOMY, earlier=earlier(ROOMY, unchanged_ms=264))
    assert could_write(asked, replace(seen, last_data_sent_ms=265)).excluded
    assert could_write(asked, replace(seen, last_data_sent_ms=264)).possible is Possible.UNKNOWN
    assert could_write(asked, replace(seen, unacked=1)).possible is Possible.UNKNOWN, (
        "it may do so between two readings"
    )


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ({"snd_wnd": 1}, {}),
        ({"backlog": 512}, {}),
        ({}, {"backlog": 512}),
        ({"unacked": 1, "notsent_bytes": 7264}, {}),
        ({"unacked": 1, "notsent_bytes": 7264, "backoff": 1, "timer": "on"}, {}),
        ({"bytes_acked": 8901}, {}),
        ({}, {"bytes_received": 9096}),
        ({}, {"bytes_received": 9001}),
        ({"bytes_acked": 9003}, {}),
    ],
)
def test_every_premise_of_an_unseen_window_is_needed(here: dict[str, Any], there: dict[str, Any]) -> None:
    assert not could_write(client(**here), replace(PEER, **there), BY_SCALE).excluded


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"rcvbuf_locked": False}, False),
        ({"rcvbuf_locked": None}, True),
        ({"rcvbuf_locked": True}, True),
        ({"rcvbuf_locked": None, "window_clamp": 4096}, False),
        ({"rcvbuf_locked": None, "window_clamp": 4095}, True),
        ({"rcvbuf_locked": None, "window_clamp": 3596, "advmss": 500}, False),
        ({"rcvbuf_locked": None, "window_clamp": 2896, "advmss": 1448}, False),
    ],
)
def test_a_receive_buffer_that_may_have_been_lowered_is_named(facts: dict[str, Any], named: bool) -> None:
    found = could_write(client(), replace(PEER, **facts), BY_SCALE)
    assert found.excluded
    assert ["lowered SO_RCVBUF" in words(each) for each in found.qualifiers] == [True] * named


def test_a_receive_buffer_that_its_program_sets_no_more_was_not_lowered() -> None:
    unknown = replace(PEER, rcvbuf_locked=None)
    assert could_write(client(), unknown).qualifiers
    settled = KernelTraits(rcvbuf_settled=frozenset({unknown.inode}))
    assert could_write(client(), unknown, settled).qualifiers == ()
    assert could_write(client(), replace(unknown, inode=23), settled).qualifiers


def test_a_receive_buffer_that_was_seen_unchanged_was_not_lowered() -> None:
    unknown = replace(PEER, rcvbuf_locked=None)
    assert could_write(client(), replace(unknown, earlier=earlier(unknown, unchanged_ms=300))).qualifiers == ()
    assert could_write(client(), replace(unknown, earlier=earlier(unknown, unchanged_ms=200))).qualifiers


def test_the_kernels_own_choice_is_made_again_to_the_bit() -> None:
    """As measured on 5.10 and 6.1: half of 8192 bytes is the largest window, in units of 128."""
    assert [share(8192, scale) for scale in (1, 2, 0, -2)] == [4096, 6144, 8192, 2048]
    assert selects_none(replace(ROOMY, rmem_alloc=8192), 1)
    assert selects_none(ROOMY, 1), "1096 bytes are less than a segment"
    assert not selects_none(replace(ROOMY, rcv_mss=1024), 1), "1024 in units of 128 is one segment"
    assert selects_none(replace(ROOMY, rcv_mss=1025), 1)
    assert not selects_none(replace(ROOMY, rmem_alloc=4096), 1), "half of the largest window is offered"
    small = replace(ROOMY, rcvbuf=4096, rmem_alloc=4096 - 2200, window_clamp=2048)
    assert not selects_none(small, 1), "nor is it asked for a whole segment then"
    assert not selects_none(replace(small, rmem_alloc=4096 - 2048), 1), "exactly half of it is free"
    assert selects_none(replace(small, rmem_alloc=4096 - 2000), 1)
    wide = replace(ROOMY, rcvbuf=1 << 20, window_clamp=1 << 19)
    assert selects_none(replace(wide, rmem_alloc=(1 << 20) - 65_000), 1), "less than a sixteenth"
    assert not selects_none(replace(wide, rmem_alloc=(1 << 20) - 66_000), 1)
    assert selects_none(replace(ROOMY, window_clamp=0), 1)
    assert not selects_none(replace(ROOMY, rmem_alloc=8192, window_clamp=None), 1), "it is not known"


def test_a_window_that_is_told_is_judged_as_it_is_told() -> None:
    """From Linux 6.2 on: open, though all that the sender was told makes it closed."""
    told = could_write(client(), replace(PEER, rcv_wnd=9), BY_SCALE)
    assert told.possible is Possible.YES
    assert "offers a window of 9 bytes" in words(told.reason)
    closed = could_write(client(), replace(PEER, rcv_wnd=0), BY_SCALE)
    assert closed.excluded
    assert not {"unseen-window", "window-selection-by-scale"} & set(closed.premises)
