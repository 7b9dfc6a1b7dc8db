"""The send buffer: how much stays queued, how far the buffer may still grow, and whether the writer has room then.

S's writer goes on when its send queue has room, and the kernel has two tests for that. Segments that arrive end in
sk_stream_write_space(), which wakes only if a third is free (sk_stream_is_writeable()). Arriving data wakes every
sleeper, and so does a signal, a time limit of its own, or the retry of a write (`history.may_retry`); then
`wmem_queued < sndbuf` is enough. So the one-third test is valid only while no data can arrive and the writer has no
other wake-up source; otherwise the queue must be full.

A buffer grows by tcp_sndbuf_expand(): once when the connection opens, to ten segments' worth at least, unless
SO_SNDBUF or tcp_wmem[2] holds it down; later each arriving segment may expand it to what cwnd is then.
"""

from dataclasses import replace

from lab.evidence import SocketSample
from lab.forecast import INIT_CWND, SHARED_INFO, SK_BUFF
from lab.proof.stack.ruling import Argument, Possible, Ruling, end_of, yes
from lab.proof.stack.traits import JIFFIES_MS, MAX_TCP_HEADERS, KernelTraits
from lab.reason import Qualifier, Reason, Why

KNOWN_CONGESTION = frozenset({"cubic", "reno", "bbr"})
"""What these do to cwnd and the send buffer is known. A BPF program or a module may do anything (sndbuf_expand())."""
BBR_PROBE_RTT_CWND = 4
"""Segments, bbr's minimum: at that it may return to any cwnd of before, by an answered probe alone."""
UNBOUNDED = 1 << 31
TIMESTAMPS = 12
"""Bytes of each segment, which tcpi_advmss leaves out once they are agreed on."""
LARGEST_GSO = 1 << 19
"""Bytes: no skb is larger (GSO_MAX_SIZE), so pacing waits no longer than it takes to send so much."""
LEAST_OVERHEAD = 640
"""Bytes that a packet takes of a send buffer beside its payload, at least: 832 on Linux 6.18, 1280 on 5.10."""


def has_room(queued: int, sndbuf: int) -> bool:
    """sk_stream_is_writeable(): what is free is at least half of what is queued."""
    return queued < sndbuf and sndbuf - queued >= queued >> 1


def has_too_much_unsent(sender: SocketSample, kernel: KernelTraits) -> bool:
    """tcp_stream_memory_free(): whether TCP_NOTSENT_LOWAT alone keeps a writer waiting. Behind a window that stays
    closed nothing more is sent, so it does so for good."""
    limit = kernel.notsent_lowat(sender)
    return limit is not None and sender.notsent_bytes >= limit > 0


def sealed(sender: SocketSample, queued: int, arrival: Ruling, most: int, argument: Argument) -> Ruling:
    """Judges a queue that cannot become less than `queued` against the largest send buffer that it may ever get.

    `arrival` rules on data that may come to the sender, and wake its writer.
    """
    facts = (end_of(sender), argument, queued, most)
    if queued >= most:
        return Ruling(Possible.NO, Reason(Why.QUEUE_FULL, facts), argument, queue_full=True)
    if arrival.excluded and not has_room(queued, most):
        premises = ("one-third-free", *arrival.premises)
        return replace(arrival, reason=Reason(Why.NO_THIRD_FREE, facts), argument=argument, premises=premises)
    if not arrival.excluded:
        return Ruling(arrival.possible, Reason(Why.DATA_MAY_ARRIVE, (end_of(sender), arrival.reason)))
    if most > sender.sndbuf:
        return yes(Why.SNDBUF_MAY_GROW, end_of(sender), sender.sndbuf, most)
    return yes(Why.MAY_HAVE_ROOM, end_of(sender), queued, sender.wmem_queued)


def least_queued(sender: SocketSample) -> int:
    """What the queue cannot come below while nothing is acknowledged: its packets may be merged (tcp_grow_skb()).

    A push merges what it can, unless pacing puts it off, or packets in flight leave the window of congestion no room.
    """
    overhead = sender.wmem_queued - sender.wqueue
    if overhead < 2 * LEAST_OVERHEAD or (sender.unacked == 0 and pacing_is_over(sender)):
        return sender.wmem_queued
    return sender.wqueue + LEAST_OVERHEAD


def pacing_is_over(sender: SocketSample) -> bool:
    if not sender.pacing_rate:
        return False
    return sender.last_data_sent_ms - JIFFIES_MS > LARGEST_GSO * 1000 / sender.pacing_rate


def largest_sndbuf(sender: SocketSample, peer: SocketSample, kernel: KernelTraits, rise: int = 0) -> int:
    """How far it may still be raised. `rise`: segments that cwnd may grow by, 0 if nothing will be acknowledged."""
    wmem_max = kernel.largest_wmem(sender)
    if is_fixed(sender, kernel) or (wmem_max is not None and sender.sndbuf >= wmem_max):
        return sender.sndbuf
    bbr_rests = sender.congestion == "bbr" and sender.snd_cwnd <= BBR_PROBE_RTT_CWND
    if bbr_rests or sender.congestion not in KNOWN_CONGESTION:
        return UNBOUNDED if wmem_max is None else wmem_max
    # What is in flight was refused, and stays so. Then cwnd does not rise: tcp_may_raise_cwnd() and bbr_set_cwnd() ask
    # for newly acknowledged data, and tcp_process_loss() undoes a time-out only when SND.UNA advances or new data is
    # SACKed. Duplicate acknowledgments may raise the reordering of a connection without SACK (tcp_limit_reno_sacked()).
    segments = max(
        INIT_CWND, sender.snd_cwnd + rise, sender.reordering + 1, sender.unacked + 2 if sender.unacked else 0
    )
    # Memory pressure may have cut the buffer (sk_stream_moderate_sndbuf()): its size tells nothing of its step.
    target = max(_steps(sender, peer.advmss, kernel.max_tcp_headers)) * segments
    return max(sender.sndbuf, target if wmem_max is None else min(target, wmem_max))


def is_fixed(sender: SocketSample, kernel: KernelTraits) -> bool:
    """Whether SO_SNDBUF was set. Where the kernel does not tell: whether the program says so, or the buffer is smaller
    than what every connection is given at once."""
    if sender.sndbuf_locked is None:
        return sender.inode in kernel.sndbuf_set or _looks_set(sender)
    return sender.sndbuf_locked


def unless_cut(sender: SocketSample, kernel: KernelTraits) -> tuple[Qualifier, ...]:
    """A small buffer of which SO_BUF_LOCK is not told may have been cut by memory pressure, and grow again."""
    if sender.sndbuf_locked is not None or sender.inode in kernel.sndbuf_set or not _looks_set(sender):
        return ()
    wmem_max = kernel.largest_wmem(sender)
    if wmem_max is not None and sender.sndbuf >= wmem_max:
        return ()
    return (Qualifier(Reason(Why.SNDBUF_MAY_BE_CUT, (end_of(sender),)), "send-buffer-growth"),)


def _looks_set(sender: SocketSample) -> bool:
    return sender.sndbuf < INIT_CWND * min(_steps(sender))


def _steps(sender: SocketSample, announced: int | None = None, headers: tuple[int, ...] = MAX_TCP_HEADERS) -> list[int]:
    """What one segment of cwnd may be worth in tcp_sndbuf_expand(): two charges, or three under bbr.

    A charge is a power of two and an sk_buff. The MSS that counts is the one that the peer has `announced`, or the one
    that is sent, if that is larger. Where the first is not known: all powers from the second on.
    """
    factor = 3 if sender.congestion == "bbr" else 2
    least = 1 << (sender.snd_mss + headers[0] + SHARED_INFO - 1).bit_length()
    largest = 0xFFFF if announced is None else max(announced + TIMESTAMPS, sender.snd_mss)
    most = 1 << (largest + headers[-1] + SHARED_INFO - 1).bit_length()
    powers = [1 << shift for shift in range(least.bit_length() - 1, most.bit_length())]
    return [factor * (power + SK_BUFF) for power in powers]
