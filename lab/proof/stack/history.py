"""What several samples of one socket show together, and one alone does not.

Raw samples are folded here, by their own time stamps: `SocketSample.earlier`, oldest first, and the sample itself. Of
all that were taken the evidence keeps those that can matter; fewer of them prove less.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from lab.evidence import EarlierSample, SocketSample

RETRY_NS = 300_000_000
"""HZ/5 + 1 jiffies at most (sk_stream_wait_memory()), and half as much again for a timer that is late."""
PACKET_BYTES = 2048
"""No less than a packet takes beside its payload. Each packet in flight may have been split off meanwhile."""


@dataclass(frozen=True, slots=True)
class History:
    """Of one socket, up to its present sample."""

    may_retry: bool
    """A blocked write may be tried again although nobody wakes its thread (premise write-retry)."""
    written: int
    """Bytes that its program has written since the first sample."""
    first_window: int
    """`snd_wnd` of the first sample."""
    least_mss: int
    """The smallest `snd_mss` of all samples."""
    unchanged_ms: int
    """For how long every sample has shown the receive buffer as large and as full as it is, and with the same in it."""
    seen_to_close: bool
    """Its window was seen open, and then closed with all in the buffer that is there now (premise seen-to-close)."""


def history_of(socket: SocketSample) -> History | None:
    """None: nobody has kept earlier samples of it."""
    if socket.earlier is None:
        return None
    samples: Samples = (*socket.earlier, socket)
    first = samples[0]
    return History(
        may_retry=_may_retry(samples),
        written=written_by(socket) - written_by(first),
        first_window=first.snd_wnd or 0,
        least_mss=min(each.snd_mss for each in samples),
        unchanged_ms=_unchanged_ns(samples) // 1_000_000,
        seen_to_close=_seen_to_close(samples),
    )


Sample: TypeAlias = EarlierSample | SocketSample
Samples: TypeAlias = tuple[Sample, ...]


def written_by(sample: Sample) -> int:
    """Bytes that its program has written since the connection."""
    return sample.bytes_acked + sample.wqueue


def is_full(sample: Sample) -> bool:
    """Whether the send buffer was full, whatever was split off the packets in flight since."""
    return sample.wmem_queued - PACKET_BYTES * sample.unacked >= sample.sndbuf


def received_and_read(sample: Sample) -> tuple[int, int, int]:
    """Bytes received, of these read, and the size of the buffer."""
    return sample.bytes_received, sample.bytes_received - sample.rqueue, sample.rcvbuf


def buffer_of(sample: Sample) -> tuple[tuple[int, int, int], int]:
    """The receive buffer and what is in it.

    How full it is alone would not do: between two samples it may have been filled, and read.
    """
    return received_and_read(sample), sample.rmem_alloc


def saw_open(before: Sample, sample: Sample) -> bool:
    """Whether two samples, one after the other, show an open window and something unread.

    What the program had read is certain only where two saw the same: one that was taken in the midst of a change may
    have it wrong.
    """
    return bool(sample.rcv_wnd and sample.rqueue) and received_and_read(before) == received_and_read(sample)


def saw_close(opened: Sample, sample: Sample) -> bool:
    """Whether the window has closed since it was seen open, with nothing read, written, resized or dropped."""
    unread = received_and_read(opened)[1:] == received_and_read(sample)[1:]
    idle = unread and written_by(opened) == written_by(sample)
    return sample.rcv_wnd == 0 and idle and opened.drops == sample.drops


def _may_retry(samples: Samples) -> bool:
    """False once nothing has been written for RETRY_NS, or if a sample since the last byte saw the buffer full.

    Before it sleeps tcp_sendmsg_locked() pushes. That fills the first waiting packet from those behind it, and frees
    what it has emptied (tcp_grow_skb()). If that makes room, sk_stream_wait_memory() takes it that the system is short
    of memory, and tries again after up to HZ/5: measured in proxies with squeezed buffers, up to 203 ms later.
    """
    now = samples[-1]
    since = [each for each in samples if written_by(each) == written_by(now)]
    return not any(map(is_full, since)) and now.time_ns - since[0].time_ns < RETRY_NS


def _unchanged_ns(samples: Samples) -> int:
    now = samples[-1]
    since_ns = now.time_ns
    for each in reversed(samples):
        if buffer_of(each) != buffer_of(now):
            break
        since_ns = each.time_ns
    return now.time_ns - since_ns


def _seen_to_close(samples: Samples) -> bool:
    """Whether its buffer holds now what it held when it was seen to close its window.

    An end that offered a window and then none has asked __tcp_select_window() with that content, for it takes nothing
    in any more; the answer was none, and stays so while neither the buffer nor its content changes. A buffer that had
    another size in between may have been asked while it was smaller. There are two other ways to none. A packet for
    which there was no memory (ICSK_ACK_NOMEM): it is dropped, which `drops` counts, or is alone in the buffer. And a
    backlog: while __release_sock() works it off, tcp_space() counts each packet of it twice. A socket has one only
    while a program is at work on it, so its writer must have been asleep since before the window closed.
    """
    opened: Sample | None = None
    closed: Sample | None = None
    for nth, (before, each) in enumerate(pairwise(samples), start=2):
        if each.rcvbuf != before.rcvbuf:
            opened = None
        elif saw_open(before, each):
            opened = None if _may_retry(samples[:nth]) else each
        elif opened is not None and saw_close(opened, each):
            opened, closed = None, each
    now = samples[-1]
    if closed is None or now.rcv_wnd != 0:
        return False
    return buffer_of(closed) == buffer_of(now) and written_by(closed) == written_by(now)
