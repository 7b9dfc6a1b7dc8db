"""Random settings under which two programs freeze each other: of their hosts, and of their own sockets."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from lab.spec import Pair

T = TypeVar("T")

SMALL = "4096 8192 8192"
RMEM = (SMALL, SMALL, "4096 4096 4096", "4096 16384 65536", "4096 131072 6291456", "4096 30000 200000")
WMEM = (SMALL, "4096 4096 4096", "4096 16384 65536", "4096 16384 4194304")
SCALES = (*("1",) * 5, "-2", "-1", "2", "3")
"""tcp_adv_win_scale: 1 is the default."""
MTUS = (576, 1500, 1500, 9000, 65535)
LEAST_IPV6 = 1280
"""RFC 8200, 5: no smaller link carries IPv6."""
BUFFERS = (None, None, None, 2304, 4000, 9000, 20000, 65536)
CLAMPS = (*(None,) * 9, 400, 2000, 10000)
SEGMENTS = (*(None,) * 6, 88, 536, 1000)
WRITES = (1, 16, 48, 100, 500, 1000, 1448, 4096, 16384, 65536)
READS = (1, 50, 400, 1024, 4096, 20000, 200000)


@dataclass(frozen=True, slots=True)
class HostsSetting:
    """Of the two hosts, and of all pairs of programs that run there."""

    sysctls: dict[str, str]
    """`net.ipv4` keys."""
    mtu: int
    loopback: bool
    """Both programs on one host."""
    goes_down: bool
    """The link is down while the last bytes are read, so that the window updates are lost."""


@dataclass(frozen=True, slots=True)
class PairSetting:
    """Of two programs. None: as the kernel has it."""

    ip: int
    rcvbuf: Pair[int | None]
    sndbuf: Pair[int | None]
    clamp: int | None
    """TCP_WINDOW_CLAMP of the server."""
    segment: int | None
    """TCP_MAXSEG of the server."""
    nodelay: Pair[bool]
    writes: Pair[int]
    """How many bytes each program gives to one send."""
    reads: Pair[int]


def draw_hosts(rnd: random.Random) -> HostsSetting:
    sysctls = {"tcp_rmem": rnd.choice(RMEM), "tcp_wmem": rnd.choice(WMEM), "tcp_adv_win_scale": rnd.choice(SCALES)}
    for key in ("tcp_timestamps", "tcp_window_scaling", "tcp_sack"):
        sysctls[key] = rnd.choice("1110")
    sysctls["tcp_shrink_window"] = rnd.choice("0001")
    loopback = rnd.random() < 0.4
    return HostsSetting(sysctls, rnd.choice(MTUS), loopback, not loopback and rnd.random() < 0.6)


def draw_pair(rnd: random.Random, hosts: HostsSetting) -> PairSetting:
    def both(choices: Sequence[T]) -> Pair[T]:
        return Pair(rnd.choice(choices), rnd.choice(choices))

    # An interface that goes down loses its IPv6 addresses.
    only_ipv4 = hosts.goes_down or hosts.mtu < LEAST_IPV6
    return PairSetting(
        ip=4 if only_ipv4 else rnd.choice((4, 4, 6)),
        rcvbuf=both(BUFFERS),
        sndbuf=both(BUFFERS),
        clamp=rnd.choice(CLAMPS),
        segment=rnd.choice(SEGMENTS),
        nodelay=both((False, True)),
        writes=both(WRITES),
        reads=both(READS),
    )
