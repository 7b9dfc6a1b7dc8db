"""What is intended: everything there is to know about a run before it starts. Pure values, refused when impossible."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from lab.errors import SpecError

T = TypeVar("T")

MAX_PAYLOAD = 1 << 40
"""Bytes. A payload is held by nobody, but a counter beyond a tebibyte is a typing error."""

MAX_BUFFER = 0x7FFFFFFF
"""Bytes: SO_RCVBUF, SO_SNDBUF and the tcp_rmem and tcp_wmem triples are C ints in the kernel."""

MAX_IO_SIZE = 1 << 24
"""Bytes given to one send() or recv() call."""

MIN_CAPTURE_SIZE = 1 << 17
"""Bytes: a capture file holds one frame of 64 KiB at least, and what is written around it."""

MIN_RCVBUF = 2304
"""Bytes: SOCK_MIN_RCVBUF, what the kernel grants to a smaller SO_RCVBUF: 2048 and a struct sk_buff."""

MIN_SNDBUF = 2 * MIN_RCVBUF
"""Bytes: SOCK_MIN_SNDBUF."""

HOST_SYSCTLS = {
    "rmem_max": MIN_RCVBUF,
    "wmem_max": MIN_SNDBUF,
    "rmem_default": MIN_RCVBUF,
    "wmem_default": MIN_SNDBUF,
}
"""The keys of `net.core` that bear on buffers, each with the least that the kernel takes (net_core_table)."""


def refuse_impossible(host_sysctls: Mapping[str, int]) -> None:
    """Raises SpecError for a key that is none of HOST_SYSCTLS, and for a value that the kernel would not take."""
    for key, value in host_sysctls.items():
        if key not in HOST_SYSCTLS:
            known = ", ".join(HOST_SYSCTLS)
            raise SpecError(
                f"host sysctl '{key[:80]}': of net.core there are {known}, for example net.core.rmem_max=131071"
            )
        if not HOST_SYSCTLS[key] <= value <= MAX_BUFFER:
            raise SpecError(
                f"net.core.{key} {value}: needs {HOST_SYSCTLS[key]} to {MAX_BUFFER} bytes, for example 131071"
            )


def refuse_impossible_net(net: str) -> None:
    """Raises SpecError for what is no /24 of which the lab's two hosts could have addresses."""
    octets = net.split(".")
    if len(octets) != 3 or not all(re.fullmatch(r"0|[1-9]\d{0,2}", o, re.ASCII) and int(o) < 256 for o in octets):
        raise SpecError(f"LAB_NET '{net}': needs the first three octets of a /24, for example 198.18.20")
    if int(octets[0]) in (0, 127) or int(octets[0]) > 223:  # this host, loopback, multicast, reserved (RFC 6890)
        raise SpecError(f"LAB_NET '{net}': no two hosts can have such addresses, as they can 198.18.20")


class Role(StrEnum):
    CLIENT = "client"
    SERVER = "server"

    @property
    def peer(self) -> "Role":
        return Role.SERVER if self is Role.CLIENT else Role.CLIENT


@dataclass(frozen=True, slots=True)
class Pair(Generic[T]):
    """The same fact for both sides."""

    client: T
    server: T

    def __getitem__(self, role: Role) -> T:
        return self.client if role is Role.CLIENT else self.server

    def __iter__(self) -> Iterator[T]:
        yield self.client
        yield self.server


class Outcome(StrEnum):
    """What a connection came to: by all evidence in `lab.proof`, by packets alone in `lab.wire.outcome`."""

    DEADLOCK = "deadlock"
    READ_READ = "read-read"
    ONE_SIDED_STALL = "one-sided-stall"
    SLOW_READER = "slow-reader"
    MOVING = "moving"
    COMPLETED = "completed"
    ABORTED = "aborted"
    IDLE = "idle"
    BLACKHOLE = "blackhole"
    LIVELOCK = "livelock"
    SUSPENDED = "suspended"
    INCONCLUSIVE = "inconclusive"


STALLS = (
    Outcome.DEADLOCK,
    Outcome.READ_READ,
    Outcome.LIVELOCK,
    Outcome.ONE_SIDED_STALL,
    Outcome.BLACKHOLE,
    Outcome.SUSPENDED,
    Outcome.INCONCLUSIVE,
)
"""Of connections that stand still, or may; the most urgent first."""


class Grade(StrEnum):
    """How far a `deadlock` is proven. All but CONSISTENT are proofs, each within what it names."""

    PROVEN = "proven"
    PROVEN_CLOSED_WORLD = "proven-closed-world"
    QUALIFIED = "qualified"
    PROVEN_UNTIL = "proven-until"
    CONSISTENT = "consistent"


class Answer(StrEnum):
    """What the server's program answers to each byte; the client checks what it reads against it."""

    UPPER = "upper"
    ECHO = "echo"
    NOTHING = "nothing"


class CaptureMode(StrEnum):
    PROOF = "proof"
    FULL = "full"


class Until(StrEnum):
    """When a run has seen enough: at the verdict, or when the wire has shown one probe of each side too."""

    PROOF = "proof"
    PROBES = "probes"


@dataclass(frozen=True, slots=True)
class Triple:
    """The three numbers of tcp_rmem or tcp_wmem, in bytes: least, default, most (tcp(7))."""

    least: int
    default: int
    most: int

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.default <= self.most <= MAX_BUFFER:
            raise SpecError(
                f"tcp buffer triple '{self}': needs three ascending integers from 1 to {MAX_BUFFER}, "
                "for example '4096 131072 6291456'"
            )

    def __str__(self) -> str:
        return f"{self.least} {self.default} {self.most}"

    @classmethod
    def parse(cls, text: str) -> "Triple":
        try:
            least, default, most = (parse_size(part) for part in text.split())
        except (ValueError, SpecError):
            raise SpecError(
                f"tcp buffer triple '{text}': needs three ascending integers from 1 to {MAX_BUFFER}, "
                "for example '4096 131072 6291456'"
            ) from None
        return cls(least, default, most)


@dataclass(frozen=True, slots=True)
class Buffers:
    """The per-namespace sysctls of one side. None leaves the kernel's own value."""

    tcp_rmem: Triple | None = None
    tcp_wmem: Triple | None = None
    other: Mapping[str, str] = field(default_factory=dict)
    """Further `tcp_*` keys, without the `net.ipv4.` in front, and their values as text."""

    def __post_init__(self) -> None:
        for key in self.other:
            if not re.fullmatch(r"tcp_[a-z0-9_]+", key):
                raise SpecError(f"sysctl '{key}': only keys net.ipv4.tcp_* are per namespace, for example tcp_sack=0")

    @property
    def sysctls(self) -> dict[str, str]:
        """Those that are to be written, by key."""
        triples = {"tcp_rmem": self.tcp_rmem, "tcp_wmem": self.tcp_wmem}
        return {key: str(triple) for key, triple in triples.items() if triple} | dict(self.other)


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """What one side's program asks of its socket before connect() or listen(). None leaves it alone."""

    so_rcvbuf: int | None = None
    so_sndbuf: int | None = None
    nodelay: bool = False
    congestion: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("SO_RCVBUF", self.so_rcvbuf), ("SO_SNDBUF", self.so_sndbuf)):
            if value is not None and not 0 < value <= MAX_BUFFER:
                raise SpecError(f"{name} {value}: needs 1 to {MAX_BUFFER} bytes, for example 65536 or 64KiB")


@dataclass(frozen=True, slots=True)
class Load:
    """What the two programs send, read and answer. Sizes in bytes."""

    payload: int
    send_size: int
    recv_size: int
    server_block: int
    answer: Answer
    paced_s: float = 0.0
    whole_messages: bool = False
    """The client sends no part of a message: the payload is rounded up to a multiple of `send_size`."""

    def __post_init__(self) -> None:
        if not 0 <= self.payload <= MAX_PAYLOAD:
            raise SpecError(f"payload {self.payload}: needs 0 to {MAX_PAYLOAD} bytes (1 TiB), for example 10MiB")
        for name, value in (
            ("send size", self.send_size),
            ("recv size", self.recv_size),
            ("server block", self.server_block),
        ):
            if not 0 < value <= MAX_IO_SIZE:
                raise SpecError(f"{name} {value}: needs 1 to {MAX_IO_SIZE} bytes, for example 4096 or 64KiB")
        if not 0 <= self.paced_s <= 60:
            raise SpecError(f"pace {self.paced_s} s: needs 0 to 60 seconds, for example 3ms")
        if self.whole_messages:
            object.__setattr__(self, "payload", -(-self.payload // self.send_size) * self.send_size)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A play for two programs, with the outcome that it must come to."""

    name: str
    summary: str
    server: str
    """The module of `lab.endpoint.server` that serves."""
    client: str
    """The module of `lab.endpoint.client` that writes."""
    port: int
    load: Load
    expected: Outcome
    buffers: Buffers = Buffers()
    """Sysctls that the scenario runs with unless the user says otherwise."""
    loopback_options: SocketOptions = SocketOptions()
    """What stands in for `buffers` where sysctls cannot be written (see `facts` of SO_RCVBUF: the kernel doubles)."""
    freezes: bool = False
    """Whether enough payload freezes it: then the forecast says which outcomes may be expected."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A limit on every wait. Seconds."""

    run_s: float = 120.0
    """A run that still moves after this is judged as it is."""
    probes_s: float = 10.0
    """How long past the verdict the wire is given to show one probe of each side."""
    still_s: float = 0.5
    """Squeezed buffers were seen to move again after 0.383 s of stillness."""
    barrier_s: float = 20.0
    tick_s: float = 0.001
    """Between two samples of the sockets of a pair that may still move: 1000 a second."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One run, entire."""

    scenario: Scenario
    testbed: str
    remedy: str | None = None
    buffers: Pair[Buffers] = Pair(Buffers(), Buffers())
    options: Pair[SocketOptions] = Pair(SocketOptions(), SocketOptions())
    net: str = "198.18.20"
    """The first three octets of the lab's /24; the server is .10, the client .20."""
    ip: int = 4
    port: int | None = None
    """None: the scenario's, or an ephemeral one on loopback."""
    mtu: int | None = None
    capture: CaptureMode = CaptureMode.PROOF
    snaplen: int = 128
    capture_size: int | None = None
    """Bytes at which the capture goes on in another file. None: it stays in one."""
    until: Until | float = Until.PROBES
    """A float is seconds after the connection: the run is judged then, whatever it does."""
    host_sysctls: Mapping[str, int] = field(default_factory=dict)
    """Keys of HOST_SYSCTLS and their values in bytes, for the whole host while the run lasts."""
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        refuse_impossible_net(self.net)
        if self.ip not in (4, 6):
            raise SpecError(f"ip {self.ip}: needs 4 or 6")
        if self.port is not None and not 0 < self.port < 1 << 16:
            raise SpecError(f"port {self.port}: needs 1 to 65535, for example {self.scenario.port}")
        if self.mtu is not None and not 1280 <= self.mtu <= 65535:
            raise SpecError(f"mtu {self.mtu}: needs 1280 (RFC 8200) to 65535, for example 1500")
        if not 96 <= self.snaplen <= 65535:
            raise SpecError(f"snaplen {self.snaplen}: needs 96 (all headers fit) to 65535, for example 128")
        if self.capture_size is not None and self.capture_size < MIN_CAPTURE_SIZE:
            raise SpecError(f"capture size {self.capture_size}: needs {MIN_CAPTURE_SIZE} at least, for example 100MiB")
        if isinstance(self.until, float) and not 0 < self.until <= 3600:
            raise SpecError(f"until {self.until}: needs proof, probes, or 0 to 3600 seconds, for example 5")
        refuse_impossible(self.host_sysctls)

    def address(self, role: Role) -> str:
        """The address of one side: in 198.18.0.0/15 (RFC 2544), or in 2001:2::/48 (RFC 5180), both for benchmarks."""
        if self.testbed == "loopback":
            return "127.0.0.1" if self.ip == 4 else "::1"
        host = 10 if role is Role.SERVER else 20
        return f"{self.net}.{host}" if self.ip == 4 else f"2001:2::{_hextets(self.net, host)}"


_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*([kmgt]?)(i?b)?", re.IGNORECASE | re.ASCII)  # exact in a float


def parse_size(text: str) -> int:
    """Bytes of '10MiB', '64k', '1.5m' or '4096': k, M, G and T are powers of 1024, as in `tcp_rmem` and SO_RCVBUF."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise SpecError(
            f"size '{text[:80]}': needs a number of bytes with k, M, G or T, for example 4096, 64k or 10MiB"
        )
    size = float(match[1]) * _UNITS[match[2].lower()]
    if size != int(size):
        raise SpecError(f"size '{text}': is not a whole number of bytes, for example 4096, 64k or 10MiB")
    return int(size)


_DURATIONS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|)", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds of '3ms', '200us', '2s' or '2'."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise SpecError(f"duration '{text}': needs a number with us, ms or s, for example 3ms")
    return float(match[1]) * _DURATIONS[match[2]]


def _hextets(net: str, host: int) -> str:
    a, b, c = (int(octet) for octet in net.split("."))
    return f"{a << 8 | b:x}:{c << 8 | host:x}"
