"""One small segment that still fits."""

from dataclasses import replace
from typing import Any

import pytest

from lab.proof.stack import could_receive_data, could_write
from lab.proof.stack.ruling import Argument, Possible
from lab.proof.stack.traits import KernelTraits
from tests.proof.frozen_pair import client, server

FRAGMENT: dict[str, Any] = {
    "sndbuf_locked": False,
    "snd_wnd": 1024, "wqueue": 977_400, "notsent_bytes": 977_400, "wmem_queued": 989_880, "sndbuf": 953_856,
    "snd_cwnd": 138, "congestion": "bbr", "ca_state": 0, "pacing_rate": 582_840_671, "last_data_sent_ms": 192,
    "last_ack_recv_ms": 160,
}  # fmt: skip
TAKER: dict[str, Any] = {
    "rcv_wnd": 1024, "rcvbuf": 984_468, "rmem_alloc": 970_112, "rqueue": 648_768, "advmss": 1448,
    "window_clamp": 700_000,
}  # fmt: skip


def test_one_small_segment_that_still_fits_makes_no_room() -> None:
    found = could_write(client(**FRAGMENT), server(**TAKER), KernelTraits(max_tcp_headers=(256,)))
    assert (found.possible, found.argument, found.queue_full) == (Possible.NO, Argument.SILLY_WINDOW, True)
    assert could_receive_data(server(**TAKER), client(**FRAGMENT)).possible is Possible.YES, (
        "the segment itself is yet to come"
    )


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ({"timer": "none"}, {}),
        ({"timer": "on", "unacked": 1, "notsent_bytes": 976_400}, {}),
        ({"unacked": 1}, {}),
        ({"notsent_bytes": 976_400}, {}),
        ({"snd_wnd": 512}, {}),
        ({"snd_wnd": 1448}, {"rcv_wnd": 1448}),
        ({"backlog": 512}, {}),
        ({}, {"backlog": 512}),
        ({"last_data_sent_ms": 5}, {}),
        ({"pacing_rate": 1_000_000}, {}),
        ({"pacing_rate": None}, {}),
        ({"ca_state": 1}, {}),
        ({"ca_state": None}, {}),
        ({"congestion": "vegas"}, {}),
        ({"congestion": None}, {}),
        ({"snd_cwnd": 4}, {}),
        ({}, {"rmem_alloc": 975_300}),
        ({}, {"rmem_alloc": 985_000}),
        ({}, {"rmem_alloc": 926_000}),
        ({}, {"bytes_received": 9500}),
        ({}, {"rcv_wnd": None}),
        ({}, {"window_clamp": 20_000}),
        ({"sndbuf": 2_000_000, "wmem_queued": 2_000_000}, {}),
    ],
)
def test_a_small_segment_is_motion_if_one_fact_is_otherwise(here: dict[str, Any], there: dict[str, Any]) -> None:
    found = could_write(client(**FRAGMENT | here), server(**TAKER | there), KernelTraits(max_tcp_headers=(256,)))
    assert found.possible is Possible.YES, found


def test_less_than_a_sixteenth_of_the_buffer_must_be_free_after_it() -> None:
    kernel = KernelTraits(max_tcp_headers=(256,))
    taker = server(**TAKER | {"rcvbuf": 17 * 50_000, "rmem_alloc": 16 * 50_000})
    assert could_write(client(**FRAGMENT), taker, kernel).possible is Possible.YES
    assert could_write(client(**FRAGMENT), replace(taker, rmem_alloc=16 * 50_000 + 1), kernel).possible is Possible.NO
