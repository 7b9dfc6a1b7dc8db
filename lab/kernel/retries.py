"""Whether a blocked write may go on though nobody wakes it: what one look at its socket does not show.

Before it sleeps tcp_sendmsg() pushes, and that fills the first waiting packet from those behind it and frees what it
has emptied (tcp_grow_skb(), Linux 6.10). If that makes room, sk_stream_wait_memory() takes it that the system is short
of memory, and tries again after up to a fifth of a second, whatever happens: measured in proxies with squeezed buffers,
up to 203 ms later, with nothing else changed. That is over once nothing has been written for so long, and it was never
so if the buffer was full at any look since the last byte, or if the write itself fits one packet: what was there before
had been merged by the pushes before it.
"""

import time
from dataclasses import replace

from lab.evidence import SocketSample

WAIT_S = 0.3
"""HZ/5 + 1 jiffies at most, and half as much again for a timer that is late."""
PACKET = 2048
"""Bytes: no less than a packet takes beside its payload. Each that is in flight may have been split off meanwhile."""


class Retries:
    """Of the sockets that it is told of at each look, it knows."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int | None, float, int]] = {}
        """By cookie: bytes written, when it is over, by the monotonic clock, and the largest window."""

    def told(self, sample: SocketSample) -> SocketSample:
        """The sample, taken just now, with the answer."""
        now, written = time.monotonic(), sample.bytes_acked + sample.wqueue
        before, over, window = self._known.get(sample.cookie, (None, 0.0, 0))
        if written != before:
            over = now + WAIT_S
        if sample.wmem_queued - PACKET * sample.unacked >= sample.sndbuf:
            over = 0.0
        window = max(window, sample.snd_wnd or 0)
        self._known[sample.cookie] = written, over, window
        return replace(sample, may_retry=now < over, largest_window=window)
