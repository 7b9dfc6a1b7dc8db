"""Whether tcp_adv_win_scale counts is found out without a trace in this namespace."""

from pathlib import Path

from lab.kernel.sockets.window_share import adv_win_scale_counts

SYSCTL = Path("/proc/sys/net/ipv4/tcp_adv_win_scale")


def test_this_kernel_tells_whether_the_scale_counts_and_the_scale_here_stays() -> None:
    before = SYSCTL.read_text()
    adv_win_scale_counts.cache_clear()
    assert adv_win_scale_counts() in (True, False)
    assert SYSCTL.read_text() == before
