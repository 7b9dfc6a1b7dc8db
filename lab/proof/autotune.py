"""How far a send buffer may still grow by itself: tcp_sndbuf_expand(), as far as a socket's record tells.

Every connection is expanded once when it opens, to ten segments' worth at least, unless SO_SNDBUF or tcp_wmem[2] holds
it down; later each arriving segment may expand it to what cwnd is then. Taken from forecast's constants of Linux 6.18.
"""

from lab.evidence import SocketSample
from lab.forecast import INIT_CWND, MAX_TCP_HEADER, SHARED_INFO, SK_BUFF

MAX_TCP_HEADERS = (MAX_TCP_HEADER, 320)
"""Bytes: without and with CONFIG_WLAN."""


def largest_sndbuf(sender: SocketSample, wmem_max: int | None) -> int:
    """How far it may still be raised while nothing is acknowledged; `wmem_max` is tcp_wmem[2], None if not known."""
    if is_fixed(sender) or (wmem_max is not None and sender.sndbuf >= wmem_max):
        return sender.sndbuf
    # What is in flight was refused, and stays so. Then cwnd does not rise: tcp_may_raise_cwnd() and bbr_set_cwnd() ask
    # for newly acknowledged data, and tcp_process_loss() undoes a time-out only when SND.UNA advances or new data is
    # SACKed. Duplicate acknowledgments may raise the reordering of a connection without SACK (tcp_limit_reno_sacked()).
    segments = max(INIT_CWND, sender.snd_cwnd, sender.reordering + 1, sender.unacked + 2 if sender.unacked else 0)
    possible = [step for step in _steps(sender) if INIT_CWND * step <= sender.sndbuf]
    # An expanded buffer is a whole multiple of its step; one that is none is tcp_wmem's default, and tells nothing.
    exact = [step for step in possible if sender.sndbuf % step == 0]
    if sender.congestion is not None and sender.sndbuf == min(exact, default=0) * segments:
        return sender.sndbuf
    target = max(exact or possible) * segments
    return max(sender.sndbuf, target if wmem_max is None else min(target, wmem_max))


def is_fixed(sender: SocketSample) -> bool:
    """Less than what every connection is given at once: SO_SNDBUF or tcp_wmem[2] holds it down."""
    return sender.sndbuf < INIT_CWND * min(_steps(sender))


def _steps(sender: SocketSample) -> list[int]:
    """What one segment of cwnd may be worth in tcp_sndbuf_expand(): two charges, or three under bbr.

    A charge is a power of two and an sk_buff. The MSS that counts is the one that the peer announced, which may be
    larger than what is sent: so all powers from that on.
    """
    bbr = sender.congestion is not None and sender.congestion.startswith("bbr")
    factors = [2, 3] if sender.congestion is None else [3] if bbr else [2]
    least = 1 << (sender.snd_mss + MAX_TCP_HEADERS[0] + SHARED_INFO - 1).bit_length()
    most = 1 << (0xFFFF + MAX_TCP_HEADERS[1] + SHARED_INFO - 1).bit_length()
    powers = [1 << shift for shift in range(least.bit_length() - 1, most.bit_length())]
    return [factor * (power + SK_BUFF) for factor in factors for power in powers]
