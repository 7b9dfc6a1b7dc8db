"""More than the peer could ever take."""

from dataclasses import replace

from lab.proof.stack import could_write
from lab.proof.stack.ruling import Argument, Possible
from lab.proof.stack.traits import KernelTraits
from tests.proof.frozen_pair import client, server

KERNEL = KernelTraits(wmem_max=8192, drops_beyond_window=True)


def test_what_the_peer_could_never_take_needs_no_closed_window() -> None:
    open_window = server(rcv_wnd=1024, rqueue=0, rmem_alloc=0, wqueue=0, notsent_bytes=0)
    deep = client(snd_wnd=1024, wqueue=20_000, notsent_bytes=18_976, unacked=1, wmem_queued=22_000)
    found = could_write(deep, open_window, KERNEL)
    assert found.possible is Possible.NO
    assert found.argument is Argument.CAPACITY
    assert could_write(replace(deep, wqueue=14_000), open_window, KERNEL).possible is Possible.YES
    unread = replace(open_window, bytes_received=9000 + 6000)
    assert could_write(deep, unread, KERNEL).possible is Possible.YES, "received and not yet acknowledged counts too"


def test_what_the_peer_could_never_take_is_no_argument_for_a_buffer_that_may_grow() -> None:
    deep = client(snd_wnd=1024, wqueue=60_000, wmem_queued=60_000, sndbuf=46_080, sndbuf_locked=False)
    open_window = server(rcv_wnd=1024, wqueue=0, notsent_bytes=0)
    assert could_write(deep, open_window).possible is Possible.YES
    assert could_write(deep, open_window, KernelTraits(wmem_max=69_120)).possible is Possible.NO
    assert could_write(deep, open_window, KernelTraits(wmem_max=4_194_304)).possible is Possible.YES
