"""What one look at a socket does not show, and several do: whether a blocked write may go on though nobody wakes it.

Before it sleeps tcp_sendmsg() pushes, and that fills the first waiting packet from those behind it and frees what it
has emptied (tcp_grow_skb(), Linux 6.10). If that makes room, sk_stream_wait_memory() takes it that the system is short
of memory, and tries again after up to a fifth of a second, whatever happens: measured in proxies with squeezed buffers,
up to 203 ms later, with nothing else changed. That is over once nothing has been written for so long, and it was never
so if the buffer was full at any look since the last byte, or if the write itself fits one packet: what was there before
had been merged by the pushes before it.
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


class Memory:
    """Told of every look at some sockets, it remembers of each what counts."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], _Known] = {}
        """By cookie and inode: cookies were once counted by namespace."""

    def told(self, sample: SocketSample) -> SocketSample:
        """The sample, taken just now, with what all looks tell."""
        now, written = time.monotonic(), sample.bytes_acked + sample.wqueue
        known = self._known.get((sample.cookie, sample.inode))
        if known is None:
            known = _Known(written, written, now + WAIT_S, sample.snd_wnd or 0, sample.snd_mss)
            self._known[sample.cookie, sample.inode] = known
        elif written != known.written:
            known.written, known.over = written, now + WAIT_S
        if sample.wmem_queued - PACKET * sample.unacked >= sample.sndbuf:
            known.over = 0.0
        known.mss = min(known.mss, sample.snd_mss)
        return replace(sample, looks=Looks(now < known.over, written - known.first, known.window, known.mss))
