"""Evidence and verdicts with the figures of real runs, built by hand: what the reports are shown in the tests."""

from dataclasses import replace

from lab.evidence import (
    CaptureCount,
    Connected,
    Ended,
    Evidence,
    Progress,
    Settings,
    Snapshot,
    SocketSample,
    ThreadSample,
    Wants,
    WireFacts,
)
from lab.forecast import Forecast, Range, forecast
from lab.reason import quoted
from lab.scenario import find
from lab.spec import Buffers, Grade, Outcome, Pair, Role, Spec, Triple
from lab.tcp.segment import ControlBits, Segment
from lab.verdict import Account, Edge, Testimonies, Testimony, Verdict, WireSummary, Witness
from lab.wire.witness import witness

START_NS = 1_795_370_915_754_207_117
CLIENT, SERVER = "198.18.20.20:54542", "198.18.20.10:1060"
SQUEEZED = Buffers(Triple(4096, 8192, 8192), Triple(4096, 8192, 8192))
AGREED = Testimonies(Testimony.AGREES, Testimony.AGREES, Testimony.AGREES)
NO_FORECAST = Forecast(Range(None, None, None), Range(None, None, None), "no amount of payload freezes it")


def at(milliseconds: float) -> int:
    return START_NS + int(milliseconds * 1e6)


def socket(role: Role, **changes: object) -> SocketSample:
    """An established socket at rest, but for `changes`."""
    here, there = (CLIENT, SERVER) if role is Role.CLIENT else (SERVER, CLIENT)
    resting = SocketSample(
        time_ns=at(598),
        role=role,
        cookie=1,
        inode=158059 if role is Role.CLIENT else 158051,
        local=here,
        remote=there,
        state="ESTABLISHED",
        timer="none",
        expires_ms=0,
        rqueue=0,
        wqueue=0,
        backoff=0,
        probes=0,
        unacked=0,
        notsent_bytes=0,
        bytes_acked=0,
        bytes_received=0,
        snd_wnd=65160,
        rcv_wnd=64512,
        snd_mss=1448,
        rcv_mss=1448,
        snd_cwnd=10,
        reordering=3,
        rto_us=204000,
        last_data_sent_ms=528,
        last_ack_recv_ms=288,
        rmem_alloc=0,
        rcvbuf=8192,
        sndbuf=8192,
        wmem_queued=0,
        backlog=0,
        drops=0,
    )
    return replace(resting, **changes)  # type: ignore[arg-type]


def thread(role: Role, syscall: str | None, *, comm: str = "python", inode: int | None = -1) -> ThreadSample:
    pid = 21446 if role is Role.CLIENT else 21442
    own = 158059 if role is Role.CLIENT else 158051
    return ThreadSample(at(598), role, pid, pid, comm, "S", syscall, (7,), own if inode == -1 else inode, 12)


def segment(frame: int, milliseconds: float, role: Role, *, seq: int, ack: int, wnd: int, bits: int = 16) -> Segment:
    source, destination = (CLIENT, SERVER) if role is Role.CLIENT else (SERVER, CLIENT)
    scale = 7 if bits & ControlBits.SYN else None
    return Segment(frame, at(milliseconds), source, destination, seq, ack, wnd, 0, ControlBits(bits), scale)


FROZEN_SOCKETS: Pair[SocketSample | None] = Pair(
    socket(
        Role.CLIENT,
        timer="persist",
        expires_ms=136,
        backoff=1,
        rqueue=5928,
        wqueue=4736,
        bytes_acked=20305,
        bytes_received=5928,
        snd_wnd=0,
        rcv_wnd=0,
        rmem_alloc=6760,
        wmem_queued=5568,
    ),
    socket(
        Role.SERVER,
        timer="persist",
        expires_ms=88,
        backoff=1,
        rqueue=6144,
        wqueue=7800,
        bytes_acked=5928,
        bytes_received=20304,
        snd_wnd=0,
        rcv_wnd=0,
        rmem_alloc=6976,
        wmem_queued=8632,
    ),
)
FROZEN_COUNTERS = Pair((25040, 0), (13728, 14160))
FROZEN_THREADS = (thread(Role.CLIENT, "sendto"), thread(Role.SERVER, "sendto"))
FROZEN_SEGMENTS = (
    segment(1, 0, Role.CLIENT, seq=100, ack=0, wnd=2920, bits=2),
    segment(2, 0.02, Role.SERVER, seq=500, ack=101, wnd=2896, bits=18),
    segment(3, 0.03, Role.CLIENT, seq=101, ack=501, wnd=23),
    segment(8, 3.72, Role.SERVER, seq=6429, ack=20405, wnd=0),
    segment(13, 3.78, Role.CLIENT, seq=20405, ack=6429, wnd=0),
    segment(36, 276, Role.SERVER, seq=6428, ack=20405, wnd=0),
    segment(37, 276.1, Role.CLIENT, seq=20405, ack=6429, wnd=0),
    segment(38, 308, Role.CLIENT, seq=20404, ack=6429, wnd=0),
    segment(39, 308.1, Role.SERVER, seq=6429, ack=20405, wnd=0),
)


def snapshot(
    sockets: Pair[SocketSample | None] = FROZEN_SOCKETS,
    threads: tuple[ThreadSample, ...] = FROZEN_THREADS,
    wrote_read: Pair[tuple[int, int]] = FROZEN_COUNTERS,
    milliseconds: float = 598,
) -> Snapshot:
    progress: list[Progress | None] = [Progress(at(milliseconds), role, *wrote_read[role], at(48)) for role in Role]
    timed = [each and replace(each, time_ns=at(milliseconds)) for each in sockets]
    return Snapshot(21, threads, Pair(timed[0], timed[1]), threads, Pair(progress[0], progress[1]))


def spec(scenario: str = "upper", payload: int | None = None) -> Spec:
    found = find(scenario)
    if payload is not None:
        found = replace(found, load=replace(found.load, payload=payload))
    return Spec(found, "netns", buffers=Pair(SQUEEZED, SQUEEZED))


def evidence(**changes: object) -> Evidence:
    """Of the squeezed freeze, but for `changes`."""
    sysctls = {"tcp_rmem": "4096 8192 8192", "tcp_wmem": "4096 8192 8192", "tcp_congestion_control": "cubic"}
    settings = Settings(sysctls, sysctls, 1500)
    frozen = Evidence(
        spec=spec(),
        started_ns=at(-90),
        seen_ns=at(600),
        settings=Pair(settings, settings),
        core={"rmem_max": "4194304", "wmem_max": "4194304"},
        connected=Pair(
            Connected(Role.CLIENT, CLIENT, SERVER, 8192, 8192), Connected(Role.SERVER, SERVER, CLIENT, 8192, 8192)
        ),
        ended=Pair(None, None),
        snapshots=(snapshot(),),
        wire=witness(FROZEN_SEGMENTS, Pair(CLIENT, SERVER)),
        capture=CaptureCount("eth0", 39, 0),
        logs=Pair("", ""),
    )
    return replace(frozen, **changes)  # type: ignore[arg-type]


def _reason() -> str:
    """What limits the forecast of the squeezed freeze."""
    frozen = evidence()
    assert frozen.spec is not None
    return forecast(frozen.spec, frozen.settings, frozen.core).reason


def verdict(**changes: object) -> Verdict:
    """Of the squeezed freeze, but for `changes`."""
    witnesses = (Witness.PROGRAM, Witness.KERNEL, Witness.WIRE)
    frozen = Verdict(
        outcome=Outcome.DEADLOCK,
        grade=Grade.CONSISTENT,
        client=CLIENT,
        server=SERVER,
        roles="seen",
        seal_ns=at(48),
        proved_ns=None,
        holds_until_ns=None,
        age_s=0.552,
        witnesses=AGREED,
        cycle=tuple(Edge(role, Wants.WRITE, role.peer, witnesses) for role in (Role.SERVER, Role.CLIENT)),
        tail=(),
        live=(),
        qualifiers=(),
        missing=(),
        contradictions=(),
        account=Account(25040, 4736, 6144, 14160, 432, 7800, 5928, 0),
        wire=WireSummary(39, 0, Pair(18, 6), Pair(1, 1), Pair(at(3.78), at(3.72))),
        forecast=Forecast(Range(8776, 27010, 164864), Range(4892, 13505, 82944), _reason()),
    )
    return replace(frozen, **changes)  # type: ignore[arg-type]


def without_freeze(outcome: Outcome, **changes: object) -> Verdict:
    """A verdict that has no circle to tell of."""
    silent = Testimonies(Testimony.SILENT, Testimony.SILENT, Testimony.SILENT)
    return verdict(outcome=outcome, grade=None, cycle=(), witnesses=silent, **changes)


AUTOTUNED = (
    verdict(
        account=Account(1_073_741_824, 944_936, 1_398_256, 1_071_398_632, 456, 933_960, 125_440, 1_070_338_776),
        wire=WireSummary(2060, 0, Pair(1440, 3), Pair(1, 1), Pair(at(3.78), at(3.72))),
        forecast=Forecast(Range(106_024, None, 75_629_568), Range(61_085, None, 37_815_296), _reason()),
    ),
    evidence(
        snapshots=(
            snapshot(
                Pair(
                    replace(
                        FROZEN_SOCKETS.client, rcvbuf=131_072, rmem_alloc=132_840, sndbuf=953_856, wmem_queued=951_056
                    ),  # type: ignore[type-var]
                    replace(
                        FROZEN_SOCKETS.server,
                        rcvbuf=33_554_432,
                        rmem_alloc=30_000_000,
                        sndbuf=953_856,
                        wmem_queued=953_000,
                    ),  # type: ignore[type-var]
                )
            ),
        )
    ),
)
"""Ten digits, grown buffers, and figures outside the forecast: the widest that a report can be."""

FROZEN = (verdict(), evidence())
COMPLETED = (
    without_freeze(
        Outcome.COMPLETED, account=Account(), wire=WireSummary(12, 0, Pair(0, 0), Pair(0, 0), Pair(None, None))
    ),
    evidence(
        spec=spec(payload=32),
        ended=Pair(Ended(Role.CLIENT, at(2.31), 32, 32, None), Ended(Role.SERVER, at(2.2), 32, 32, None)),
        snapshots=(snapshot(Pair(socket(Role.CLIENT, state="FIN-WAIT-1"), None), ()),),
        wire=witness(FROZEN_SEGMENTS[:3], Pair(CLIENT, SERVER)),
        capture=CaptureCount("eth0", 12, 0),
    ),
)
HEALTHY = (
    without_freeze(
        Outcome.COMPLETED,
        account=Account(),
        wire=WireSummary(14878, 0, Pair(0, 8618), Pair(0, 0), Pair(None, at(3.72))),
        forecast=NO_FORECAST,
    ),
    evidence(
        spec=spec("healthy"),
        ended=Pair(
            Ended(Role.CLIENT, at(608), 67_108_864, 67_108_864, None),
            Ended(Role.SERVER, at(601), 67_108_864, 67_108_864, None),
        ),
        wire=witness(FROZEN_SEGMENTS[:4], Pair(CLIENT, SERVER)),
        capture=CaptureCount("eth0", 14878, 0),
    ),
)
INCONCLUSIVE = (
    without_freeze(
        Outcome.INCONCLUSIVE,
        account=Account(client_accepted=25040, client_send_queue=4736, server_receive_queue=6144),
        missing=(quoted("the server's program is blocked in a send on it"),),
    ),
    evidence(snapshots=(snapshot(threads=(thread(Role.CLIENT, "sendto"), thread(Role.SERVER, None, inode=None))),)),
)
READ_READ = (
    without_freeze(
        Outcome.READ_READ,
        account=Account(0, 0, 0, 0, 0, 0, 0, 0),
        wire=WireSummary(3, 0, Pair(0, 0), Pair(0, 0), Pair(None, None)),
        forecast=NO_FORECAST,
    ),
    evidence(
        spec=spec("read-read"),
        snapshots=(
            snapshot(
                Pair(socket(Role.CLIENT), socket(Role.SERVER, snd_wnd=64512, rcv_wnd=65160)),
                (thread(Role.CLIENT, "recvfrom"), thread(Role.SERVER, "recvfrom")),
                Pair((0, 0), (0, 0)),
            ),
        ),
        wire=witness(FROZEN_SEGMENTS[:3], Pair(CLIENT, SERVER)),
        capture=CaptureCount("eth0", 3, 0),
    ),
)
CONTRADICTION = (
    verdict(
        account=Account(25040, 4736, 6144, 14144, 416, 7800, 5928, 0),
        contradictions=(
            quoted(
                "client_accepted 25040 is not "
                "server_processed 14144 + server_receive_queue 6144 + client_send_queue 4736"
            ),
        ),
    ),
    evidence(),
)
UNCAPTURED = (
    without_freeze(
        Outcome.INCONCLUSIVE,
        wire=WireSummary(None, None, Pair(None, None), Pair(None, None), Pair(None, None)),
        missing=(
            quoted("the client advertises a zero window on the wire"),
            quoted("the server advertises a zero window on the wire"),
            quoted("the wire: a packet socket needs CAP_NET_RAW in the namespace of the pair"),
        ),
    ),
    evidence(wire=WireFacts(), capture=None),
)
ABORTED = (
    without_freeze(Outcome.ABORTED, account=Account()),
    evidence(
        ended=Pair(Ended(Role.CLIENT, at(300), 4096, 0, "ConnectionResetError: [Errno 104] reset", False), None),
        logs=Pair("client 0.002 connected\nclient 0.300 failed: \x1b[31mreset\x1b[0m\n", ""),
    ),
)
ONE_SIDED = (
    without_freeze(
        Outcome.ONE_SIDED_STALL,
        account=Account(26448, 4736, 21712, 0, None, 0, 0, 0),
        wire=WireSummary(21, 0, Pair(0, 2), Pair(1, 0), Pair(None, at(3.72))),
        forecast=NO_FORECAST,
    ),
    evidence(
        spec=spec("one-sided-stall"),
        wire=witness((*FROZEN_SEGMENTS[:4], FROZEN_SEGMENTS[7]._replace(wnd=502)), Pair(CLIENT, SERVER)),
        snapshots=(
            snapshot(
                Pair(
                    replace(FROZEN_SOCKETS.client, rqueue=0, rmem_alloc=0, rcv_wnd=64512),  # type: ignore[type-var]
                    socket(Role.SERVER, rqueue=21712, rmem_alloc=8192, rcv_wnd=0),
                ),
                (thread(Role.CLIENT, "sendto"), thread(Role.SERVER, "pause", inode=None)),
            ),
        ),
    ),
)
