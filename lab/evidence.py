"""What was observed. Values as the kernel, the programs and the wire gave them; nothing here is a conclusion.

Times are CLOCK_REALTIME in nanoseconds since the epoch. A fact that could not be read is None, never 0.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter
from typing import Final

from lab.spec import Pair, Role, Spec
from lab.tcp.connection import ProbeKind

UNKNOWN: Pair[int | None] = Pair(None, None)


@dataclass(frozen=True, slots=True)
class EarlierSample:
    """What an earlier sample of a socket showed; the names are those of `SocketSample`."""

    time_ns: int
    bytes_acked: int
    bytes_received: int
    rqueue: int
    wqueue: int
    unacked: int
    snd_wnd: int | None
    rcv_wnd: int | None
    snd_mss: int
    rmem_alloc: int
    rcvbuf: int
    wmem_queued: int
    sndbuf: int
    drops: int


@dataclass(frozen=True, slots=True)
class SocketSample:
    """One TCP socket, as inet_diag gave it; names as in inet_diag, tcp_info and skmeminfo. Sizes in bytes."""

    time_ns: int
    role: Role | None
    """Whose end it is; None for a connection that is neither of the pair's."""
    cookie: int
    inode: int
    local: str
    remote: str
    state: str
    """The RFC 9293 name: ESTABLISHED, CLOSE-WAIT, ..."""
    timer: str
    """none, on (retransmit), keepalive, timewait or persist, as `ss` says."""
    expires_ms: int
    rqueue: int
    wqueue: int
    backoff: int
    probes: int
    unacked: int
    notsent_bytes: int
    bytes_acked: int
    bytes_received: int
    snd_wnd: int | None
    """tcpi_snd_wnd, since Linux 5.4."""
    rcv_wnd: int | None
    """tcpi_rcv_wnd, since Linux 6.2."""
    snd_mss: int
    rcv_mss: int
    snd_cwnd: int
    reordering: int
    rto_us: int
    last_data_sent_ms: int
    last_ack_recv_ms: int
    rmem_alloc: int
    rcvbuf: int
    sndbuf: int
    wmem_queued: int
    backlog: int
    drops: int
    send_timeout_ns: int | None = None
    """SO_SNDTIMEO: 0 is none. A blocked send ends by itself then."""
    receive_timeout_ns: int | None = None
    """SO_RCVTIMEO, likewise."""
    user_timeout_ms: int | None = None
    """TCP_USER_TIMEOUT: the kernel gives the connection up after it, probes answered or not; 0 is none."""
    rcv_wscale: int | None = None
    """tcpi_rcv_wscale: the shift of the windows that this end advertises."""
    congestion: str | None = None
    """INET_DIAG_CONG: bbr lets the send buffer grow half as far again as the others do."""
    sndbuf_locked: bool | None = None
    """SO_BUF_LOCK: SO_SNDBUF was set, so that autotuning leaves the send buffer alone."""
    rcvbuf_locked: bool | None = None
    """Likewise SO_RCVBUF, before the connection or at any time since."""
    advmss: int | None = None
    """tcpi_advmss: the MSS that this end has announced to its peer."""
    ca_state: int | None = None
    """tcpi_ca_state: 0 is open, neither in recovery nor after a loss."""
    pacing_rate: int | None = None
    """tcpi_pacing_rate, in bytes a second; all ones: not paced."""
    ulp: str | None = None
    """TCP_ULP: what lies above TCP in the kernel and moves data by itself (tls, mptcp); empty: nothing."""
    error_queue: str | None = None
    """The options by which something may come to its error queue and wake its thread (SO_TIMESTAMPING, IP_RECVERR,
    SO_ZEROCOPY); empty: none."""
    notsent_lowat: int | None = None
    """TCP_NOTSENT_LOWAT: a write waits while as much is not yet sent; 0: as the sysctl of its namespace says."""
    window_clamp: int | None = None
    """TCP_WINDOW_CLAMP: the largest window that this end offers."""
    segs_in: int | None = None
    """tcpi_segs_in: segments that have come, probes and pure acknowledgments as well."""
    last_data_recv_ms: int | None = None
    """tcpi_last_data_recv: how long ago the last data came."""
    rtt_us: int | None = None
    """tcpi_rtt, smoothed."""
    rttvar_us: int | None = None
    """tcpi_rttvar."""
    earlier: tuple[EarlierSample, ...] | None = None
    """Of the samples before this one those that can matter, oldest first. None: nobody has kept any."""

    @property
    def app_progress(self) -> tuple[int, int]:
        """Bytes that its program has written, and read. A SYN and a FIN may count as one each."""
        return self.bytes_acked + self.wqueue, self.bytes_received - self.rqueue

    @property
    def tcp_progress(self) -> tuple[int, int]:
        """Bytes that the peer has acknowledged, and that have been received. A SYN and a FIN may count as one each."""
        return self.bytes_acked, self.bytes_received

    @property
    def state_key(self) -> tuple[object, ...]:
        """Two samples of one socket show the same state if this is equal: all that inet_diag tells but clocks.

        A probe raises `backoff`: that is another state. Options of the program are left out: not every sample has them.
        """
        return _STATE(self)


_STATE: Callable[[SocketSample], tuple[object, ...]] = attrgetter(
    "state", "timer", "cookie", "inode", "rqueue", "wqueue", "backoff", "unacked", "notsent_bytes", "bytes_acked",
    "bytes_received", "snd_wnd", "rcv_wnd", "snd_mss", "rcv_mss", "advmss", "rcv_wscale", "snd_cwnd", "reordering",
    "ca_state", "congestion", "pacing_rate", "rto_us", "rtt_us", "rttvar_us", "rmem_alloc", "rcvbuf", "sndbuf",
    "wmem_queued", "backlog", "drops",
)  # fmt: skip


class ResourceKind(StrEnum):
    """What a descriptor may refer to, or a wait be for; beside each, what the `id` of such a resource is."""

    SOCKET = "socket"
    """The inode of a TCP socket."""
    LISTENER = "listener"
    """The inode of a TCP socket in LISTEN."""
    UNIX = "unix"
    """The inode of a Unix socket."""
    PIPE = "pipe"
    """Its inode."""
    EVENTFD = "eventfd"
    """`eventfd-id` of its fdinfo."""
    PROCESS = "process"
    """A PID."""
    TIMERFD = "timerfd"
    """`PID/FD`, as of the three that follow: nothing tells two of them apart but where they are."""
    SIGNALFD = "signalfd"
    INOTIFY = "inotify"
    EPOLL = "epoll"
    OTHER = "other"
    """Words: nobody knows who wakes those that wait for it."""


_NUMBERED = frozenset(
    {
        ResourceKind.SOCKET, ResourceKind.LISTENER, ResourceKind.UNIX, ResourceKind.PIPE, ResourceKind.EVENTFD,
        ResourceKind.PROCESS,
    }
)  # fmt: skip


class Resource:
    """What a descriptor refers to, or what a wait is for: the same value in every table.

    In messages and in the files of a run it is the text `kind:id`. It computes its hash once, since a snapshot makes a
    thousand of them and looks them up again and again.
    """

    __slots__ = ("_hash", "id", "kind")

    def __init__(self, kind: ResourceKind, id: int | str) -> None:  # noqa: A002 - it is called so
        self.kind: Final = kind
        self.id: Final = id
        self._hash: Final = hash((kind, id))

    @classmethod
    def socket(cls, inode: int) -> "Resource":
        """A connected TCP socket."""
        return cls(ResourceKind.SOCKET, inode)

    @classmethod
    def process(cls, pid: int) -> "Resource":
        return cls(ResourceKind.PROCESS, pid)

    @classmethod
    def parse(cls, text: str) -> "Resource":
        """The reverse of `str`. Raises ValueError."""
        kind, _, name = text.partition(":")
        known = ResourceKind(kind)
        return cls(known, int(name) if known in _NUMBERED else name)

    @property
    def number(self) -> int:
        """The inode or the PID that it is known by."""
        assert isinstance(self.id, int), self
        return self.id

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    def __repr__(self) -> str:
        return f"Resource({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resource) and self.kind is other.kind and self.id == other.id

    def __hash__(self) -> int:
        return self._hash


class Wants(StrEnum):
    """What a wait on a resource is for."""

    WRITE = "write"
    READ = "read"
    ACCEPT = "accept"
    WAKE = "wake"
    """A futex: some other thread of the process (`process:PID`) must call."""
    END = "end"
    """wait4 and its kin: a child (`process:PID`) must end."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that would end a wait."""

    resource: Resource
    wants: Wants
    edge: bool = False
    """Edge-triggered: fires at the next change only, whatever the present state is."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What a thread inside a system call waits for: any one of `items`, or the deadline."""

    call: str
    items: tuple[Item, ...]
    deadline_ns: int | None = None
    """The wait ends by itself then. None: it has no time limit, unless `timed` says that it has one."""
    timed: bool = False
    """Whether there is a time limit. With no `deadline_ns` the limit could not be dated: it may end at any moment."""
    unknown: str | None = None
    """What could not be read or is not understood: whoever waits so must be taken to be live."""
    presumed: bool = False
    """The deadline is counted from when it slept last, which need not be when the call began."""


@dataclass(frozen=True, slots=True)
class ThreadSample:
    """One thread of a program that holds the connection, as /proc gave it."""

    time_ns: int
    role: Role | None
    """Whose program it is part of; None where that is not known (`watch`)."""
    pid: int
    tid: int
    comm: str
    state: str | None
    """The letter of /proc/T/status: R, S, D, T, ..."""
    syscall: str | None
    """The name of the system call it is in ('sendto'), 'running', or 'syscall-N' for one that we do not name."""
    args: tuple[int, ...]
    socket_inode: int | None
    """The inode of the socket behind the first argument, where that is a descriptor of a socket."""
    switches: int | None
    """Voluntary plus involuntary context switches: unchanged between two reads means that it did not run."""
    wait: Wait | None = None
    """None: not read; `missing` of its process says why."""
    suspended: str | None = None
    """'stopped' (SIGSTOP), 'traced by PID COMM' or 'frozen' (a cgroup freezer): it shows a call, and is not in it."""


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """One process that holds, or could wake somebody who holds, the connection: its descriptors and its alarms."""

    time_ns: int
    pid: int
    parent: int
    comm: str
    container: str | None
    """The name of its container, where that was asked for and found."""
    resources: tuple[Resource, ...] | None
    """What its descriptors refer to, without repetition. None: the table is unreadable."""
    catches_alarm: bool | None
    """A handler for SIGALRM: setitimer() and alarm() are invisible, so it may wake up by one."""
    posix_timers: int | None
    """Lines of /proc/PID/timers."""
    io_uring: bool
    """It has an io_uring: requests in it are in no thread's system call."""
    in_flight: int
    """Descriptors that lie in the receive queues of its Unix sockets (fdinfo `scm_fds`): anybody's, any kind."""
    runtime: str | None = None
    """'go', 'jvm', 'node': a runtime whose housekeeping threads are known by name."""
    missing: str | None = None
    """What could not be read of it, with the capability that would have shown it."""
    hidden: tuple[str, ...] = ()
    """What may run a handler of it, or end a wait of its own accord, and is in no system call: in words."""
    reaps: tuple[int, ...] = ()
    """Its children whose end runs a handler of it: SIGCHLD, if it catches that, or what clone(2) was told."""
    signals: bool = False
    """The kernel may signal eventfds for it of which it has no descriptor (io_uring, aio)."""
    read_ends: frozenset[Resource] | None = None
    """The pipes that it can read from; None: not told."""
    write_ends: frozenset[Resource] | None = None
    """The pipes that it can write to."""
    alarm_ends_it: bool | None = False
    """It neither catches nor ignores SIGALRM, and an alarm of somebody is pending on this machine. None: alarms are
    hidden."""

    @property
    def name(self) -> str:
        return f"{self.pid} {self.comm}"


@dataclass(frozen=True, slots=True)
class Progress:
    """The program's own counters, from its shared page. `stamp_ns`: its last accepted byte."""

    time_ns: int
    role: Role
    sent: int
    received: int
    stamp_ns: int
    refused: int = 0
    """Sends that returned EAGAIN."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent snapshot: all threads, then both sockets, then all threads again, then both counters."""

    number: int
    threads_before: tuple[ThreadSample, ...]
    sockets: Pair[SocketSample | None]
    threads_after: tuple[ThreadSample, ...]
    progress: Pair[Progress | None]
    others: tuple[SocketSample, ...] = ()
    """Further TCP sockets of the same processes, each with its peer's where that is on this host."""
    processes: tuple[ProcessSample, ...] | None = None
    """Every holder of a socket above, and every process that could wake one of their threads. None: not looked for."""
    peers: dict[Resource, Resource] = field(default_factory=dict)
    """Of each Unix socket that is waited for, the one that it is connected to."""
    unreadable: int = 0
    """Processes of this host whose descriptor table could not be read: any of them might hold a socket above."""
    unlisted: bool = False
    """/proc does not list every process of this host, so there may be further ones."""
    thresholds: bool = False
    """The memory controller is one of cgroup version 1: it signals eventfds, and nothing shows which."""

    @property
    def time_ns(self) -> int:
        """When the sockets were read; when the threads were, if there was no socket."""
        times = [s.time_ns for s in self.sockets if s] + [t.time_ns for t in self.threads_after]
        times += [p.time_ns for p in self.progress if p]
        return times[0] if times else 0


@dataclass(frozen=True, slots=True)
class Connected:
    """What a program said of its socket right after connect() or accept(): addresses `ip:port`, sizes in bytes."""

    role: Role
    local: str
    remote: str
    rcvbuf: int
    sndbuf: int
    resident: int | None = None
    """Its resident memory at that moment."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program's part ended: `error` is None when all was sent, read and verified."""

    role: Role
    time_ns: int
    sent: int
    received: int
    error: str | None
    corrupt: bool = False
    """Whether a byte that was read differs from the byte that had to come."""
    peak: int | None = None
    """Bytes: its resident memory at its most."""


@dataclass(frozen=True, slots=True)
class CaptureCount:
    """How many frames the capture took, and how many were lost for want of room: by the kernel's own counter."""

    interface: str
    frames: int
    dropped: int | None
    """None: not known, since the run was killed before it could count."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame, by its number, and its time."""

    frame: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class Event:
    """A probe, or a segment that fills a silly window; `number` counts those of this side, each kind apart."""

    moment: Moment
    role: Role
    kind: ProbeKind
    number: int
    length: int


NEVER = Pair(0, 0)
NO_MOMENT: Pair[Moment | None] = Pair(None, None)
NO_WINDOW: Pair[bool | None] = Pair(None, None)


@dataclass(frozen=True, slots=True)
class WireFacts:
    """What the captured segments say of one connection, in constant memory; `lab.wire.witness` counts and dates them.

    Zero windows belong to the side that advertised them, probes to the side that sent them.
    """

    ends: Pair[str] | None = None
    """None: no segment was seen."""
    roles_seen: bool = False
    """Whether a SYN told who is the client; else the lower port was taken for the server's, or the caller knew."""
    segments: int = 0
    began: Moment | None = None
    """The first segment."""
    zero_windows: Pair[int] = NEVER
    """Segments with window 0, SYN and RST excepted. Wireshark's mark excepts FIN too."""
    first_zero_window: Pair[Moment | None] = NO_MOMENT
    closed: Pair[bool | None] = NO_WINDOW
    """Whether the last window advertised is 0. None: the side has advertised none."""
    reopened: Pair[int] = NEVER
    """How many times a closed window of this side was seen open again."""
    probes: Pair[int] = NEVER
    probes_since_still: Pair[int] = NEVER
    """Probes after the last progress of either side."""
    silly_segments: Pair[int] = NEVER
    """Segments of the persist timer that fill a silly window: no probes."""
    progress: Moment | None = None
    """The last new byte, sent or acknowledged, or closed window that opened, of either side."""
    fin: Pair[Moment | None] = NO_MOMENT
    rst: Pair[Moment | None] = NO_MOMENT
    carried: Pair[int | None] = UNKNOWN
    """Payload bytes between a side's SYN and its FIN, else its RST, modulo 2**32. None: one of them was not seen."""
    events: tuple[Event, ...] = ()
    """The latest probes and segments that fill a silly window, oldest first."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one side's namespace said when it was tuned: read back, not assumed. Sizes in bytes."""

    sysctls: dict[str, str]
    """`net.ipv4.tcp_*`, values as the kernel prints them; the values after tuning."""
    before: dict[str, str]
    """The same keys before tuning."""
    mtu: int

    @property
    def wmem_max(self) -> int | None:
        """tcp_wmem[2]; None: not read."""
        return self._largest("tcp_wmem")

    @property
    def rmem_max(self) -> int | None:
        """tcp_rmem[2]; None: not read."""
        return self._largest("tcp_rmem")

    def _largest(self, key: str) -> int | None:
        text = self.sysctls.get(key)
        return int(text.split()[2]) if text else None

    @property
    def notsent_lowat(self) -> int | None:
        """tcp_notsent_lowat; None: not read."""
        text = self.sysctls.get("tcp_notsent_lowat")
        return int(text) if text else None

    @property
    def adv_win_scale(self) -> int | None:
        """tcp_adv_win_scale; None: not read."""
        text = self.sysctls.get("tcp_adv_win_scale")
        return int(text) if text else None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was observed of one connection, so far. `judge` needs nothing else."""

    spec: Spec | None
    """The run that was planned. None: the two programs are not the lab's own, and nothing is known of their plan."""
    started_ns: int
    seen_ns: int
    """The instant at which this evidence was put together: the age of a freeze is counted up to it."""
    settings: Pair[Settings | None]
    core: dict[str, str]
    """`net.core.*` of the host that bear on buffers, while it was played: rmem_max, wmem_max, ..."""
    connected: Pair[Connected | None]
    ended: Pair[Ended | None]
    snapshots: tuple[Snapshot, ...]
    wire: WireFacts
    """Of this connection; the frames themselves are on disk, for there may be millions."""
    capture: CaptureCount | None
    """None: the wire could not be captured; `missing` says why."""
    logs: Pair[str]
    resident_growth: Pair[int | None] = UNKNOWN
    """Bytes by which each program's resident memory has grown at its most since the connection."""
    missing: tuple[str, ...] = ()
    """What could not be observed, each with the privilege or the program that would have shown it."""
    release: str | None = None
    """The kernel's release, as `uname -r` says."""
    max_tcp_header: int | None = None
    """Bytes: the kernel's MAX_TCP_HEADER, as a connection of the lab's own has shown it."""
    adv_win_scale_counts: bool | None = None
    """Whether this kernel computes windows by tcp_adv_win_scale; None: not asked, or not found out."""
    ours: bool = True
    """Whether the two programs are the lab's own, so that `client` and `server` name them."""
    roles: str = "seen"
    """`guessed` where nothing told who is the client: then the lower port is the server's."""
    settings_of: dict[int, Settings | None] = field(default_factory=dict)
    """Of each socket, by its inode, the settings of its namespace, where more than the pair's own were looked into.
    None: its namespace is not known."""
    core_before: dict[str, str] = field(default_factory=dict)
    """`core` as it was before the spec's `host_sysctls` were written; empty if it has none."""
