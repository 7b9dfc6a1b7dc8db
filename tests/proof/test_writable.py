"""What the two stacks may do alone: a hand-built frozen pair with one fact changed at a time, and a live one."""

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from lab.evidence import SocketSample
from lab.kernel.place.netns import Namespace
from lab.kernel.sockets.looks import SocketHistory
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.proof.send_buffer import KernelTraits, gives_up
from lab.proof.writable import (
    Possible,
    Rule,
    Ruling,
    could_read,
    could_receive_data,
    could_signal_writable,
    could_write,
)
from lab.spec import Role
from tests.proof.frozen_pair import SLEPT, client, server

KERNEL = KernelTraits(wmem_max=8192, drops_beyond_window=True)


def test_a_full_queue_behind_a_window_that_is_closed_for_good_stays_full() -> None:
    for found in (could_write(client(), server()), could_write(server(), client())):
        assert found.possible is Possible.NO
        assert found.rule is Rule.CLOSED
        assert found.queue_full
        assert not found.tcp_gives_up


@pytest.mark.parametrize(
    ("here", "there", "word"),
    [
        ({}, {"rcv_wnd": 1}, "offers a window of 1"),
        ({"snd_wnd": 1}, {}, "has not yet heard"),
        ({"backlog": 512}, {}, "backlog"),
        ({}, {"backlog": 512}, "backlog"),
        ({"notsent_bytes": 7264, "unacked": 1}, {}, "96 bytes of .* in flight and not yet refused"),
        ({"unacked": 1}, {}, "do not fit"),
        ({"notsent_bytes": 8000}, {}, "do not fit"),
        ({}, {"rmem_alloc": 5000}, "3192 bytes free and may open"),
        ({"wmem_queued": 5000}, {}, "has room"),
        ({"user_timeout_ms": 9000}, {}, "TCP_USER_TIMEOUT 9000"),
        ({}, {"user_timeout_ms": 9000}, "TCP_USER_TIMEOUT 9000"),
    ],
)
def test_a_writer_may_go_on_if_one_fact_is_reversed(here: dict[str, Any], there: dict[str, Any], word: str) -> None:
    found = could_write(client(**here), server(**there))
    assert found.possible is Possible.YES
    assert re.search(word, found.why), found.why


@pytest.mark.parametrize(
    ("here", "there", "named"),
    [
        ({"snd_wnd": None}, {}, "tcpi_snd_wnd"),
        ({}, {"rcv_wnd": None}, "tcpi_rcv_wnd"),
        ({"user_timeout_ms": None}, {}, "TCP_USER_TIMEOUT"),
        ({}, {"user_timeout_ms": None}, "TCP_USER_TIMEOUT"),
        ({"state": "FIN-WAIT-1"}, {}, "FIN-WAIT-1"),
        ({}, {"state": "FIN-WAIT-2"}, "FIN-WAIT-2"),
    ],
)
def test_a_fact_that_is_missing_is_named(here: dict[str, Any], there: dict[str, Any], named: str) -> None:
    found = could_write(client(**here), server(**there))
    assert found.possible is Possible.UNKNOWN
    assert named in found.why


def test_data_in_flight_that_the_peer_has_refused_is_no_motion() -> None:
    refused = client(notsent_bytes=7264, unacked=1, backoff=1, timer="on")
    assert could_write(refused, server()).possible is Possible.NO


def test_a_received_byte_of_which_the_acknowledgment_is_on_its_way_is_motion() -> None:
    """Whose `bytes_acked` counts the SYN shows in a difference of -1; where none is -1, either may hide a byte."""
    flight = client(notsent_bytes=7264, unacked=2, backoff=1)
    assert could_write(flight, server(bytes_received=9096)).possible is Possible.YES
    assert could_write(flight, server(bytes_received=9001)).possible is Possible.YES
    assert could_write(flight, server()).possible is Possible.NO
    passive = server(notsent_bytes=7264, unacked=2, backoff=1)
    assert could_write(passive, client(bytes_received=9001)).possible is Possible.YES
    assert could_write(passive, client()).possible is Possible.NO


def test_one_answered_probe_shows_that_a_peer_with_some_room_does_not_open() -> None:
    roomy = server(rmem_alloc=6000)
    assert could_write(client(backoff=1, last_data_sent_ms=300, last_ack_recv_ms=60), roomy).possible is Possible.NO
    assert could_write(client(backoff=1, last_data_sent_ms=300, last_ack_recv_ms=120), roomy).possible is Possible.YES
    assert could_write(client(backoff=0, last_data_sent_ms=300, last_ack_recv_ms=60), roomy).possible is Possible.YES


def test_what_an_answered_probe_has_shown_is_over_once_more_is_free_than_explains_it() -> None:
    """5184 of 8192 is a scaling ratio of 162/256; 2424 free bytes are 1533 of a window then, and 1408 in its units."""
    asked = client(backoff=1, last_data_sent_ms=300, last_ack_recv_ms=60)
    peer = server(rcv_mss=1448, window_clamp=5184, rmem_alloc=8192 - 2424)
    assert could_write(asked, peer).possible is Possible.NO
    assert could_write(asked, replace(peer, rmem_alloc=8192 - 2435)).possible is Possible.YES
    assert could_write(asked, replace(peer, rcvbuf=16384)).possible is Possible.YES


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
    since = [could_write(asked, replace(locked, looks=replace(SLEPT, unchanged_ms=ms))) for ms in (60, 100)]
    assert [each.possible for each in since] == [Possible.NO, Possible.NO]
    assert "SO_RCVBUF" in (since[0].assumption or ""), "the answer came 60 ms ago"
    assert since[1].assumption is None
    assert could_write(asked, peer).assumption is None, "it is the kernel's choice"
    assert could_write(asked, replace(locked, rmem_alloc=8192)).assumption is None, (
        "it stays closed, whatever the share"
    )


def test_a_window_that_was_seen_to_close_needs_no_answered_probe() -> None:
    roomy = server(rcv_mss=1448, rmem_alloc=8192 - 2032, rcvbuf_locked=True)
    assert could_write(client(), roomy).possible is Possible.YES
    assert could_write(client(), replace(roomy, looks=replace(SLEPT, closed=True))).possible is Possible.NO


def test_above_half_of_the_largest_window_no_free_space_is_too_little() -> None:
    wide = server(rcvbuf=1 << 20, rcv_mss=1448, rmem_alloc=(1 << 20) - 60_000)
    assert could_write(client(), replace(wide, window_clamp=700_000)).possible is Possible.NO
    assert could_write(client(), replace(wide, window_clamp=100_000)).possible is Possible.YES
    assert could_write(client(), replace(wide, window_clamp=1152, rmem_alloc=(1 << 20) - 500)).possible is Possible.YES


@pytest.mark.parametrize(
    ("ends", "early"),
    [
        ([], False), ([{}, {}], False), ([{}, {"tcp_retries2": "1"}], True), ([{"tcp_retries2": "2"}, {}], False),
        ([{"tcp_retries2": "5"}, {"tcp_invalid_ratelimit": "60000"}], True),
        ([{"tcp_retries2": "15"}, {"tcp_invalid_ratelimit": "60000"}], False),
        ([{"tcp_invalid_ratelimit": "3000", "tcp_rto_max_ms": "1000"}, {}], True),
    ],
)  # fmt: skip
def test_few_retries_may_be_over_before_a_probe_is_answered(ends: list[dict[str, str]], early: bool) -> None:
    assert gives_up(*ends) is early
    assert could_write(client(), server(), KernelTraits(gives_up=early)).tcp_gives_up is early


def test_a_path_that_is_slower_than_a_probe_is_told_from_one() -> None:
    """The acknowledgment of the last data itself comes 600 ms after it; a probe's answer comes after a whole RTO."""
    slow = client(backoff=1, rto_us=900_000, last_data_sent_ms=700, last_ack_recv_ms=100)
    assert could_write(slow, server(rmem_alloc=5000)).possible is Possible.YES


def test_less_than_a_sixteenth_of_a_large_buffer_is_no_window() -> None:
    wide = {"rcvbuf": 1 << 20, "rcv_mss": 1448, "window_clamp": 1 << 19}
    assert could_write(client(), server(**wide, rmem_alloc=(1 << 20) - 60_000)).possible is Possible.NO
    assert could_write(client(), server(**wide, rmem_alloc=(1 << 20) - 65_000)).possible is Possible.YES


def test_a_queue_with_less_than_a_third_free_stays_only_while_no_data_can_arrive() -> None:
    fragment = client(wmem_queued=5568)
    found = could_write(fragment, server())
    assert found.possible is Possible.NO
    assert not found.queue_full
    loud = could_write(fragment, server(notsent_bytes=7264, unacked=1))
    assert loud.possible is Possible.YES
    assert "may arrive" in loud.why
    assert could_write(client(), server(notsent_bytes=7264, unacked=1)).possible is Possible.NO, (
        "full: no arrival helps"
    )


def test_exactly_a_third_free_is_room() -> None:
    assert could_write(client(sndbuf=9000, wmem_queued=6000), server()).possible is Possible.YES
    assert could_write(client(sndbuf=9000, wmem_queued=6001), server()).possible is Possible.NO


def test_a_send_buffer_that_autotuning_may_still_expand_is_room() -> None:
    grown = {"sndbuf": 46080, "wmem_queued": 46080}
    assert could_write(client(**grown), server()).possible is Possible.NO
    assert could_write(client(**grown, snd_cwnd=30), server()).possible is Possible.YES
    assert could_write(client(**grown, reordering=29), server()).possible is Possible.YES
    assert could_write(client(**grown, snd_cwnd=30), server(), KernelTraits(wmem_max=46080)).possible is Possible.NO
    assert could_write(client(**grown, snd_cwnd=14), server()).possible is Possible.NO, "expanded by less than a half"


def test_a_send_buffer_that_its_program_has_set_is_left_alone() -> None:
    asked = client(sndbuf=131_072, wmem_queued=131_072, snd_cwnd=300)
    assert could_write(asked, server()).possible is Possible.YES
    assert could_write(replace(asked, sndbuf_locked=True), server()).queue_full


def test_packets_that_wait_may_still_be_merged_while_they_are_paced_or_in_flight() -> None:
    """tcp_grow_skb(): then less is queued, and nothing was acknowledged."""
    five = client(wqueue=4096, notsent_bytes=4096)
    assert could_write(five, server()).queue_full
    paced = could_write(replace(five, pacing_rate=1_000_000), server())
    assert paced.possible is Possible.YES
    assert "4736 of 8192 bytes are sure to stay queued" in paced.why
    refused = replace(five, notsent_bytes=4000, unacked=1, backoff=1, timer="on")
    assert could_write(refused, server()).possible is Possible.YES
    assert could_write(client(pacing_rate=1_000_000), server()).queue_full, "one packet alone cannot be merged"


def test_a_send_buffer_at_its_target_does_not_grow() -> None:
    """2 x 36 x 2304; without the name of the congestion control it may be bbr's 3 x 24 x 2304 on the way to 36."""
    at_target = client(sndbuf=165_888, wmem_queued=165_888, snd_cwnd=36)
    assert could_write(at_target, server()).queue_full
    unknown = replace(at_target, congestion=None)
    assert not could_write(unknown, server()).queue_full


def test_a_refused_flight_raises_no_cwnd_and_so_no_buffer() -> None:
    """Nothing of it will be acknowledged; only the reordering of a connection without SACK may follow the flight."""
    grown = client(
        sndbuf=46080, wmem_queued=47080, snd_cwnd=1, wqueue=46_000, notsent_bytes=45_000, unacked=1, backoff=1
    )
    assert could_write(grown, server()).queue_full
    many = client(
        sndbuf=46080, wmem_queued=46080, snd_cwnd=1, wqueue=42_000, notsent_bytes=12_000, unacked=20, backoff=1
    )
    assert not could_write(many, server()).queue_full


def test_the_announced_segment_and_the_kernel_say_in_which_steps_a_buffer_grows() -> None:
    """170 x 6912 is 90 x 13056: whether 234 segments are 1 617 408 or 3 055 104 bytes, the kernel's build decides."""
    bbr = client(sndbuf=1_175_040, wmem_queued=1_186_832, snd_cwnd=234, congestion="bbr", wqueue=1_171_856,
                 notsent_bytes=1_171_856)  # fmt: skip
    peer = server(advmss=1448)
    assert could_write(bbr, server(), KernelTraits(max_tcp_headers=(256,))).possible is Possible.YES, (
        "a larger MSS may be announced"
    )
    assert could_write(bbr, peer).possible is Possible.YES
    assert could_write(bbr, peer, KernelTraits(max_tcp_headers=(320,))).possible is Possible.YES
    assert could_write(bbr, peer, KernelTraits(max_tcp_headers=(256,))).possible is Possible.NO


FRAGMENT: dict[str, Any] = {
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
    assert (found.possible, found.rule, found.queue_full) == (Possible.NO, Rule.SILLY_WINDOW, True)
    assert could_receive_data(server(**TAKER), client(**FRAGMENT)).possible is Possible.YES, (
        "the segment itself is yet to come"
    )


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ({"timer": "none"}, {}),
        ({"timer": "on", "unacked": 1, "notsent_bytes": 976_400}, {}),
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
        ({"sndbuf": 2_000_000, "wmem_queued": 2_000_000}, {}),
    ],
)
def test_a_small_segment_is_motion_if_one_fact_is_otherwise(here: dict[str, Any], there: dict[str, Any]) -> None:
    found = could_write(client(**FRAGMENT | here), server(**TAKER | there), KernelTraits(max_tcp_headers=(256,)))
    assert found.possible is Possible.YES, found


def test_a_send_buffer_smaller_than_any_first_expansion_is_held_down() -> None:
    assert could_write(client(snd_cwnd=300), server()).queue_full
    jumbo = client(sndbuf=2_000_000, wmem_queued=2_000_000, snd_mss=65_483, snd_cwnd=300)
    assert could_write(jumbo, server()).queue_full


def test_a_small_send_buffer_that_is_not_locked_any_more_grows() -> None:
    unlocked = client(sndbuf_locked=False)
    assert could_write(unlocked, server(), KernelTraits(wmem_max=1 << 20)).possible is Possible.YES
    assert could_write(unlocked, server(), KernelTraits(wmem_max=8192)).queue_full
    assert could_write(
        unlocked, server(), KernelTraits(wmem_max=1 << 20, wmem_max_of={unlocked.inode: 8192})
    ).queue_full
    assert (
        could_write(unlocked, server(), KernelTraits(wmem_max=8192, wmem_max_of={unlocked.inode: 1 << 20})).possible
        is Possible.YES
    )


def test_what_the_peer_could_never_take_needs_no_closed_window() -> None:
    open_window = server(rcv_wnd=1024, rqueue=0, rmem_alloc=0, wqueue=0, notsent_bytes=0)
    deep = client(snd_wnd=1024, wqueue=20_000, notsent_bytes=18_976, unacked=1, wmem_queued=22_000)
    found = could_write(deep, open_window, KERNEL)
    assert found.possible is Possible.NO
    assert found.rule is Rule.CAPACITY
    assert could_write(replace(deep, wqueue=14_000), open_window, KERNEL).possible is Possible.YES
    unread = replace(open_window, bytes_received=9000 + 6000)
    assert could_write(deep, unread, KERNEL).possible is Possible.YES, "received and not yet acknowledged counts too"


def test_what_the_peer_could_never_take_is_no_argument_for_a_buffer_that_may_grow() -> None:
    deep = client(snd_wnd=1024, wqueue=60_000, wmem_queued=60_000, sndbuf=46_080)
    open_window = server(rcv_wnd=1024, wqueue=0, notsent_bytes=0)
    assert could_write(deep, open_window).possible is Possible.YES
    assert could_write(deep, open_window, KernelTraits(wmem_max=69_120)).possible is Possible.NO
    assert could_write(deep, open_window, KernelTraits(wmem_max=4_194_304)).possible is Possible.YES


def starved() -> tuple[SocketSample, SocketSample]:
    """The server has read all that the client sent, and its 96 bytes lie beyond the client's closed window."""
    lost = client(timer="on", backoff=1, snd_wnd=3840, wqueue=7360, notsent_bytes=6264, unacked=2, bytes_acked=8001)
    away = server(
        rcv_wnd=3840, rqueue=0, rmem_alloc=0, bytes_received=9096, timer="on", backoff=2, unacked=1, notsent_bytes=7264
    )
    return lost, away


def test_a_sender_that_drops_every_acknowledgment_is_stuck_until_tcp_gives_up() -> None:
    lost, away = starved()
    found = could_write(lost, away, KERNEL)
    assert found.possible is Possible.NO
    assert found.rule is Rule.ACK_STARVED
    assert found.tcp_gives_up
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


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ({"backoff": 0}, {}),
        ({"rcv_wnd": 128}, {}),
        ({"rqueue": 0}, {}),
        ({"rmem_alloc": 4000}, {}),
        ({}, {"rcv_wscale": None}),
        ({}, {"rcv_wscale": 6}),
        ({}, {"notsent_bytes": 4096, "unacked": 0}),
    ],
)
def test_starvation_needs_every_one_of_its_facts(here: dict[str, Any], there: dict[str, Any]) -> None:
    lost, away = starved()
    assert could_write(replace(lost, **here), replace(away, **there), KERNEL).possible is Possible.YES


def test_starvation_is_not_claimed_of_a_kernel_that_takes_the_acknowledgment() -> None:
    lost, away = starved()
    assert could_write(lost, away, KernelTraits(wmem_max=8192)).possible is Possible.YES
    assert could_read(away, lost).possible is Possible.YES


def test_an_empty_connection_brings_nothing_by_itself() -> None:
    still = {"rqueue": 0, "rmem_alloc": 0, "wqueue": 0, "notsent_bytes": 0, "wmem_queued": 0, "rcv_wnd": 4096}
    here, there = client(**still), server(**still)
    assert could_read(here, there).possible is Possible.NO
    assert could_signal_writable(here, there).possible is Possible.NO
    assert could_write(here, there).possible is Possible.YES
    assert could_read(here, replace(there, wqueue=1)).possible is Possible.YES
    assert could_read(replace(here, rqueue=1), there).possible is Possible.YES
    assert could_receive_data(replace(here, rqueue=1), there).possible is Possible.NO
    assert could_read(replace(here, state="CLOSE-WAIT"), there).possible is Possible.YES
    assert could_read(here, replace(there, state="LAST-ACK")).possible is Possible.UNKNOWN


def test_room_is_announced_again_only_by_a_segment_that_arrives() -> None:
    assert could_signal_writable(client(), server()).possible is Possible.NO
    assert could_signal_writable(client(wmem_queued=2000), server()).possible is Possible.YES
    assert could_signal_writable(client(), server(rcv_wnd=99)).possible is Possible.YES


BUFFER = 4096
LIMIT_S = 10.0


@contextlib.contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends on loopback, with small buffers."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as near:
        for each in (listener, near):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        near.connect(listener.getsockname())
        far, _ = listener.accept()
        with far:
            for each in (near, far):
                each.setblocking(False)
            yield near, far


def write(*ends: socket.socket) -> None:
    for each in ends:
        with contextlib.suppress(BlockingIOError):
            while True:
                each.send(bytes(512))


def samples(
    diag: SocketDiag, known: SocketHistory, near: socket.socket, far: socket.socket
) -> tuple[SocketSample, SocketSample]:
    one, other = (f"{host}:{port}" for host, port in (near.getsockname(), far.getsockname()))
    found = (diag.sample(Role.CLIENT, one, other), diag.sample(Role.SERVER, other, one))
    here, there = (replace(known.told(each), user_timeout_ms=0) for each in found if each)
    return here, there


def sealed(here: SocketSample, there: SocketSample) -> tuple[Ruling, Ruling]:
    return could_write(here, there), could_write(there, here)


def test_a_live_pair_is_called_sealed_soon_and_moves_no_byte_until_somebody_reads() -> None:
    with connected() as (near, far), contextlib.closing(SocketDiag(Namespace.here())) as diag:
        look = partial(samples, diag, SocketHistory(), near, far)
        give_up = time.monotonic() + LIMIT_S
        while not all(each.possible is Possible.NO for each in sealed(*look())):
            assert time.monotonic() < give_up, sealed(*look())
            write(near, far)
        first = look()
        watched = time.monotonic() + 0.7
        while time.monotonic() < watched:
            now = look()
            assert [(s.bytes_acked, s.bytes_received, s.wmem_queued) for s in now] == [
                (s.bytes_acked, s.bytes_received, s.wmem_queued) for s in first
            ]
            time.sleep(0.01)
        while far.recv(1 << 16, socket.MSG_DONTWAIT) and could_write(*look()).possible is Possible.NO:
            assert time.monotonic() < give_up
        assert could_write(*look()).possible is Possible.YES


def test_bbr_at_its_least_may_return_to_any_window_of_before() -> None:
    """bbr_check_probe_rtt_done() restores cwnd, and with it the send buffer grows, though nothing is acknowledged."""
    sender = client(sndbuf=69_120, wmem_queued=69_120, congestion="bbr", snd_cwnd=4)
    assert could_write(sender, server(), KernelTraits(wmem_max=1 << 20)).possible is Possible.YES
    assert could_write(sender, server(), KernelTraits(wmem_max=69_120)).possible is Possible.NO
    assert could_write(sender, server()).possible is Possible.YES
