"""What one look at a socket does not show, and several do.

**Whether a blocked write may go on though nobody wakes it.** Before it sleeps tcp_sendmsg() pushes, and that fills the
first waiting packet from those behind it and frees what it has emptied (tcp_grow_skb(), Linux 6.10). If that makes
room, sk_stream_wait_memory() takes it that the system is short of memory, and tries again after up to a fifth of a
second, whatever happens: measured in proxies with squeezed buffers, up to 203 ms later, with nothing else changed. That
is over once nothing has been written for so long, and it was never so if the buffer was full at any look since the last
byte, or if the write itself fits one packet: what was there before had been merged by the pushes before it.

**Whether a window is closed for good.** An end that offered a window and then none has asked __tcp_select_window() with
all in its buffer that is there now, for it takes nothing in any more. The answer was none, and stays so as long as
neither the buffer nor what lies in it changes. The only other way there is a packet for which there was no memory
(ICSK_ACK_NOMEM), and that packet is dropped, or alone in the buffer.
"""

import time
from dataclasses import dataclass, replace

from lab.evidence import Looks, SocketSample

WAIT_S = 0.3
"""HZ/5 + 1 jiffies at most, and half as much again for a timer that is late."""
PACKET = 2048
"""Bytes: no less than a packet takes beside its payload. Each that is in flight may have been split off meanwhile."""


@dataclass(slots=True)
class _Known:
    """Of one socket, so far."""

    first: int
    """Bytes written by the first look."""
    written: int
    over: float
    """When a write would have been tried again, by the monotonic clock."""
    window: int
    mss: int
    buffer: object
    since: float
    """When its receive buffer was first seen as large and as full as it is."""
    last: object = None
    """At the last look: what had been read, the size of the buffer, and what had come."""
    open: object = None
    """When there was a window, and two looks in a row were the same: what had been read and dropped, and the size."""
    closed: object = None
    """When there was none any more: what had been read, the size, what had come, and what it took."""


class SocketHistory:
    """Told of every look at some sockets, it remembers of each what counts."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], _Known] = {}
        """By cookie and inode: cookies were once counted by namespace."""

    def told(self, sample: SocketSample) -> SocketSample:
        """The sample, taken just now, with what all looks tell."""
        return replace(sample, looks=self.note(sample))

    def note(self, sample: SocketSample) -> Looks:
        """The same for who needs no copy of the sample."""
        now, written = time.monotonic(), sample.bytes_acked + sample.wqueue
        buffer = sample.rcvbuf, sample.rmem_alloc
        known = self._known.get((sample.cookie, sample.inode))
        if known is None:
            known = _Known(written, written, now + WAIT_S, sample.snd_wnd or 0, sample.snd_mss, buffer, now)
            self._known[sample.cookie, sample.inode] = known
        elif written != known.written:
            known.written, known.over = written, now + WAIT_S
        if sample.wmem_queued - PACKET * sample.unacked >= sample.sndbuf:
            known.over = 0.0
        if buffer != known.buffer:
            known.buffer, known.since = buffer, now
        known.mss = min(known.mss, sample.snd_mss)
        return Looks(
            may_retry=now < known.over,
            written=written - known.first,
            window=known.window,
            mss=known.mss,
            unchanged_ms=int((now - known.since) * 1000),
            closed=_is_closed_for_good(known, sample),
        )


def _is_closed_for_good(known: _Known, sample: SocketSample) -> bool:
    """What had been read is certain where two looks saw the same bytes received; one in the midst may get it wrong."""
    seen = sample.bytes_received - sample.rqueue, sample.rcvbuf
    now = seen, sample.bytes_received
    holds = now, sample.rmem_alloc
    if sample.rcv_wnd and sample.rqueue and known.last == now:
        known.open = seen, sample.drops
    elif sample.rcv_wnd == 0 and known.open == (seen, sample.drops):
        known.open, known.closed = None, holds
    known.last = now
    return sample.rcv_wnd == 0 and known.closed == holds
