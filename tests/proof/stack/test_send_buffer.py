"""What stays queued, and how far a send buffer may still grow."""

from dataclasses import replace
from typing import Any

import pytest

from lab.proof.stack import could_write
from lab.proof.stack.ruling import Possible
from lab.proof.stack.send_buffer import LARGEST_GSO, LEAST_OVERHEAD, pacing_is_over
from lab.proof.stack.traits import KernelTraits
from lab.report.reasons import words
from tests.proof.frozen_pair import client, server


def test_a_queue_with_less_than_a_third_free_stays_only_while_no_data_can_arrive() -> None:
    fragment = client(wmem_queued=5568)
    found = could_write(fragment, server())
    assert found.possible is Possible.NO
    assert not found.queue_full
    loud = could_write(fragment, server(notsent_bytes=7264, unacked=1))
    assert loud.possible is Possible.YES
    assert "may arrive" in words(loud.reason)
    assert could_write(client(), server(notsent_bytes=7264, unacked=1)).possible is Possible.NO, (
        "full: no arrival helps"
    )


def test_exactly_a_third_free_is_room() -> None:
    assert could_write(client(sndbuf=9000, wmem_queued=6000), server()).possible is Possible.YES
    assert could_write(client(sndbuf=9000, wmem_queued=6001), server()).possible is Possible.NO


ONE_STEP = KernelTraits(max_tcp_headers=(256,))
"""With an announced MSS of 1448 a segment of cwnd is worth 2 x 2304 bytes."""


def test_a_send_buffer_that_autotuning_may_still_expand_is_room() -> None:
    grown = client(sndbuf=46080, wmem_queued=46080, sndbuf_locked=False)
    peer = server(advmss=1448)
    assert could_write(grown, peer, ONE_STEP).excluded
    assert could_write(replace(grown, snd_cwnd=30), peer, ONE_STEP).possible is Possible.YES
    assert could_write(replace(grown, reordering=29), peer, ONE_STEP).possible is Possible.YES
    assert could_write(replace(grown, snd_cwnd=30), peer, replace(ONE_STEP, wmem_max=46080)).excluded
    assert could_write(replace(grown, snd_cwnd=14), peer, ONE_STEP).excluded, "expanded by less than a half"
    assert could_write(replace(grown, snd_cwnd=30), peer, replace(ONE_STEP, wmem_max=50_000)).excluded, "to 50000 only"
    assert could_write(replace(grown, snd_cwnd=4), peer, ONE_STEP).excluded, "cubic does not come back from it"


def test_a_send_buffer_that_its_program_has_set_is_left_alone() -> None:
    asked = client(sndbuf=131_072, wmem_queued=131_072, snd_cwnd=300, sndbuf_locked=False)
    assert could_write(asked, server()).possible is Possible.YES
    assert could_write(replace(asked, sndbuf_locked=True), server()).queue_full
    untold = replace(asked, sndbuf_locked=None)
    assert could_write(untold, server()).possible is Possible.YES
    assert could_write(untold, server(), KernelTraits(sndbuf_set=frozenset({untold.inode}))).queue_full


def test_packets_that_wait_may_still_be_merged_while_they_are_paced_or_in_flight() -> None:
    """tcp_grow_skb(): then less is queued, and nothing was acknowledged."""
    five = client(wqueue=4096, notsent_bytes=4096)
    assert could_write(five, server()).queue_full
    paced = could_write(replace(five, pacing_rate=1_000_000), server())
    assert paced.possible is Possible.YES
    assert "4736 of 8192 bytes are sure to stay queued" in words(paced.reason)
    refused = replace(five, notsent_bytes=4000, unacked=1, backoff=1, timer="on")
    assert could_write(refused, server()).possible is Possible.YES
    assert could_write(client(pacing_rate=1_000_000), server()).queue_full, "one packet alone cannot be merged"
    two = client(wqueue=8192 - 2 * LEAST_OVERHEAD, notsent_bytes=8192 - 2 * LEAST_OVERHEAD, pacing_rate=1_000_000)
    assert not could_write(two, server()).queue_full


def test_pacing_is_over_once_the_largest_packet_has_had_its_time() -> None:
    rate = LARGEST_GSO * 20
    assert pacing_is_over(client(pacing_rate=rate, last_data_sent_ms=61))
    assert not pacing_is_over(client(pacing_rate=rate, last_data_sent_ms=60)), "50 ms, and 10 of rounding"
    assert not pacing_is_over(client(pacing_rate=None, last_data_sent_ms=10**6))


def test_a_send_buffer_at_its_target_does_not_grow() -> None:
    """2 x 36 x 2304; bbr gives three charges a segment."""
    at_target = client(sndbuf=165_888, wmem_queued=165_888, snd_cwnd=36, sndbuf_locked=False)
    assert could_write(at_target, server(advmss=1448), ONE_STEP).queue_full
    assert not could_write(replace(at_target, congestion="bbr"), server(advmss=1448), ONE_STEP).queue_full


def test_a_send_buffer_that_memory_pressure_has_cut_grows_again() -> None:
    """sk_stream_moderate_sndbuf() leaves half of what was queued: no size tells which steps it grew by."""
    cut = client(sndbuf=50_000, wmem_queued=50_000, sndbuf_locked=False)
    assert could_write(cut, server(advmss=1448), ONE_STEP).queue_full, "it would grow to 46080"
    assert could_write(cut, server(advmss=1448)).possible is Possible.YES, "or to 87040, by the kernel's build"
    small = replace(cut, sndbuf=40_000, wmem_queued=40_000)
    assert could_write(small, server(advmss=1448), ONE_STEP).queue_full is False


def test_a_small_buffer_of_which_no_lock_is_told_may_have_been_cut_and_that_is_named() -> None:
    small = client(sndbuf_locked=None)
    assert ["memory pressure" in words(each) for each in could_write(small, server()).qualifiers] == [True]
    for known in (KernelTraits(wmem_max=8192), KernelTraits(sndbuf_set=frozenset({small.inode}))):
        assert could_write(small, server(), known).excluded
        assert could_write(small, server(), known).qualifiers == ()


def test_a_refused_flight_raises_no_cwnd_and_so_no_buffer() -> None:
    """Nothing of it will be acknowledged; only the reordering of a connection without SACK may follow the flight."""
    grown = client(
        sndbuf=46080, wmem_queued=47080, snd_cwnd=1, wqueue=46_000, notsent_bytes=45_000, unacked=1, backoff=1,
        sndbuf_locked=False,
    )  # fmt: skip
    peer = server(advmss=1448)
    assert could_write(grown, peer, ONE_STEP).queue_full
    many = replace(grown, wmem_queued=56_080, notsent_bytes=16_000, unacked=20)
    assert could_write(replace(many, unacked=8), peer, ONE_STEP).queue_full
    assert could_write(many, peer, ONE_STEP).possible is Possible.YES


def test_the_announced_segment_and_the_kernel_say_in_which_steps_a_buffer_grows() -> None:
    """170 x 6912 is 90 x 13056: whether 234 segments are 1 617 408 or 3 055 104 bytes, the kernel's build decides."""
    bbr = client(sndbuf=1_175_040, wmem_queued=1_186_832, snd_cwnd=234, congestion="bbr", sndbuf_locked=False,
                 wqueue=1_171_856, notsent_bytes=1_171_856)  # fmt: skip
    peer = server(advmss=1448)
    assert could_write(bbr, server(), KernelTraits(max_tcp_headers=(256,))).possible is Possible.YES, (
        "a larger MSS may be announced"
    )
    assert could_write(bbr, peer).possible is Possible.YES
    assert could_write(bbr, peer, KernelTraits(max_tcp_headers=(320,))).possible is Possible.YES
    found = could_write(bbr, peer, KernelTraits(max_tcp_headers=(256,)))
    assert found.possible is Possible.NO
    assert not found.queue_full, "bbr gives three charges a segment, and grows to 1 617 408"


def test_a_send_buffer_smaller_than_any_first_expansion_is_held_down() -> None:
    untold: dict[str, Any] = {"snd_cwnd": 300, "sndbuf_locked": None}
    assert could_write(client(**untold), server()).queue_full
    jumbo = client(sndbuf=2_000_000, wmem_queued=2_000_000, snd_mss=65_483, **untold)
    assert could_write(jumbo, server()).queue_full
    first = client(sndbuf=46_080, wmem_queued=46_080, **untold)
    assert could_write(replace(first, sndbuf=46_079), server(advmss=1448), ONE_STEP).queue_full
    found = could_write(first, server(advmss=1448), ONE_STEP)
    assert found.possible is Possible.YES, "it is what every connection is given at once"


def test_only_a_proof_that_takes_a_small_buffer_for_a_set_one_is_true_but_for_it() -> None:
    at_target = client(sndbuf=165_888, wmem_queued=165_888, snd_cwnd=36, sndbuf_locked=None)
    found = could_write(at_target, server(advmss=1448), ONE_STEP)
    assert found.queue_full
    assert found.qualifiers == ()


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


def test_bbr_at_its_least_may_return_to_any_window_of_before() -> None:
    """bbr_check_probe_rtt_done() restores cwnd, and with it the send buffer grows, though nothing is acknowledged."""
    sender = client(sndbuf=69_120, wmem_queued=69_120, congestion="bbr", snd_cwnd=4, sndbuf_locked=False)
    peer = server(advmss=1448)
    assert could_write(sender, peer, replace(ONE_STEP, wmem_max=1 << 20)).possible is Possible.YES
    assert could_write(replace(sender, snd_cwnd=5), peer, replace(ONE_STEP, wmem_max=1 << 20)).excluded
    assert could_write(sender, peer, replace(ONE_STEP, wmem_max=70_000)).excluded, "to 70000 only"
    above = replace(sender, wmem_queued=60_000)
    assert not could_write(above, peer, replace(ONE_STEP, wmem_max=46_080)).queue_full, "it keeps what it has"
    assert could_write(sender, server(), KernelTraits(wmem_max=69_120)).possible is Possible.NO
    assert could_write(sender, server()).possible is Possible.YES


@pytest.mark.parametrize("congestion", ["vegas", "bbr2", None])
def test_a_congestion_control_that_is_not_known_may_come_to_any_window(congestion: str | None) -> None:
    """A BPF program or a module may set cwnd when it likes, and has a word in the send buffer (sndbuf_expand())."""
    sender = client(sndbuf=69_120, wmem_queued=69_120, congestion=congestion, sndbuf_locked=False)
    peer = server(advmss=1448)
    assert could_write(replace(sender, congestion="cubic"), peer, ONE_STEP).excluded
    assert not could_write(sender, peer, ONE_STEP).excluded
    assert could_write(sender, peer, replace(ONE_STEP, wmem_max=69_120)).excluded


def test_too_many_unsent_bytes_keep_a_writer_waiting_behind_a_closed_window() -> None:
    """TCP_NOTSENT_LOWAT, as web servers set it: the send buffer has room, and the writer waits all the same."""
    roomy = client(sndbuf=4_194_304, wmem_queued=8192, notsent_lowat=7360)
    assert could_write(roomy, server()).queue_full
    assert could_write(replace(roomy, notsent_lowat=7361), server()).possible is Possible.YES
    by_sysctl = replace(roomy, notsent_lowat=0)
    assert could_write(by_sysctl, server(), KernelTraits(notsent_lowat_of={11: 7360})).queue_full
    assert could_write(by_sysctl, server()).possible is Possible.YES, "the sysctl is not known"
    assert could_write(roomy, server(rcv_wnd=1)).possible is Possible.YES, "what is sent is unsent no more"
