"""How much a pair of programs can write before it must freeze, from the settings alone. Pure.

The two programs fill four buffers in turn: the client's receive buffer, then the server's send buffer (the server
stops), then the server's receive buffer and the client's send buffer (the client stops). How many payload bytes fit
is not one number: every queued segment is charged with its bookkeeping, windows close early, autotuning grows. So the
forecast is an interval. It was right in all of 1545 grid runs, 719 repetitions and 120 runs of the published cases.
A point is given only if all four buffers are fixed (then 5 % off in the median, up to 31 % in 95 of 100 runs).

The constants are those of Linux 6.18 on x86-64; the kernel guarantees none of them. A kernel with wireless drivers has
a larger MAX_TCP_HEADER. It starts with larger send buffers (87040 bytes instead of 46080 at MTU 1500), which only makes
the low bound more careful, and charges 64 bytes more for a segment, which matters only in buffers of a few KiB.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from lab.evidence import Settings
from lab.spec import MIN_RCVBUF, MIN_SNDBUF, Buffers, Load, Outcome, Pair, Role, Spec

SK_BUFF = 256
"""Bytes: SKB_DATA_ALIGN(sizeof(struct sk_buff))."""

SHARED_INFO = 320
"""Bytes: SKB_DATA_ALIGN(sizeof(struct skb_shared_info))."""

MAX_TCP_HEADER = 256
"""Bytes reserved for the headers of every segment, without CONFIG_WLAN (320 with it)."""

SKB_OVERHEAD = SK_BUFF + SHARED_INFO + MAX_TCP_HEADER
"""Bytes charged to the send buffer for each queued segment, its payload aside: 832, exact in 1545 of 1545 runs."""

MAX_SKB_FRAGS = 17
"""Pieces of payload that one segment can hold. In the worst case each piece is one small message."""

GSO_MAX_SIZE = 65536
"""Bytes of the largest segment handed to a device at once; a last segment may overshoot the send buffer by less."""

INIT_CWND = 10
"""Segments: RFC 6928, TCP_INIT_CWND."""

SMALLEST_FRAME = 128
"""Bytes: with 16-byte messages another stall, not this deadlock, was seen in 22 of 308 runs; from 128 on in none."""

_TIMESTAMP_OPTION = 12
_MSS_FLOOR = 68

SYSCTLS = ("tcp_rmem", "tcp_wmem", "tcp_moderate_rcvbuf", "tcp_congestion_control", "tcp_timestamps")
"""The keys of net.ipv4 that a forecast depends on."""

Estimate: TypeAlias = tuple[int, int, int]
"""Low, point, high."""


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes. `low` and `high` are None if a setting is unknown or the scenario cannot freeze; `point` more often."""

    low: int | None
    point: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Where the freeze must come; `reason` says why there is a point or none, and what limits the forecast."""

    client_accepted: Range
    server_processed: Range
    reason: str


NOTHING_FORECAST = Forecast(Range(None, None, None), Range(None, None, None), "nobody planned this connection")
"""Of programs whose plan is not known."""


@dataclass(frozen=True, slots=True)
class _Buffer:
    """The size of one kernel buffer, in bytes as charged."""

    initial: int
    """When the connection opens; the minimum, if that is not known."""
    maximum: int
    """At any time."""
    loose: str | None
    """Why it may differ from `initial`; None for a fixed one."""


def forecast(spec: Spec, settings: Pair[Settings | None], core: Mapping[str, str]) -> Forecast:
    """`settings` as read back after tuning; `core` holds rmem_max and wmem_max. A missing key is no error.

    If a buffer is not known at all there are no bounds. SO_* under an unknown cap gives wide bounds, which still hold.
    """
    if not spec.scenario.freezes:
        return _without_bounds(f"no amount of payload freezes scenario '{spec.scenario.name}'")
    receive = Pair(*(_receive_buffer(spec, settings, core, role) for role in Role))
    send = Pair(*(_send_buffer(spec, settings, core, role) for role in Role))
    if unknown := [text for text in (*receive, *send) if isinstance(text, str)]:
        return _without_bounds(f"no bounds without {', '.join(unknown)}")
    known = [buffer for buffer in (*receive, *send) if isinstance(buffer, _Buffer)]
    client, server = _bounds(spec, Pair(known[0], known[1]), Pair(known[2], known[3]), _size_goal(spec, settings))
    fixed = all(buffer.loose is None for buffer in known)
    return Forecast(_range(client, fixed), _range(server, fixed), _reason(spec, known))


def most_buffered(spec: Spec, settings: Pair[Settings | None], core: Mapping[str, str]) -> int | None:
    """Bytes that the four buffers can hold together, as charged; None if a setting is not known."""
    four = [side(spec, settings, core, role) for side in (_receive_buffer, _send_buffer) for role in Role]
    known = [buffer.maximum for buffer in four if isinstance(buffer, _Buffer)]
    return sum(known) if len(known) == len(four) else None


def expected(spec: Spec, forecast: Forecast) -> tuple[Outcome, ...]:
    """The outcomes that this run may have: one, or either of two if the payload lies between the bounds."""
    if not spec.scenario.freezes:
        return (spec.scenario.expected,)
    size, bounds = spec.scenario.load.send_size, forecast.client_accepted
    payload = -(-spec.scenario.load.payload // size) * size
    if bounds.low is not None and payload <= bounds.low:
        return (Outcome.COMPLETED,)
    if bounds.high is not None and payload > bounds.high:
        return (spec.scenario.expected,)
    return (Outcome.COMPLETED, spec.scenario.expected)


def in_words(forecast: Forecast) -> str:
    bounds = forecast.client_accepted
    if bounds.low is None or bounds.high is None:
        return forecast.reason
    text = f"up to {bounds.low} bytes this can never freeze; beyond {bounds.high} it never completes"
    return text if bounds.point is None else f"{text}; it should freeze near {bounds.point}"


def tuned(settings: Settings, buffers: Buffers) -> Settings:
    """The settings of a namespace as they would be read back if `buffers` were written: to forecast without a run."""
    return replace(settings, sysctls=settings.sysctls | buffers.sysctls)


def _bounds(spec: Spec, receive: Pair[_Buffer], send: Pair[_Buffer], goal: int) -> tuple[Estimate, Estimate]:
    """What the client's kernel has accepted, and what the server has read, when both are stuck."""
    load = spec.scenario.load
    server_low = _surely_received(receive.client, load) + _surely_sent(send.server, receive.client, goal)
    client_low = server_low + _surely_sent(send.client, receive.server, goal)
    server_point = _likely(send.server, receive.client, goal)
    client_point = server_point + _likely(send.client, receive.server, goal)
    server_high = receive.client.maximum + send.server.maximum + GSO_MAX_SIZE + load.server_block
    client_high = server_high + receive.server.maximum + send.client.maximum + GSO_MAX_SIZE
    return (int(client_low), int(client_point), client_high), (int(server_low), int(server_point), server_high)


def _surely_received(receive: _Buffer, load: Load) -> float:
    """The first window offered, about half of the buffer, can always be filled; small messages fill less of it."""
    payload = MAX_SKB_FRAGS * min(load.send_size, load.server_block)
    return receive.initial / 2 * payload / (payload + SKB_OVERHEAD)


def _surely_sent(send: _Buffer, peer_receive: _Buffer, goal: int) -> float:
    """A blocked writer is woken only below two thirds (sk_stream_is_writeable), so it may freeze there."""
    payload = _segment_payload(peer_receive, goal)
    return 2 / 3 * send.initial * payload / (payload + SKB_OVERHEAD)


def _likely(send: _Buffer, peer_receive: _Buffer, goal: int) -> float:
    """Both buffers are full: a receiver closes its window on the last sixteenth (__tcp_select_window)."""
    payload = _segment_payload(peer_receive, goal)
    return 15 / 16 * peer_receive.initial + max(send.initial * payload / (payload + SKB_OVERHEAD), payload)


def _segment_payload(peer_receive: _Buffer, goal: int) -> float:
    """Half of the peer's largest window (tcp_bound_to_half_wnd), which opens at half of its buffer."""
    return max(_MSS_FLOOR, min(goal, peer_receive.initial / 4))


def _receive_buffer(spec: Spec, settings: Pair[Settings | None], core: Mapping[str, str], role: Role) -> _Buffer | str:
    """The buffer that received segments are charged to; else the name of the setting that is not known."""
    asked = spec.options[role].so_rcvbuf
    if asked is not None:
        return _asked_buffer("SO_RCVBUF", asked, core, "rmem_max", MIN_RCVBUF)
    triple = _triple(settings[role], "tcp_rmem")
    if triple is None:
        return f"the {role}'s tcp_rmem"
    default, maximum = triple
    fixed = default >= maximum or _sysctl(settings[role], "tcp_moderate_rcvbuf") == "0"
    loose = None if fixed else f"receive buffers from {default} up to {maximum} (tcp_rmem)"
    return _Buffer(default, max(default, maximum), loose)


def _send_buffer(spec: Spec, settings: Pair[Settings | None], core: Mapping[str, str], role: Role) -> _Buffer | str:
    """The buffer that unacknowledged segments are charged to; else the name of the setting that is not known.

    A connected socket does not start with the default of tcp_wmem: tcp_sndbuf_expand() raises it at once to two initial
    windows of segments (three under bbr), 46080 bytes at MTU 1500 and 2626560 on loopback, exact in 1545 runs.
    """
    asked = spec.options[role].so_sndbuf
    if asked is not None:
        return _asked_buffer("SO_SNDBUF", asked, core, "wmem_max", MIN_SNDBUF)
    triple = _triple(settings[role], "tcp_wmem")
    if triple is None:
        return f"the {role}'s tcp_wmem"
    default, maximum = triple
    congestion = spec.options[role].congestion or _sysctl(settings[role], "tcp_congestion_control")
    expanded = (3 if congestion == "bbr" else 2) * INIT_CWND * _charge_per_segment(_mss(spec, settings))
    initial = min(expanded, maximum) if default < expanded else default
    loose = None if default == maximum else f"send buffers from {initial} up to {maximum} (tcp_wmem)"
    return _Buffer(min(initial, maximum), max(default, initial, maximum), loose)


def _asked_buffer(name: str, asked: int, core: Mapping[str, str], cap: str, minimum: int) -> _Buffer:
    """sock_setsockopt(): the value or the cap of net.core, whichever is smaller, doubled; never under the minimum."""
    granted = max(minimum, 2 * asked)
    if cap not in core:
        return _Buffer(minimum, granted, f"{name} from {minimum} up to {granted} (net.core.{cap} is not known)")
    granted = max(minimum, 2 * min(asked, int(core[cap])))
    return _Buffer(granted, granted, None)


def _charge_per_segment(mss: int) -> int:
    """tcp_sndbuf_expand(): 2304 bytes at MTU 1500, 16640 at 9000, 131328 on loopback."""
    return _roundup_pow_of_two(mss + MAX_TCP_HEADER + SHARED_INFO) + SK_BUFF


def _roundup_pow_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()


def _mss(spec: Spec, settings: Pair[Settings | None]) -> int:
    """The MSS option of the SYN (ipv4_default_advmss, ip6_default_advmss); the smaller of the two sides."""
    default = spec.mtu or (65536 if spec.testbed == "loopback" else 1500)
    mtu = min(side.mtu if side else default for side in settings)
    return min(mtu, 0xFFFF) - 40 if spec.ip == 4 else mtu - 60


def _size_goal(spec: Spec, settings: Pair[Settings | None]) -> int:
    """tcp_xmit_size_goal(): whole segments up to the GSO limit: 65160 at MTU 1500, 62636 at 9000, 65483 on loopback."""
    timestamps = all(_sysctl(side, "tcp_timestamps") != "0" for side in settings)
    mss = _mss(spec, settings) - (_TIMESTAMP_OPTION if timestamps else 0)
    return max(1, (GSO_MAX_SIZE - MAX_TCP_HEADER - 1) // mss) * mss


def _sysctl(settings: Settings | None, key: str) -> str | None:
    return settings.sysctls.get(key) if settings else None


def _triple(settings: Settings | None, key: str) -> tuple[int, int] | None:
    """Default and maximum. The kernel accepts and prints descending triples too, so `lab.spec.Triple` does not fit."""
    text = _sysctl(settings, key)
    if text is None:
        return None
    _, default, maximum = (int(part) for part in text.split())
    return default, maximum


def _range(estimate: Estimate, fixed: bool) -> Range:
    low, point, high = estimate
    return Range(low, point if fixed else None, high)


def _without_bounds(reason: str) -> Forecast:
    nothing = Range(None, None, None)
    return Forecast(nothing, nothing, reason)


def _reason(spec: Spec, buffers: list[_Buffer]) -> str:
    reason = "a point, since all four buffers are fixed: 5 % off in the median, up to 31 % in 95 of 100 runs"
    if loose := dict.fromkeys(buffer.loose for buffer in buffers if buffer.loose):
        reason = f"no point, since not all four buffers are fixed: {', '.join(loose)}"
    if spec.scenario.load.send_size < SMALLEST_FRAME:
        reason += (
            f"; with messages under {SMALLEST_FRAME} bytes another stall, which is not this deadlock and not in these "
            "bounds, came in 7 of 100 runs"
        )
    return reason
