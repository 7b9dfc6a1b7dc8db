"""What is known of the kernel beside its sockets. Every default is the safe side: it proves less."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.evidence import SocketSample
from lab.forecast import MAX_TCP_HEADER

MAX_TCP_HEADERS = (MAX_TCP_HEADER, 320)
"""Bytes: without and with CONFIG_WLAN."""
RTO_MIN_MS = 200
"""TCP_RTO_MIN."""
JIFFIES_MS = 10
"""Rounding of an age, or of two, at HZ=100."""
GIVING_UP = {"tcp_retries2": 15, "tcp_invalid_ratelimit": 500, "tcp_rto_max_ms": 120_000}
"""The sysctls by which a connection is given up, with their defaults."""


@dataclass(frozen=True, slots=True)
class KernelTraits:
    """Of the kernel under both ends."""

    wmem_max: int | None = None
    """tcp_wmem[2], in bytes, of any socket of which it is not known; the larger, where the two ends differ."""
    wmem_max_of: Mapping[int, int] = field(default_factory=dict)
    """tcp_wmem[2] of the socket's own namespace, by inode."""
    rmem_max_of: Mapping[int, int] = field(default_factory=dict)
    """tcp_rmem[2] of the socket's own namespace, by inode."""
    drops_beyond_window: bool = False
    """It drops a segment that ends beyond the window of now, acknowledgment and all (premises: ack-starvation)."""
    max_tcp_headers: tuple[int, ...] = MAX_TCP_HEADERS
    """What its MAX_TCP_HEADER may be."""
    gives_up: bool = False
    """An end may abort although its peer lives: `gives_up()`."""
    notsent_lowat_of: Mapping[int, int] = field(default_factory=dict)
    """tcp_notsent_lowat of the socket's own namespace, by inode."""
    sndbuf_set: frozenset[int] = frozenset()
    """Inodes of sockets of which it is known, but for the kernel's word, that SO_SNDBUF was set."""
    rcvbuf_settled: frozenset[int] = frozenset()
    """Inodes of sockets of which it is known, but for the kernel's word, that SO_RCVBUF is not set any more."""
    adv_win_scale_of: Mapping[int, int] = field(default_factory=dict)
    """tcp_adv_win_scale, by inode, where this kernel computes windows by it (below 6.6)."""

    def largest_wmem(self, sender: SocketSample) -> int | None:
        """tcp_wmem[2] for this socket, or more; None: not known."""
        return self.wmem_max_of.get(sender.inode, self.wmem_max)

    def largest_rcvbuf(self, receiver: SocketSample) -> int | None:
        """What its receive buffer may come to without a read; None: not known."""
        if receiver.rcvbuf_locked:
            return receiver.rcvbuf
        rmem_max = self.rmem_max_of.get(receiver.inode)
        return None if rmem_max is None else max(receiver.rcvbuf, rmem_max)

    def notsent_lowat(self, sender: SocketSample) -> int | None:
        """The limit of its unsent bytes; None: not known."""
        return sender.notsent_lowat or self.notsent_lowat_of.get(sender.inode)


UNKNOWN_KERNEL = KernelTraits()


def headers(known: int | None) -> tuple[int, ...]:
    """What MAX_TCP_HEADER may be."""
    return MAX_TCP_HEADERS if known is None else (known,)


DROPS_BEYOND_WINDOW = ((6, 17), (7, 0))
"""Since, and below: from 7.0 on tcp_sequence() takes what lies below the largest edge ever offered."""


def drops_beyond_window(release: str | None) -> bool:
    """Whether a kernel of this release (`uname -r`) drops what ends beyond the window of now."""
    found = re.match(r"(\d+)\.(\d+)", release or "")
    since, below = DROPS_BEYOND_WINDOW
    return found is not None and since <= (int(found[1]), int(found[2])) < below


def gives_up(*ends: Mapping[str, str]) -> bool:
    """Whether tcp_retries2 probes may be over before one is answered (tcp_probe_timer(), tcp_oow_rate_limited()).

    Answers come tcp_invalid_ratelimit apart; probes come at gaps that double from 200 ms to tcp_rto_max_ms. A segment
    retransmitted into the closed window is given up after twice that. `ends` are the sysctls of both ends.
    """
    given = {key: [int(end.get(key, default)) for end in ends] or [default] for key, default in GIVING_UP.items()}
    longest_ms = min(given["tcp_rto_max_ms"])
    probed_ms = sum(min(RTO_MIN_MS << each, longest_ms) for each in range(min(given["tcp_retries2"])))
    return max(given["tcp_invalid_ratelimit"]) > min(probed_ms, 2 * longest_ms)
