"""How far a send buffer may still grow by itself: tcp_sndbuf_expand(), as far as a socket's record tells.

Every connection is expanded once when it opens, to ten segments' worth at least, unless SO_SNDBUF or tcp_wmem[2] holds
it down; later each arriving segment may expand it to what cwnd is then. Taken from forecast's constants of Linux 6.18.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.evidence import SocketSample
from lab.forecast import INIT_CWND, MAX_TCP_HEADER, SHARED_INFO, SK_BUFF

MAX_TCP_HEADERS = (MAX_TCP_HEADER, 320)
"""Bytes: without and with CONFIG_WLAN."""
BBR_PROBE_RTT_CWND = 4
"""Segments, bbr's least: at that it may return to any cwnd of before, by an answered probe alone."""
UNBOUNDED = 1 << 31
FIRST_GAP_MS = 200
"""TCP_RTO_MIN."""
GIVING_UP = {"tcp_retries2": 15, "tcp_invalid_ratelimit": 500, "tcp_rto_max_ms": 120_000}
"""The sysctls by which a connection is given up, and what they are if nobody sets them."""
TIMESTAMPS = 12
"""Bytes of each segment, which tcpi_advmss leaves out once they are agreed on."""


@dataclass(frozen=True, slots=True)
class KernelTraits:
    """What is known of the kernel beside its sockets; the defaults are the safe side."""

    wmem_max: int | None = None
    """tcp_wmem[2], in bytes, of any socket of which it is not known; the larger, where the two ends differ."""
    drops_beyond_window: bool = False
    """It drops a segment that ends beyond the window, acknowledgment and all (TcpExtBeyondWindow, Linux 6.17)."""
    max_tcp_headers: tuple[int, ...] = MAX_TCP_HEADERS
    """What its MAX_TCP_HEADER may be."""
    gives_up: bool = False
    """An end may abort although its peer lives: `gives_up()`."""
    wmem_max_of: Mapping[int, int] = field(default_factory=dict)
    """tcp_wmem[2] of the own namespace, by the inodes of the sockets of which it is known."""

    def largest(self, sender: SocketSample) -> int | None:
        """tcp_wmem[2] for this socket, or more; None: not known."""
        return self.wmem_max_of.get(sender.inode, self.wmem_max)


def gives_up(*ends: Mapping[str, str]) -> bool:
    """Whether tcp_retries2 probes may be over before one is answered (tcp_probe_timer(), tcp_oow_rate_limited()).

    Answers come tcp_invalid_ratelimit apart, probes at gaps that double from 200 ms to tcp_rto_max_ms. What is sent
    again into the closed window is given up after twice that. `ends` are the sysctls of both ends.
    """
    given = {key: [int(end.get(key, default)) for end in ends] or [default] for key, default in GIVING_UP.items()}
    longest_ms = min(given["tcp_rto_max_ms"])
    probed_ms = sum(min(FIRST_GAP_MS << each, longest_ms) for each in range(min(given["tcp_retries2"])))
    return max(given["tcp_invalid_ratelimit"]) > min(probed_ms, 2 * longest_ms)


def largest_sndbuf(sender: SocketSample, peer: SocketSample, stack: KernelTraits, rise: int = 0) -> int:
    """How far it may still be raised while cwnd rises by `rise` segments, and not at all if nothing is acknowledged."""
    wmem_max = stack.largest(sender)
    if is_fixed(sender) or (wmem_max is not None and sender.sndbuf >= wmem_max):
        return sender.sndbuf
    if (sender.congestion or "bbr").startswith("bbr") and sender.snd_cwnd <= BBR_PROBE_RTT_CWND:
        return UNBOUNDED if wmem_max is None else wmem_max
    # What is in flight was refused, and stays so. Then cwnd does not rise: tcp_may_raise_cwnd() and bbr_set_cwnd() ask
    # for newly acknowledged data, and tcp_process_loss() undoes a time-out only when SND.UNA advances or new data is
    # SACKed. Duplicate acknowledgments may raise the reordering of a connection without SACK (tcp_limit_reno_sacked()).
    segments = max(
        INIT_CWND, sender.snd_cwnd + rise, sender.reordering + 1, sender.unacked + 2 if sender.unacked else 0
    )
    steps = _steps(sender, peer.advmss, stack.max_tcp_headers)
    possible = [step for step in steps if INIT_CWND * step <= sender.sndbuf] or steps
    # An expanded buffer is a whole multiple of its step; one that is none is tcp_wmem's default, and tells nothing.
    exact = [step for step in possible if sender.sndbuf % step == 0]
    if sender.congestion is not None and sender.sndbuf == min(exact, default=0) * segments:
        return sender.sndbuf
    target = max(exact or possible) * segments
    return max(sender.sndbuf, target if wmem_max is None else min(target, wmem_max))


def is_fixed(sender: SocketSample) -> bool:
    """Locked by SO_SNDBUF. Where that is not told: less than what every connection is given at once.

    A small one that is not locked was so once, and may grow: SO_BUF_LOCK.
    """
    if sender.sndbuf_locked is None:
        return sender.sndbuf < INIT_CWND * min(_steps(sender))
    return sender.sndbuf_locked


def _steps(sender: SocketSample, announced: int | None = None, headers: tuple[int, ...] = MAX_TCP_HEADERS) -> list[int]:
    """What one segment of cwnd may be worth in tcp_sndbuf_expand(): two charges, or three under bbr.

    A charge is a power of two and an sk_buff. The MSS that counts is the one that the peer has `announced`, or the one
    that is sent, if that is larger. Where the first is not known: all powers from the second on.
    """
    bbr = sender.congestion is not None and sender.congestion.startswith("bbr")
    factors = [2, 3] if sender.congestion is None else [3] if bbr else [2]
    least = 1 << (sender.snd_mss + headers[0] + SHARED_INFO - 1).bit_length()
    largest = 0xFFFF if announced is None else max(announced + TIMESTAMPS, sender.snd_mss)
    most = 1 << (largest + headers[-1] + SHARED_INFO - 1).bit_length()
    powers = [1 << shift for shift in range(least.bit_length() - 1, most.bit_length())]
    return [factor * (power + SK_BUFF) for factor in factors for power in powers]
