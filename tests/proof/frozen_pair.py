"""A frozen pair by hand, as the kernel would show it, with room for one changed fact."""

from dataclasses import fields, replace
from typing import Any, TypeAlias

from lab.evidence import (
    Connected,
    EarlierSample,
    Evidence,
    Item,
    ProcessSample,
    Progress,
    Resource,
    Settings,
    Snapshot,
    SocketSample,
    ThreadSample,
    Wait,
    Wants,
    WireFacts,
)
from lab.proof.cycles import Kind
from lab.proof.deadlock import Knot, analyse
from lab.proof.stack.traits import KernelTraits
from lab.report.reasons import all_words, words
from lab.scenario import find
from lab.spec import Grade, Pair, Role, Spec

SECOND = 1_000_000_000
NOW = 1_000 * SECOND
MS = 1_000_000


def as_earlier(sample: SocketSample, ago_ms: int, **facts: Any) -> EarlierSample:  # noqa: ANN401
    known = {field.name: getattr(sample, field.name) for field in fields(EarlierSample)}
    return EarlierSample(**known | {"time_ns": sample.time_ns - ago_ms * MS} | facts)


def earlier(
    sample: SocketSample,
    *,
    may_retry: bool = False,
    written: int = 13_000,
    window: int = 4096,
    mss: int = 1448,
    unchanged_ms: int = 0,
    closed: bool = False,
) -> tuple[EarlierSample, ...]:
    """Samples that show so much together with `sample` (lab.proof.stack.history)."""
    begun = sample.bytes_acked + sample.wqueue - written
    other = {"rmem_alloc": sample.rmem_alloc + 1}
    found = [as_earlier(sample, 9000, bytes_acked=begun, wqueue=0, snd_wnd=window, snd_mss=mss, **other)]
    if closed:
        opened = {"rcv_wnd": 384, "bytes_received": sample.bytes_received - 384, "rqueue": sample.rqueue - 384}
        found += [as_earlier(sample, ago_ms, **opened) for ago_ms in (8000, 7000)]
        found.append(as_earlier(sample, 6000))
    if not may_retry:
        found.append(as_earlier(sample, 5000, **other))
    if unchanged_ms:
        found.append(as_earlier(sample, unchanged_ms))
    return tuple(found)


def end(role: Role, **facts: Any) -> SocketSample:  # noqa: ANN401 - whatever the fact is
    """One end of a squeezed pair that is frozen: a full receive buffer, a full send buffer, nothing in flight."""
    client, server = "198.18.20.20:35834", "198.18.20.10:1060"
    here = role is Role.CLIENT
    sample = SocketSample(
        time_ns=NOW, role=role, cookie=1 if here else 2, inode=11 if here else 22,
        local=client if here else server, remote=server if here else client, state="ESTABLISHED",
        timer="persist", expires_ms=200, rqueue=3000, wqueue=7360, backoff=0, probes=0, unacked=0, notsent_bytes=7360,
        bytes_acked=9001 if here else 9000, bytes_received=9000, snd_wnd=0, rcv_wnd=0, snd_mss=1448, rcv_mss=1448,
        snd_cwnd=10, reordering=3, rto_us=204_000, rtt_us=4_000, rttvar_us=2_000, last_data_sent_ms=60,
        last_ack_recv_ms=60, rmem_alloc=8000, rcvbuf=8192, sndbuf=8192, wmem_queued=8192, backlog=0, drops=0,
        send_timeout_ns=0, receive_timeout_ns=0, user_timeout_ms=0, rcv_wscale=7, congestion="cubic",
        pacing_rate=1 << 30, sndbuf_locked=True, rcvbuf_locked=False, window_clamp=5184, ulp="", error_queue="",
    )  # fmt: skip
    sample = replace(sample, **facts)
    return sample if "earlier" in facts else replace(sample, earlier=earlier(sample))


def client(**facts: Any) -> SocketSample:  # noqa: ANN401
    return end(Role.CLIENT, **facts)


def server(**facts: Any) -> SocketSample:  # noqa: ANN401
    return end(Role.SERVER, **facts)


def starved(sender: Role = Role.CLIENT) -> tuple[SocketSample, SocketSample]:
    """Its peer has read all that the sender sent, and the peer's 96 bytes lie beyond the sender's closed window.

    The sender, and its peer.
    """
    acked = end(sender).bytes_acked - 1000
    lost = end(sender, timer="on", backoff=1, snd_wnd=3840, notsent_bytes=6264, unacked=2, bytes_acked=acked)
    away = end(
        sender.peer, rcv_wnd=3840, rqueue=0, rmem_alloc=0, bytes_received=9096, timer="on", backoff=2, unacked=1,
        notsent_bytes=7264, last_data_sent_ms=300,
    )  # fmt: skip
    return lost, away


def sends(inode: int) -> Wait:
    return Wait("sendto", (Item(Resource.socket(inode), Wants.WRITE),))


def reads(inode: int) -> Wait:
    return Wait("recvfrom", (Item(Resource.socket(inode), Wants.READ),))


def polls(*items: Item, **facts: Any) -> Wait:  # noqa: ANN401
    return Wait("epoll_wait", items, **facts)


def item(inode: int, wants: Wants = Wants.WRITE, *, edge: bool = False) -> Item:
    return Item(Resource.socket(inode), wants, edge)


def on(resource: str, wants: Wants, *, edge: bool = False) -> Item:
    """The resource as the text `kind:id`."""
    return Item(Resource.parse(resource), wants, edge)


def wakes(pid: int) -> Wait:
    return Wait("futex", (Item(Resource.process(pid), Wants.WAKE),))


def thread(pid: int, wait: Wait | None, **facts: Any) -> ThreadSample:  # noqa: ANN401
    sample = ThreadSample(
        time_ns=NOW, role=None, pid=pid, tid=pid, comm="program", state="S", syscall=wait.call if wait else "sendto",
        args=(4,), socket_inode=None, switches=7, wait=wait,
    )  # fmt: skip
    return replace(sample, **facts)


def process(pid: int, *resources: str, **facts: Any) -> ProcessSample:  # noqa: ANN401
    sample = ProcessSample(
        time_ns=NOW, pid=pid, parent=1, comm="program", container=None,
        resources=tuple(map(Resource.parse, resources)), catches_alarm=False,
        posix_timers=0, io_uring=False, in_flight=0,
    )  # fmt: skip
    return replace(sample, **facts)


def snapshot(
    threads: list[ThreadSample] | None = None,
    processes: list[ProcessSample] | None = None,
    **facts: Any,  # noqa: ANN401
) -> Snapshot:
    """The client is process 1 with socket 11, the server is process 2 with socket 22; both send."""
    shown = tuple(threads or (thread(1, sends(11)), thread(2, sends(22))))
    held = tuple(processes or (process(1, "socket:11"), process(2, "socket:22")))
    shot = Snapshot(
        number=1, threads_before=shown, sockets=Pair(client(), server()), threads_after=shown,
        progress=Pair(None, None), processes=held,
    )  # fmt: skip
    return replace(shot, **facts)


def settings(**sysctls: str) -> Pair[Settings | None]:
    """Both namespaces, tuned alike: `net.ipv4.` is left out."""
    return Pair(*[Settings({"tcp_wmem": "4096 8192 8192"} | sysctls, {}, 1500)] * 2)


def counted() -> Snapshot:
    """The pair with the counters of both programs: every byte is where the account says."""
    sockets: Pair[SocketSample | None] = Pair(client(bytes_acked=30_001), server(bytes_received=30_000))
    wrote_and_read = Pair((37_360, 6000), (16_360, 27_000))
    progress = [Progress(NOW, role, *wrote_and_read[role], NOW) for role in Role]
    return snapshot(sockets=sockets, progress=Pair(*progress))


def evidence(shot: Snapshot | None = None, **facts: Any) -> Evidence:  # noqa: ANN401
    """All that was observed of the pair, without a capture."""
    ends = [Connected(each.role, each.local, each.remote, 8192, 8192) for each in (client(), server()) if each.role]
    seen = Evidence(
        spec=Spec(find("upper"), "netns"), started_ns=NOW - SECOND, seen_ns=NOW, settings=settings(), core={},
        connected=Pair(*ends), ended=Pair(None, None), snapshots=(shot or snapshot(),), wire=WireFacts(), capture=None,
        logs=Pair("", ""),
    )  # fmt: skip
    return replace(seen, **facts)


CLIENT, SERVER = thread(1, sends(11)), thread(2, sends(22))
HOLDS = [process(1, "socket:11"), process(2, "socket:22")]
EMPTY: dict[str, Any] = {
    "rqueue": 0, "rmem_alloc": 0, "wqueue": 0, "notsent_bytes": 0, "wmem_queued": 0, "rcv_wnd": 4096, "snd_wnd": 4096,
    "timer": "none",
}  # fmt: skip
Ends: TypeAlias = Pair[SocketSample | None]
IDLE: Ends = Pair(client(**EMPTY), server(**EMPTY))


def knot(shot: Snapshot, kind: Kind = Kind.WRITE_WRITE, **stack: Any) -> Knot | None:  # noqa: ANN401
    return analyse(shot, NOW, KernelTraits(**stack)).knot(11, 22, kind)


def grade(shot: Snapshot) -> Grade | None:
    found = knot(shot)
    return found.grade if found else None


def against(shot: Snapshot) -> str:
    """The diagnosis of a `no`, in one text."""
    found = analyse(shot, NOW)
    return "; ".join(
        [*(f"{live.thread.name}: {words(live.why)}" for live in found.against(11, 22)), *all_words(found.missing)]
    )


def beside(*threads: ThreadSample, processes: list[ProcessSample] | None = None, **facts: Any) -> Snapshot:  # noqa: ANN401
    """The frozen pair with further threads."""
    return snapshot([CLIENT, SERVER, *threads], [*HOLDS, *(processes or [])], **facts)


def reread(reading: str, threads: tuple[ThreadSample, ...]) -> Snapshot:
    """The frozen pair, of which one reading found something else."""
    facts: dict[str, Any] = {reading: threads}
    return replace(snapshot(), **facts)
