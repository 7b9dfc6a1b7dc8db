"""A frozen pair by hand, as the kernel would show it, with room for one changed fact."""

from dataclasses import fields, replace
from typing import Any

from lab.evidence import EarlierSample, Item, ProcessSample, Resource, Snapshot, SocketSample, ThreadSample, Wait, Wants
from lab.spec import Pair, Role

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
        found += [as_earlier(sample, ago_ms, **opened, bytes_acked=begun, wqueue=0) for ago_ms in (8000, 7000)]
        found.append(as_earlier(sample, 6000, bytes_acked=begun, wqueue=0))
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
        time_ns=0, role=role, cookie=1 if here else 2, inode=11 if here else 22,
        local=client if here else server, remote=server if here else client, state="ESTABLISHED",
        timer="persist", expires_ms=200, rqueue=3000, wqueue=7360, backoff=0, probes=0, unacked=0, notsent_bytes=7360,
        bytes_acked=9001 if here else 9000, bytes_received=9000, snd_wnd=0, rcv_wnd=0, snd_mss=1448, rcv_mss=1448,
        snd_cwnd=10, reordering=3, rto_us=204_000, last_data_sent_ms=60, last_ack_recv_ms=60, rmem_alloc=8000,
        rcvbuf=8192, sndbuf=8192, wmem_queued=8192, backlog=0, drops=0, send_timeout_ns=0, receive_timeout_ns=0,
        user_timeout_ms=0, rcv_wscale=7, congestion="cubic", pacing_rate=1 << 30, sndbuf_locked=True,
        rcvbuf_locked=False, window_clamp=5184, ulp="", error_queue="",
    )  # fmt: skip
    sample = replace(sample, **facts)
    return sample if "earlier" in facts else replace(sample, earlier=earlier(sample))


def client(**facts: Any) -> SocketSample:  # noqa: ANN401
    return end(Role.CLIENT, **facts)


def server(**facts: Any) -> SocketSample:  # noqa: ANN401
    return end(Role.SERVER, **facts)


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
