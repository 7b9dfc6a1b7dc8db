"""The published table of buffers, claim by claim, beside what this kernel does: `lab limits`. Every value is measured.

Sockets are opened in the caller's namespace, or in two temporary namespaces that get its sysctls: if a sysctl changes,
its row changes. No setting of the host is changed. A rule about `net.core.*` is shown by a smaller `tcp_rmem` in a
temporary namespace, or under other settings of the host by `lab limits --host-sysctl`.
"""

import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lab.kernel.place import sysctl
from lab.kernel.place.netns import Namespace
from lab.limits.place import PUMP_S, MeasuringPlace, fill, place_of, pumped
from lab.spec import Triple

SCALE = struct.Struct("6xB")
"""tcp_info: the seventh byte holds tcpi_snd_wscale (low nibble) and tcpi_rcv_wscale."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One claim. `published` is None if the text gives no value; `measured` and `holds` if it could not be measured."""

    claim: str
    published: str | None
    measured: str | None
    holds: bool | None
    why: str
    scope: str
    """What the setting belongs to: `namespace`, `host` or `socket`."""


def measured(here: Namespace | None = None) -> Iterator[Limit]:
    """Measure every claim in turn, in this namespace."""
    with place_of(here or Namespace.here()) as place:
        for claim in CLAIMS:
            yield from claim(place)


def _triples(place: MeasuringPlace) -> Iterator[Limit]:
    whys = {
        "tcp_rmem": "the default was raised in Linux 4.20; the most follows the version and the memory",
        "tcp_wmem": "the least and the default have stayed; the most follows the version and the memory",
    }
    for key, published in (("tcp_rmem", "4096 87380 4161536"), ("tcp_wmem", "4096 16384 4161536")):
        found = sysctl.read(place.here, (key,)).get(key)
        holds = None if found is None else found == published
        yield Limit(f"{key} is {published}", published, found, holds, whys[key], "namespace")


def _core(place: MeasuringPlace) -> Iterator[Limit]:
    for key, published in (("rmem_max", "131071"), ("wmem_max", "131071")):
        found = place.core.get(key)
        why = "what setsockopt() may ask for; set by the distribution, or by whoever runs the host"
        holds = None if found is None else found == published
        yield Limit(f"net.core.{key} is {published}", published, found, holds, why, "host")


def _udp(place: MeasuringPlace) -> Iterator[Limit]:
    for key, option in (("rmem_default", socket.SO_RCVBUF), ("wmem_default", socket.SO_SNDBUF)):
        found = place.core.get(key)
        with place.here.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as udp:
            buffer = udp.getsockopt(socket.SOL_SOCKET, option)
        shown = f"{found}; a new UDP socket has {buffer}"
        why = "it is what sockets without a protocol's own sysctl start with, UDP for one; TCP does not use it"
        holds = None if found is None else found == "111616"
        yield Limit(f"net.core.{key} is 111616, for UDP", "111616", shown, holds, why, "host")


def _start(place: MeasuringPlace) -> Iterator[Limit]:
    default = place.default("tcp_rmem")
    found = place.asked(socket.SO_RCVBUF, None)
    yield Limit(
        "a TCP socket's receive buffer starts with the second number of tcp_rmem",
        "87380",
        str(found),
        found == default,
        "the number is copied when the socket is made, so a later sysctl does not reach it",
        "namespace",
    )


def _doubled(place: MeasuringPlace) -> Iterator[Limit]:
    for name, option, cap in (("SO_RCVBUF", socket.SO_RCVBUF, "rmem_max"), ("SO_SNDBUF", socket.SO_SNDBUF, "wmem_max")):
        most = place.known(cap)
        ask = 65536 if most is None else min(65536, most)
        got = place.asked(option, ask)
        why = "the kernel adds as much again for its own bookkeeping, and getsockopt() shows the sum"
        yield Limit(f"{name} is doubled", "65536 -> 131072", f"{ask} -> {got}", got == 2 * ask, why, "socket")
        got = place.asked(option, 0x7FFFFFFF)
        why = f"net.core.{cap} bounds what is asked for, before it is doubled; tcp_rmem and tcp_wmem play no part in it"
        shown = f"{'?' if most is None else most} -> {got}"
        holds = None if most is None else got == 2 * most
        yield Limit(f"{name} is cut to net.core.{cap}", "131071 -> 262142", shown, holds, why, "host")


def _minimum(place: MeasuringPlace) -> Iterator[Limit]:
    why = "SOCK_MIN_RCVBUF and SOCK_MIN_SNDBUF have grown with struct sk_buff: room for one packet with its bookkeeping"
    for name, option, published in (("SO_RCVBUF", socket.SO_RCVBUF, 256), ("SO_SNDBUF", socket.SO_SNDBUF, 2048)):
        got = place.asked(option, 1)
        yield Limit(f"the least {name} is {published}", str(published), str(got), got == published, why, "socket")


def _connected_start(place: MeasuringPlace) -> Iterator[Limit]:
    claim, published = "a connected socket's send buffer starts with the second number of tcp_wmem", "16384"
    why = (
        "tcp_init_buffer_space() raises it on connect to two initial windows of segments (three under bbr): "
        "more with a larger MTU, 2.5 MiB and more on loopback"
    )
    if place.pair is None:
        yield _unseen(place, claim, published, "namespace")
        return
    default = place.default("tcp_wmem")
    with place.pair.connection() as (client, _):
        after = client.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    before = place.asked(socket.SO_SNDBUF, None)
    shown = f"{before} before connect(), {after} after"
    yield Limit(claim, published, shown, after == default, why, "namespace")


def _belongs_to_a_namespace(place: MeasuringPlace) -> Iterator[Limit]:
    for key in ("tcp_rmem", "tcp_wmem"):
        claim = f"{key} belongs to a network namespace"
        if place.pair is None:
            yield _unseen(place, claim, None, "namespace")
            continue
        before = sysctl.read(place.here, (key,))[key]
        other = Triple(4096, 12345, 54321)
        with place.pair.connection(*((other, None) if key == "tcp_rmem" else (None, other))):
            there, here = sysctl.read(place.pair.client, (key,))[key], sysctl.read(place.here, (key,))[key]
        shown = f"{there} there, {here} here"
        why = "so a container has its own, and its owner may write it"
        yield Limit(claim, None, shown, there == "4096 12345 54321" and here == before, why, "namespace")


def _belongs_to_the_host(place: MeasuringPlace) -> Iterator[Limit]:
    for key in ("rmem_max", "wmem_max", "rmem_default", "wmem_default"):
        claim = f"net.core.{key} is one for the whole host"
        if place.pair is None:
            yield _unseen(place, claim, None, "host")
            continue
        found = place.pair.client.call(_writable, key)
        shown = {None: "absent in a new namespace", False: "read-only in a new namespace"}.get(found, "writable there")
        why = "a container cannot change it; `--host-sysctl` does, for everybody, and puts it back"
        yield Limit(claim, None, shown, not found, why, "host")


def _writable(key: str) -> bool | None:
    """None if the namespace does not show it."""
    path = sysctl.root() / "net/core" / key
    return bool(path.stat().st_mode & 0o222) if path.exists() else None


def _autotuning(place: MeasuringPlace) -> Iterator[Limit]:
    claim = "autotuning lets a receive buffer grow up to the third number of tcp_rmem while its program reads"
    stays = "the buffer of a program that does not read stays as it was"
    if place.pair is None:
        yield from (_unseen(place, each, None, "namespace") for each in (claim, stays))
        return
    start, most = place.default("tcp_rmem"), place.maximum("tcp_rmem")
    with place.pair.connection(wmem=Triple(4096, 4 << 20, 4 << 20)) as (client, server):
        grown = pumped(client, server, enough=start + 1)
    why = (
        "tcp_rcv_space_adjust(): it doubles what one round trip has brought to the program, if tcp_moderate_rcvbuf is 1"
    )
    yield Limit(claim, None, f"from {start} to {grown}, of {most}", start < grown <= max(start, most), why, "namespace")
    with place.pair.connection(wmem=Triple(4096, 4 << 20, 4 << 20)) as (client, server):
        fill(client)
        left = server.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    why = "so in a freeze the client's receive buffer is as small as on the first day, whatever the third number says"
    yield Limit(stays, None, f"from {start} to {left}", left == start, why, "namespace")


def _sending_grows(place: MeasuringPlace) -> Iterator[Limit]:
    claim = "autotuning lets a send buffer grow up to the third number of tcp_wmem"
    if place.pair is None:
        yield _unseen(place, claim, None, "namespace")
        return
    most = place.maximum("tcp_wmem")
    with place.pair.connection() as (client, server):
        start = client.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        pumped(client, server, enough=1 << 40, limit_s=PUMP_S / 8)
        grown = client.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    why = "tcp_sndbuf_expand(): twice the congestion window, on every acknowledgment that opens it"
    yield Limit(
        claim, None, f"from {start} to {grown}, of {most}", start <= grown <= max(start, most), why, "namespace"
    )


def _fixed_by_option(place: MeasuringPlace) -> Iterator[Limit]:
    claim = "SO_RCVBUF ends autotuning, and tcp_rmem does not bound it"
    if place.pair is None:
        yield _unseen(place, claim, None, "socket")
        return
    ask = min(1 << 18, place.known("rmem_max") or 1 << 18)
    with place.pair.connection(Triple(4096, 8192, 8192), Triple(4096, 4 << 20, 4 << 20), ask) as (client, server):
        start = server.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        left = pumped(client, server, enough=start + 1, limit_s=PUMP_S / 8)
    why = "SOCK_RCVBUF_LOCK: a size that a program has asked for is left alone, for better or worse"
    shown = f"{ask} -> {start} under tcp_rmem '4096 8192 8192', {left} after a load"
    yield Limit(claim, None, shown, start == left == 2 * ask, why, "socket")


def _uncapped(place: MeasuringPlace) -> Iterator[Limit]:
    claim, cap = "net.core.rmem_max does not bound autotuning", place.known("rmem_max")
    if place.pair is None or cap is None:
        yield _unseen(place, claim, None, "host")
        return
    roomy = Triple(4096, max(4096, cap // 2), 8 * cap)
    with place.pair.connection(roomy, Triple(4096, 8 * cap, 8 * cap)) as (client, server):
        grown = pumped(client, server, enough=cap + 1)
    why = "it bounds setsockopt() alone; tcp_rmem's third number bounds autotuning"
    yield Limit(claim, None, f"{grown} under rmem_max {cap}", grown > cap, why, "host")


def _scale(place: MeasuringPlace) -> Iterator[Limit]:
    claim, cap = "net.core.rmem_max sets the window scale, if it is more than tcp_rmem's most", place.known("rmem_max")
    if place.pair is None or cap is None:
        yield _unseen(place, claim, None, "host")
        return
    most = max(4096, cap // 16)
    with place.pair.connection(Triple(4096, 4096, most)) as (client, _):
        (both,) = SCALE.unpack(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, SCALE.size))
    scale, alone = both >> 4, _scale_for(most)
    shown = f"{scale} with rmem_max {cap} and a most of {most}, which alone gives {alone}"
    why = "tcp_select_initial_window() takes the larger, since either may be reached; the SYN settles it for good"
    holds = scale == _scale_for(cap) if _scale_for(cap) != alone else None  # a buffer under 64 KiB needs no scale
    yield Limit(claim, None, shown, holds, why, "host")


def _scale_for(space: int) -> int:
    """The window scale for so many bytes: 0 up to 65535, and at most 14 (RFC 7323, tcp_select_initial_window)."""
    return max(0, min(14, space.bit_length() - 16))


def _unseen(place: MeasuringPlace, claim: str, published: str | None, scope: str) -> Limit:
    why = place.why_no_pair or "this namespace does not show net.core.*: needs the host's"
    return Limit(claim, published, None, None, f"not measured: {why}", scope)


CLAIMS: tuple[Callable[[MeasuringPlace], Iterator[Limit]], ...] = (
    _triples,
    _start,
    _connected_start,
    _core,
    _doubled,
    _minimum,
    _udp,
    _belongs_to_a_namespace,
    _belongs_to_the_host,
    _autotuning,
    _sending_grows,
    _fixed_by_option,
    _uncapped,
    _scale,
)
