"""More than the peer could ever take."""

from dataclasses import replace

import pytest

from lab.proof.stack import could_write
from lab.proof.stack.ruling import Argument, Possible
from lab.proof.stack.traits import KernelTraits
from tests.proof.frozen_pair import client, server

KERNEL = KernelTraits(wmem_max=8192, drops_beyond_window=True)
OPEN = server(rcv_wnd=1024, rqueue=0, rmem_alloc=0, wqueue=0, notsent_bytes=0, rcvbuf_locked=True)
DEEP = client(snd_wnd=1024, wqueue=20_000, notsent_bytes=18_976, unacked=1, wmem_queued=22_000)


def test_what_the_peer_could_never_take_needs_no_closed_window() -> None:
    found = could_write(DEEP, OPEN, KERNEL)
    assert found.possible is Possible.NO
    assert found.argument is Argument.CAPACITY
    assert could_write(replace(DEEP, wqueue=14_000), OPEN, KERNEL).possible is Possible.YES
    unread = replace(OPEN, bytes_received=9000 + 6000)
    assert could_write(DEEP, unread, KERNEL).possible is Possible.YES, "received and not yet acknowledged counts too"


@pytest.mark.parametrize(
    ("rmem_max_of", "says"),
    [
        ({}, Possible.YES),
        ({11: 8192}, Possible.YES),
        ({22: 8192}, Possible.NO),
        ({22: 4096}, Possible.NO),
        ({22: 6 << 20}, Possible.YES),
    ],
)
def test_a_receive_buffer_that_is_not_set_takes_up_to_tcp_rmem_without_a_read(
    rmem_max_of: dict[int, int], says: Possible
) -> None:
    """It grows when it overflows, and by data out of order."""
    kernel = replace(KERNEL, rmem_max_of=rmem_max_of)
    assert could_write(DEEP, replace(OPEN, rcvbuf_locked=False), kernel).possible is says
    assert could_write(DEEP, replace(OPEN, rcvbuf_locked=None), kernel).possible is says
    assert could_write(DEEP, OPEN, kernel).possible is Possible.NO


def test_a_window_is_rounded_up_to_its_unit() -> None:
    assert could_write(DEEP, replace(OPEN, rcv_wscale=12), KERNEL).possible is Possible.NO
    assert could_write(DEEP, replace(OPEN, rcv_wscale=13), KERNEL).possible is Possible.YES
    assert could_write(DEEP, replace(OPEN, rcv_wscale=None), KERNEL).possible is Possible.YES


def test_what_the_peer_could_never_take_is_no_argument_for_a_buffer_that_may_grow() -> None:
    deep = client(snd_wnd=1024, wqueue=60_000, wmem_queued=60_000, sndbuf=46_080, sndbuf_locked=False)
    assert could_write(deep, OPEN).possible is Possible.YES
    assert could_write(deep, OPEN, KernelTraits(wmem_max=69_120)).possible is Possible.NO
    assert could_write(deep, OPEN, KernelTraits(wmem_max=4_194_304)).possible is Possible.YES


def test_of_a_peer_whose_window_is_not_told_no_capacity_is_known() -> None:
    """Below Linux 6.2."""
    assert could_write(DEEP, OPEN).excluded
    assert not could_write(DEEP, replace(OPEN, rcv_wnd=None)).excluded
