"""A sender that drops every acknowledgment of its peer."""

from dataclasses import replace
from typing import Any

import pytest

from lab.proof.stack import could_read, could_write
from lab.proof.stack.ruling import Argument, Ends, Possible
from lab.proof.stack.traits import KernelTraits
from tests.proof.frozen_pair import MS, NOW, starved

KERNEL = KernelTraits(wmem_max=8192, drops_beyond_window=True)


def test_a_sender_that_drops_every_acknowledgment_is_stuck_until_tcp_gives_up() -> None:
    lost, away = starved()
    found = could_write(lost, away, KERNEL)
    assert found.possible is Possible.NO
    assert found.argument is Argument.ACK_STARVATION
    assert found.ends is Ends.BY_TCP_RETRIES2
    assert could_write(away, lost, KERNEL).possible is Possible.NO


def test_a_starved_sender_brings_nothing_new_to_its_peer() -> None:
    """Only its head is sent again. One byte may stay in doubt: one of the two has counted its SYN.

    Not where the answer is one packet, of which a single byte cannot have arrived: then it is the sender who connected.
    """
    lost, away = starved()
    assert could_read(away, lost, KERNEL).possible is Possible.NO
    assert could_read(replace(away, unacked=2), lost, KERNEL).possible is Possible.YES
    accepted = replace(lost, bytes_acked=8000, bytes_received=9000)
    assert could_read(replace(away, bytes_acked=9001), accepted, KERNEL).possible is Possible.NO
    assert could_read(replace(away, bytes_acked=9001, bytes_received=9000), accepted, KERNEL).possible is Possible.YES


def test_a_starved_sender_with_nothing_in_flight_only_probes_a_closed_window() -> None:
    lost, away = starved()
    probing = replace(lost, notsent_bytes=7360, unacked=0, bytes_acked=9097, snd_wnd=0, timer="persist")
    assert could_read(away, probing, KERNEL).possible is Possible.NO
    assert could_read(away, replace(probing, snd_wnd=3840), KERNEL).possible is Possible.YES
    more = replace(lost, snd_wnd=0, bytes_acked=8501)
    assert could_read(away, more, KERNEL).possible is Possible.YES, "the head of its flight is new to the peer"


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ({"backoff": 0}, {}),
        ({"rcv_wnd": 128}, {}),
        ({"rqueue": 0}, {}),
        ({"backlog": 512}, {}),
        ({}, {"backlog": 512}),
        ({}, {"last_data_sent_ms": 60}),
        ({}, {"last_data_sent_ms": 214}),
        ({}, {"rtt_us": 90_000}),
        ({}, {"rtt_us": None}),
        ({}, {"rttvar_us": 75_000}),
        ({}, {"rttvar_us": None}),
        ({"time_ns": NOW - 90 * MS}, {}),
        ({"rmem_alloc": 4000}, {}),
        ({}, {"rcv_wscale": None}),
        ({}, {"rcv_wscale": 6}),
        ({"bytes_received": 9048}, {"unacked": 2}),
        ({}, {"notsent_bytes": 4096, "unacked": 0}),
        ({}, {"notsent_bytes": 7360 - 128}),
        ({}, {"notsent_bytes": 7360, "unacked": 0}),
    ],
)
def test_starvation_needs_every_one_of_its_facts(here: dict[str, Any], there: dict[str, Any]) -> None:
    lost, away = starved()
    assert could_write(replace(lost, **here), replace(away, **there), KERNEL).possible is Possible.YES


def test_starvation_is_not_claimed_of_a_kernel_that_takes_the_acknowledgment() -> None:
    lost, away = starved()
    assert could_write(lost, away, KernelTraits(wmem_max=8192)).possible is Possible.YES
    assert could_read(away, lost).possible is Possible.YES
