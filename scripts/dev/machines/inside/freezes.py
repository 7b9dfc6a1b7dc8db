"""Pairs of sockets that freeze each other under random settings, followed until it is known what still moves.

Both programs of a pair are played by this process: each writes whatever its socket takes, and reads now and then. Then
nobody reads any more. Whoever waits in send() or poll() would go on when its socket is writable, or when data comes to
it; so these writers do that too.
"""

import fcntl
import os
import random
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import permutations

from lab.evidence import SocketSample
from lab.kernel.place import link, sysctl
from lab.kernel.place.netns import Namespace
from lab.kernel.processes.socket_options import TCP_WINDOW_CLAMP, ProgramOptions, options_of
from lab.kernel.sockets.earlier import EarlierSamples
from lab.kernel.sockets.send_room import max_tcp_header
from lab.kernel.sockets.sock_diag import SocketDiag, join_address
from lab.kernel.sockets.window_share import adv_win_scale_counts
from lab.proof.stack import could_write
from lab.proof.stack.traits import KernelTraits, drops_beyond_window, headers
from lab.spec import Pair
from machines.inside.claims import BLIND, closed_by, closed_if_blind
from machines.inside.followed import Claim, Followed
from machines.inside.settings import HostsSetting, PairSetting

ADDRESSES = Pair(("10.9.0.1/24", "fd09::1/64"), ("10.9.0.2/24", "fd09::2/64"))
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFMTU, IFF_UP = 0x8913, 0x8914, 0x8922, 1
"""netdevice(7)"""
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, TCP_REPAIR_WINDOW = 19, 20, 21, 29
REPAIR_ON, REPAIR_OFF, RECEIVE_QUEUE, NO_QUEUE = 1, -1, 1, 0
"""linux/tcp.h; REPAIR_OFF sends no probe."""
CONNECT_S = 10.0
ACTIVE_S = (0.2, 0.6, 1.2)
READ_SHARES = (0.0, 0.02, 0.1, 0.3)
DOWN_S = (0.0, 0.1, 0.5)
WATCH_S = 2.6
"""The persist timer asks 0.2, 0.6 and 1.4 s after the last data: three answers."""


@dataclass(slots=True)
class End:
    """A connected socket of this process, and how its program uses it."""

    socket: socket.socket
    diag: SocketDiag
    writes: int
    reads: int
    options: ProgramOptions
    local: str
    remote: str
    history: EarlierSamples = field(default_factory=EarlierSamples)
    received: int = 0
    """As the last sample showed it."""
    woken: bool = False
    """Data has come to it since the sample before, and has found room for a write (sk_stream_memory_free())."""


@dataclass(slots=True)
class FollowedPair:
    """Two ends, and the directions from the client and from the server."""

    setting: PairSetting
    ends: tuple[End, End]
    followed: tuple[Followed, Followed] = (Followed(0), Followed(0))
    seen: tuple[SocketSample, ...] = ()
    """The last samples: of the client, of the server."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one pair when nobody had read for WATCH_S."""

    setting: PairSetting
    hosts: HostsSetting
    directions: tuple[Followed, ...]
    still: bool
    """Nothing has moved at the end, and both programs have something to send."""
    unproven: tuple[str, ...]
    """Why a writer may go on, of each direction that is called so at the end."""
    seen: tuple[SocketSample, ...]
    sweep_ms: float
    """How long it took to sample and judge all pairs once."""

    @property
    def frozen(self) -> bool:
        """Behind an open window TCP goes on by itself, be it seconds later (the persist timer)."""
        return self.still and not any(each.window_open for each in self.directions)


def played(hosts: HostsSetting, pairs: Sequence[PairSetting], rounds: int, rnd: random.Random) -> Iterator[Result]:
    """So many times: all pairs write and read, then nobody reads any more."""
    with ExitStack() as stack:
        namespaces = stack.enter_context(_laid(hosts))
        diags = Pair(*map(SocketDiag, namespaces))
        for diag in diags:
            stack.callback(diag.close)
        connected = [stack.enter_context(_connected(each, hosts, namespaces, diags)) for each in pairs]
        kernel = _kernel(hosts, namespaces, connected)
        for _ in range(rounds):
            _act(connected, rnd)
            yield from _watch(connected, hosts, namespaces, kernel, rnd)


@contextmanager
def _laid(hosts: HostsSetting) -> Iterator[Pair[Namespace]]:
    with ExitStack() as stack:
        client = stack.enter_context(Namespace.create())
        server = client if hosts.loopback else stack.enter_context(Namespace.create())
        namespaces = Pair(client, server)
        if hosts.loopback:
            client.call(_set_mtu, "lo", hosts.mtu)
            client.call(_set_up, "lo", up=True)
        else:
            link.join(client, server, hosts.mtu)
            for namespace, (ipv4, ipv6) in zip(namespaces, ADDRESSES, strict=True):
                link.bring_up(namespace, (ipv4, ipv6) if hosts.mtu >= 1280 and not hosts.goes_down else (ipv4,))
        for namespace in set(namespaces):
            there = sysctl.read(namespace, hosts.sysctls)
            sysctl.write(namespace, {key: hosts.sysctls[key] for key in there})
        yield namespaces


def _set_up(name: str, *, up: bool) -> None:
    with socket.socket() as any_socket:
        request = struct.pack("16sh14x", name.encode(), 0)
        (flags,) = struct.unpack_from("16xh", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))
        flags = flags | IFF_UP if up else flags & ~IFF_UP
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", name.encode(), flags))


def _set_mtu(name: str, mtu: int) -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFMTU, struct.pack("16si12x", name.encode(), mtu))


@contextmanager
def _connected(
    setting: PairSetting, hosts: HostsSetting, namespaces: Pair[Namespace], diags: Pair[SocketDiag]
) -> Iterator[FollowedPair]:
    family = socket.AF_INET if setting.ip == 4 else socket.AF_INET6
    own = {4: "127.0.0.1", 6: "::1"} if hosts.loopback else dict(zip((4, 6), ADDRESSES.server, strict=True))
    address = own[setting.ip].partition("/")[0]
    with (
        namespaces.server.call(socket.socket, family) as listener,
        namespaces.client.call(socket.socket, family) as here,
    ):
        _set_options(listener, setting, server=True)
        _set_options(here, setting, server=False)
        listener.bind((address, 0))
        listener.listen(1)
        here.settimeout(CONNECT_S)
        here.connect(listener.getsockname()[:2])
        with listener.accept()[0] as there:
            numbers = zip((here, there), diags, setting.writes, setting.reads, setting.nodelay, strict=True)
            client, server = (_end(*each) for each in numbers)
            yield FollowedPair(setting, (client, server))


def _end(connected: socket.socket, diag: SocketDiag, writes: int, reads: int, nodelay: bool) -> End:
    connected.setblocking(False)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, nodelay)
    options = options_of(os.getpid(), connected.fileno())
    if isinstance(options, str):
        raise OSError(options)
    local, remote = (
        join_address(socket.inet_pton(connected.family, name[0]), name[1])
        for name in (connected.getsockname(), connected.getpeername())
    )
    return End(connected, diag, writes, reads, options, local, remote)


def _set_options(end: socket.socket, setting: PairSetting, *, server: bool) -> None:
    rcvbuf, sndbuf = list(setting.rcvbuf)[server], list(setting.sndbuf)[server]
    asked = {(socket.SOL_SOCKET, socket.SO_RCVBUF): rcvbuf, (socket.SOL_SOCKET, socket.SO_SNDBUF): sndbuf}
    if server:
        asked[socket.IPPROTO_TCP, TCP_WINDOW_CLAMP] = setting.clamp
        asked[socket.IPPROTO_TCP, socket.TCP_MAXSEG] = setting.segment
    for (level, option), value in asked.items():
        if value is not None:
            end.setsockopt(level, option, value)


def _kernel(hosts: HostsSetting, namespaces: Pair[Namespace], pairs: Sequence[FollowedPair]) -> KernelTraits:
    """What `lab run` would know of this kernel, these hosts, and its own programs."""
    limits = [sysctl.read(each, ("tcp_wmem",))["tcp_wmem"].split()[2] for each in namespaces]
    ends = [each for pair in pairs for each in zip(pair.ends, pair.setting.sndbuf, strict=True)]
    inodes = {os.fstat(end.socket.fileno()).st_ino: sndbuf for end, sndbuf in ends}
    scale = int(hosts.sysctls["tcp_adv_win_scale"])
    return KernelTraits(
        wmem_max=max(map(int, limits)),
        max_tcp_headers=headers(max_tcp_header()),
        drops_beyond_window=drops_beyond_window(os.uname().release),
        adv_win_scale_of=dict.fromkeys(inodes, scale) if adv_win_scale_counts() else {},
        sndbuf_set=frozenset(inode for inode, sndbuf in inodes.items() if sndbuf is not None),
    )


def _act(pairs: Sequence[FollowedPair], rnd: random.Random) -> None:
    """Everybody writes, and reads now and then."""
    share, end = rnd.choice(READ_SHARES), time.monotonic() + rnd.choice(ACTIVE_S)
    while time.monotonic() < end:
        for each in (end for pair in pairs for end in pair.ends):
            _write(each)
            if rnd.random() < share:
                _read(each)


def _write(end: End) -> bool:
    try:
        return end.socket.send(bytes(end.writes)) > 0
    except BlockingIOError:
        return False


def _read(end: End) -> None:
    with suppress(BlockingIOError):
        end.socket.recv(end.reads)


def _watch(
    pairs: Sequence[FollowedPair],
    hosts: HostsSetting,
    namespaces: Pair[Namespace],
    kernel: KernelTraits,
    rnd: random.Random,
) -> Iterator[Result]:
    if hosts.goes_down:
        namespaces.client.call(_set_up, link.INTERFACE, up=False)
    for pair in pairs:
        if rnd.random() < 0.4:  # windows that open at the last moment
            _read(rnd.choice(pair.ends))
    began_ms = now_ms()
    for pair in pairs:
        pair.followed = Followed(began_ms), Followed(began_ms)
    up_ms = began_ms + 1000 * rnd.choice(DOWN_S) if hosts.goes_down else None
    sweeps = 0
    while now_ms() - began_ms < 1000 * WATCH_S:
        if up_ms and now_ms() > up_ms:
            namespaces.client.call(_set_up, link.INTERFACE, up=True)
            up_ms = None
        for pair in pairs:
            _follow(pair, kernel, rnd)
        sweeps += 1
    end_ms = now_ms()
    for pair in pairs:
        _compare_with_true_windows(pair)
        still = all(each.is_still(end_ms) for each in pair.followed)
        sweep_ms = (end_ms - began_ms) / sweeps
        yield Result(pair.setting, hosts, pair.followed, still, tuple(_unproven(pair, kernel)), pair.seen, sweep_ms)


def _unproven(pair: FollowedPair, kernel: KernelTraits) -> Iterator[str]:
    for followed, (sender, peer) in zip(pair.followed, permutations(pair.seen), strict=True):
        if followed.blocked_ms is None:
            yield could_write(sender, peer, kernel).reason.why.name


def now_ms() -> float:
    return time.monotonic_ns() / 1e6


def _follow(pair: FollowedPair, kernel: KernelTraits, rnd: random.Random) -> None:
    """One sample of both ends, in any order, and what is claimed by it."""
    _go_on(pair)
    taken = {number: _sample(pair.ends[number]) for number in rnd.sample((0, 1), 2)}
    pair.seen = taken[0], taken[1]
    at_ms = now_ms()
    directions = list(zip(pair.followed, permutations(pair.seen), strict=True))
    for followed, (sender, peer) in directions:
        followed.see(at_ms, sender, peer)
        followed.claim(at_ms, _claims(followed, sender, peer, kernel))
    if any(end.woken for end in pair.ends) or all(each.blocked_ms is not None for each in pair.followed):
        return
    # A writer that goes on may bring its peer data: the claim is that neither does.
    rulings = [could_write(sender, peer, kernel) for _, (sender, peer) in directions]
    if all(ruling.excluded for ruling in rulings):
        for followed, ruling in zip(pair.followed, rulings, strict=True):
            followed.claim(at_ms, (Claim(str(ruling.argument), of_writer=True),))


def _go_on(pair: FollowedPair) -> None:
    """A blocked writer goes on if a third is free, or if data has woken it and it finds any room."""
    writable = select.select((), [end.socket for end in pair.ends], (), 0)[1]
    for end in pair.ends:
        if end.socket in writable or end.woken:
            while _write(end):
                pass


def _sample(end: End) -> SocketSample:
    sample = end.diag.sample(None, end.local, end.remote)
    assert sample is not None
    came, end.received = sample.bytes_received != end.received, sample.bytes_received
    end.woken = came and sample.wmem_queued < sample.sndbuf
    return replace(
        end.history.added_to(sample),
        user_timeout_ms=end.options.user_timeout_ms,
        sndbuf_locked=end.options.sndbuf_locked,
        rcvbuf_locked=end.options.rcvbuf_locked,
        window_clamp=end.socket.getsockopt(socket.IPPROTO_TCP, TCP_WINDOW_CLAMP),
        notsent_lowat=end.options.notsent_lowat,
        ulp=sample.ulp or end.options.ulp,
    )


def _compare_with_true_windows(pair: FollowedPair) -> None:
    """What was claimed closed, and is not, is refuted although nothing has come through yet."""
    for followed, peer in zip(pair.followed, reversed(pair.ends), strict=True):
        if _true_window(peer.socket) > 0:
            followed.opened()


def _true_window(end: socket.socket) -> int:
    """What it offers at this moment. That stops the socket for a moment, so the lab must not ask so."""
    tcp = socket.IPPROTO_TCP
    end.setsockopt(tcp, TCP_REPAIR, REPAIR_ON)
    try:
        window, acknowledged = struct.unpack("=12xII", end.getsockopt(tcp, TCP_REPAIR_WINDOW, 20))
        end.setsockopt(tcp, TCP_REPAIR_QUEUE, RECEIVE_QUEUE)
        received = end.getsockopt(tcp, TCP_QUEUE_SEQ) & 0xFFFFFFFF
        end.setsockopt(tcp, TCP_REPAIR_QUEUE, NO_QUEUE)
    finally:
        end.setsockopt(tcp, TCP_REPAIR, REPAIR_OFF)
    left = (acknowledged + window - received) & 0xFFFFFFFF
    return 0 if left >= 1 << 31 else left


def _claims(followed: Followed, sender: SocketSample, peer: SocketSample, kernel: KernelTraits) -> Iterator[Claim]:
    yield from map(Claim, closed_by(sender, peer, kernel))
    for condition in BLIND:
        if Claim(condition) not in followed.claims and closed_if_blind(condition, sender, peer, kernel):
            yield Claim(condition)
