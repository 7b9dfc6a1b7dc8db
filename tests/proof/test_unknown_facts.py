"""For each fact that a premise needs: a proof that stands on the premise, and the same pair with the fact unknown or
reversed. Then the proof is none, or says by name what it is true but for.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from lab.evidence import EarlierSample, Evidence, Item, ProcessSample, Snapshot, SocketSample, ThreadSample, Wait, Wants
from lab.proof.judge import judge
from lab.proof.premises import BY_ID, TABLE
from lab.report.reasons import all_words
from lab.spec import Grade, Outcome, Pair, Role
from lab.verdict import Verdict
from tests.proof.frozen_pair import (
    CLIENT,
    EMPTY,
    HOLDS,
    NOW,
    SECOND,
    SERVER,
    client,
    earlier,
    evidence,
    item,
    on,
    polls,
    process,
    reads,
    server,
    settings,
    snapshot,
    starved,
    thread,
    wakes,
)

Facts = dict[str, Any]
Change = Callable[[Evidence], Evidence]


class Fact(NamedTuple):
    """A field of the evidence, a proof that needs it, what is done to the field, and a word of what is said then."""

    field: str
    proof: Evidence
    change: Change
    word: str


# Proofs.

LARGE = settings(tcp_wmem="4096 16384 4194304")


def pair(here: SocketSample, there: SocketSample, **facts: Any) -> Evidence:  # noqa: ANN401
    return evidence(snapshot(sockets=Pair(here, there)), **facts)


def threads(*samples: ThreadSample, processes: Sequence[ProcessSample] = HOLDS, **facts: Any) -> Evidence:  # noqa: ANN401
    return evidence(snapshot(list(samples), list(processes), **facts))


def closing(drops: int) -> tuple[EarlierSample, ...]:
    """Samples of a window that closed while so many packets were dropped."""
    *before, closed, last = earlier(SEEN_TO_CLOSE, closed=True)
    return (*before, replace(closed, drops=drops), replace(last, drops=drops))


def idle(role: Role, inode: int, **facts: Any) -> SocketSample:  # noqa: ANN401
    """One end of a second connection, on which nothing is under way."""
    one, other = "192.0.2.1:3", "192.0.2.1:4"
    here, there = (one, other) if role is Role.CLIENT else (other, one)
    sample = client(local=here, remote=there, inode=inode) if role is Role.CLIENT else server(local=here, remote=there)
    return replace(sample, inode=inode, **EMPTY | facts)


FROZEN = evidence()
IN_FLIGHT: Facts = {"notsent_bytes": 7264, "unacked": 2, "backoff": 1, "timer": "on"}
REFUSED = pair(client(**IN_FLIGHT), server())
POLLING = threads(CLIENT, thread(2, Wait("poll", (item(22),))))
EDGES = threads(CLIENT, thread(2, polls(item(22, Wants.READ, edge=True), item(22, edge=True))))
WORKER = threads(CLIENT, SERVER, thread(2, wakes(2), tid=9))
PARENT = threads(
    CLIENT, SERVER, thread(3, Wait("wait4", (on("process:1", Wants.END),))), processes=(*HOLDS, process(3, "socket:11"))
)
TIMED = threads(CLIENT, thread(2, polls(item(22), deadline_ns=NOW + 30 * SECOND, timed=True)))
SECOND_CLIENT = threads(
    CLIENT, thread(2, polls(item(22), item(33, Wants.READ))), thread(5, reads(44)),
    processes=(HOLDS[0], process(2, "socket:22", "socket:33"), process(5, "socket:44")),
    others=(idle(Role.CLIENT, 33), idle(Role.SERVER, 44)),
)  # fmt: skip
SELF_PIPE = threads(
    CLIENT, thread(2, polls(item(22), on("unix:7", Wants.READ))),
    processes=(HOLDS[0], process(2, "socket:22", "unix:7", "unix:8")),
    peers={on("unix:7", Wants.READ).resource: on("unix:8", Wants.READ).resource},
)  # fmt: skip
PIPE_5 = on("pipe:5", Wants.READ).resource
OWN_PIPE = (HOLDS[0], process(2, "socket:22", "pipe:5", read_ends=frozenset({PIPE_5}), write_ends=frozenset({PIPE_5})))
OWN_PIPE_READ = threads(CLIENT, thread(2, polls(item(22), on("pipe:5", Wants.READ))), processes=OWN_PIPE)
OWN_PIPE_WRITTEN = threads(CLIENT, thread(2, polls(item(22), on("pipe:5", Wants.WRITE))), processes=OWN_PIPE)
EVENTFD = threads(
    CLIENT, thread(2, polls(item(22), on("eventfd:7", Wants.READ))),
    processes=(HOLDS[0], process(2, "socket:22", "eventfd:7"), process(9)),
)  # fmt: skip
KEEPER = thread(2, Wait("futex", (), NOW + SECOND // 100, timed=True), tid=9, comm="VM Periodic Tas")
JVM = threads(CLIENT, SERVER, KEEPER, processes=(HOLDS[0], replace(HOLDS[1], runtime="jvm")))
LISTENER = threads(CLIENT, SERVER, thread(2, Wait("accept4", (on("listener:5", Wants.ACCEPT),)), tid=3))
A_SEGMENT_SHORT = pair(client(), server(rmem_alloc=7192))
WIDE = pair(client(), server(rcvbuf=1 << 20, rmem_alloc=(1 << 20) - 60_000, window_clamp=700_000))
PROBED: Facts = {"backoff": 1, "last_data_sent_ms": 300, "last_ack_recv_ms": 60}
ANSWERED = pair(client(**PROBED), server(rmem_alloc=8192 - 2032))
ANSWERED_STRANGER = replace(ANSWERED, spec=None)
NEAR_THE_CLAMP = pair(client(**PROBED), server(rmem_alloc=8192 - 2424, window_clamp=4608))
UNSEEN = pair(client(rcv_wnd=None), server(rcv_wnd=None))
HALF = replace(
    pair(client(rcv_wnd=None), server(rcv_wnd=None, rmem_alloc=8192 - 3000, window_clamp=4096)),
    adv_win_scale_counts=True,
)
"""Half of what is free is a window of 1500 bytes, and a segment is more than its whole units of 128."""
UNSEEN_STRANGER = replace(UNSEEN, spec=None)
"""The lab's own programs do not lower SO_RCVBUF once they are connected; any other may."""
BY_SCALE = replace(HALF, settings=settings(tcp_adv_win_scale="1"))
BY_SCALE_OF_EACH = replace(HALF, settings_of=dict.fromkeys((11, 22), settings(tcp_adv_win_scale="1").client))
SEEN_TO_CLOSE = server(rmem_alloc=8192 - 2032, rcvbuf_locked=True)
CLOSED = pair(client(), replace(SEEN_TO_CLOSE, earlier=closing(drops=0)))
SET_BEFORE = pair(client(**PROBED), replace(SEEN_TO_CLOSE, earlier=earlier(SEEN_TO_CLOSE, unchanged_ms=400)), spec=None)
CLOSED_STRANGER = pair(client(), replace(SEEN_TO_CLOSE, rcvbuf_locked=False, earlier=closing(drops=0)), spec=None)
TWO_THIRDS = pair(client(wmem_queued=5568), server())
SOME_SENT: Facts = {"unacked": 2, "backoff": 1, "timer": "on"}
MUCH_UNSENT = pair(client(sndbuf=65_536, notsent_lowat=7360), server())
MUCH_UNSENT_BY_SYSCTL = pair(
    client(sndbuf=65_536, notsent_lowat=0), server(), settings=settings(tcp_notsent_lowat="7360")
)
ROOM = server(wmem_queued=7872)
RESTED = pair(client(), replace(ROOM, earlier=earlier(ROOM)))
PACKETS = pair(client(wqueue=4096, notsent_bytes=4096), server())
GROWN = pair(
    client(sndbuf=165_888, wmem_queued=165_888, snd_cwnd=36, sndbuf_locked=False), server(advmss=1448),
    settings=LARGE, max_tcp_header=256,
)  # fmt: skip
SET = pair(client(sndbuf=165_888, wmem_queued=165_888, snd_cwnd=99), server(), settings=LARGE)
HELD_DOWN = pair(
    client(sndbuf=46_080, wmem_queued=46_080, snd_cwnd=30, sndbuf_locked=False), server(),
    settings=settings(tcp_wmem="4096 16384 46080"),
)  # fmt: skip
BBR = pair(
    client(
        sndbuf=1_175_040, wmem_queued=1_186_832, snd_cwnd=234, congestion="bbr", wqueue=1_171_856,
        notsent_bytes=1_171_856, sndbuf_locked=False,
    ),
    server(advmss=1448), settings=LARGE, max_tcp_header=256,
)  # fmt: skip
SMALL_WINDOW = pair(
    client(
        snd_wnd=1024, wqueue=977_400, notsent_bytes=977_400, wmem_queued=989_880, sndbuf=953_856, snd_cwnd=138,
        congestion="bbr", ca_state=0, pacing_rate=582_840_671, last_data_sent_ms=192, sndbuf_locked=False,
    ),
    server(
        rcv_wnd=1024, rcvbuf=984_468, rmem_alloc=970_112, rqueue=648_768, advmss=1448, window_clamp=700_000,
    ),
    settings=LARGE, max_tcp_header=256,
)  # fmt: skip
UNREAD: Facts = {"rcv_wnd": 1024, "rqueue": 3000, "rcvbuf_locked": True}
DEEP = pair(client(snd_wnd=1024, wqueue=13_000, notsent_bytes=11_976, unacked=1), server(**UNREAD))
BOUNDED = pair(
    client(snd_wnd=1024, wqueue=77_000, notsent_bytes=75_976, unacked=1, wmem_queued=77_000, sndbuf=46_080,
           sndbuf_locked=False),
    server(**UNREAD), settings=settings(tcp_wmem="4096 16384 69120"),
)  # fmt: skip
STARVED = pair(*starved(), release="6.18.44")


# What is done to a fact.


def shot(**facts: Any) -> Change:  # noqa: ANN401
    return lambda seen: replace(seen, snapshots=(replace(seen.snapshots[-1], **facts),))


def whole(**facts: Any) -> Change:  # noqa: ANN401
    return lambda seen: replace(seen, **facts)


def sockets(change: Callable[[SocketSample], SocketSample]) -> Change:
    def changed(seen: Evidence) -> Evidence:
        last = seen.snapshots[-1]
        ends = Pair(*(each and change(each) for each in last.sockets))
        return shot(sockets=ends, others=tuple(map(change, last.others)))(seen)

    return changed


def end(inode: int, **facts: Any) -> Change:  # noqa: ANN401
    return sockets(lambda each: replace(each, **facts) if each.inode == inode else each)


def near(**facts: Any) -> Change:  # noqa: ANN401
    return end(11, **facts)


def far(**facts: Any) -> Change:  # noqa: ANN401
    return end(22, **facts)


def task(pid: int, tid: int | None = None, *, reread: bool = False, **facts: Any) -> Change:  # noqa: ANN401
    """In both readings, or in the second alone."""

    def changed(samples: tuple[ThreadSample, ...]) -> tuple[ThreadSample, ...]:
        meant = (pid, tid or pid)
        return tuple(replace(each, **facts) if (each.pid, each.tid) == meant else each for each in samples)

    def change(seen: Evidence) -> Evidence:
        last: Snapshot = seen.snapshots[-1]
        before = last.threads_before if reread else changed(last.threads_before)
        return shot(threads_before=before, threads_after=changed(last.threads_after))(seen)

    return change


def program(pid: int, **facts: Any) -> Change:  # noqa: ANN401
    """One that was not there before holds nothing."""

    def change(seen: Evidence) -> Evidence:
        known = {each.pid: each for each in seen.snapshots[-1].processes or ()}
        known[pid] = replace(known.get(pid, process(pid)), **facts)
        return shot(processes=tuple(known.values()))(seen)

    return change


def waits(pid: int, *items: Item, tid: int | None = None, **facts: Any) -> Change:  # noqa: ANN401
    return task(pid, tid, wait=polls(*items, **facts))


UNREAD_MEMORY = Wait("futex", (), unknown="futex: in shared memory: any process that maps it may wake it")

FACTS: dict[str, tuple[Fact, ...]] = {
    "or-waits": (
        Fact("ThreadSample.syscall", FROZEN, task(2, syscall=None), "system call could not be read"),
        Fact("ThreadSample.args", FROZEN, task(2, reread=True, args=(5,)), "ran between"),
        Fact("ThreadSample.wait", FROZEN, task(2, wait=None), "wait is not known"),
    ),
    "only-holders-act": (
        Fact("ProcessSample.resources", FROZEN, program(2, resources=()), "no process that was looked at holds it"),
        Fact("ProcessSample.read_ends", OWN_PIPE_WRITTEN, program(2, read_ends=frozenset()), "the other end of pipe:5"),
        Fact("ProcessSample.write_ends", OWN_PIPE_READ, program(2, write_ends=frozenset()), "the other end of pipe:5"),
    ),
    "probes-keep-connection": (
        Fact("SocketSample.probes", FROZEN, near(probes=2), "tcp_retries2"),
        Fact("SocketSample.backoff", FROZEN, near(timer="on", backoff=2, last_ack_recv_ms=300), "tcp_retries2"),
        Fact("Settings.sysctls", FROZEN, whole(settings=settings(tcp_retries2="1")), "tcp_retries2"),
        Fact("Settings.sysctls", FROZEN, whole(settings=Pair(None, None)), "tcp_retries2"),
        Fact("SocketSample.user_timeout_ms", FROZEN, near(user_timeout_ms=None), "TCP_USER_TIMEOUT"),
    ),
    "equal-switches": (
        Fact("ThreadSample.switches", FROZEN, task(1, switches=None), "switches could not be read"),
        Fact("ThreadSample.switches", FROZEN, task(1, reread=True, switches=8), "ran between"),
        Fact("ThreadSample.syscall", FROZEN, task(1, reread=True, syscall="write"), "ran between"),
        Fact("ThreadSample.args", FROZEN, task(1, reread=True, args=(5,)), "ran between"),
        Fact("ThreadSample.state", FROZEN, task(1, state=None), "state could not be read"),
    ),
    "threads-around-tables": (
        Fact("Snapshot.threads_before", FROZEN, shot(threads_before=()), "only one of the two readings"),
        Fact("Snapshot.threads_after", FROZEN, shot(threads_after=()), "only one of the two readings"),
        Fact("Snapshot.processes", FROZEN, shot(processes=None), "no process that was looked at holds it"),
    ),
    "right-edge": (
        Fact("SocketSample.bytes_acked", REFUSED, near(bytes_acked=8905), "acknowledgment is on its way"),
        Fact("SocketSample.bytes_received", REFUSED, far(bytes_received=9096), "acknowledgment is on its way"),
        Fact("SocketSample.backlog", REFUSED, far(backlog=1), "backlog"),
    ),
    "one-connection": (
        Fact("SocketSample.local", FROZEN, far(local="198.18.20.99:9"), "was not found"),
        Fact("SocketSample.remote", FROZEN, far(remote="198.18.20.99:9"), "was not found"),
        Fact("SocketSample.bytes_acked", FROZEN, far(bytes_acked=8000), "do not fit"),
        Fact("SocketSample.bytes_received", FROZEN, far(bytes_received=12_000), "do not fit"),
    ),
    "asleep-in-its-call": (
        Fact("ThreadSample.state", FROZEN, task(2, state="D"), "in state D"),
        Fact("ThreadSample.suspended", FROZEN, task(2, suspended="frozen"), "frozen"),
        Fact("ThreadSample.wait", FROZEN, task(2, wait=None), "wait is not known"),
    ),
    "descriptor-of-the-call": (
        Fact("ThreadSample.args", FROZEN, task(2, reread=True, args=(5,)), "ran between"),
        Fact("ProcessSample.resources", FROZEN, program(2, resources=()), "no process that was looked at holds it"),
    ),
    "arguments-in-memory": (
        Fact("ThreadSample.wait", POLLING, task(2, wait=replace(UNREAD_MEMORY, call="poll")), "in shared memory"),
    ),
    "epoll-set": (
        Fact("Item.resource", EDGES, waits(2, on("other:no more descriptor 4", Wants.WRITE)), "nobody knows"),
        Fact("Item.edge", EDGES, waits(2, item(22, Wants.READ), item(22)), "is readable"),
    ),
    "polls-by-events": (
        Fact("Item.wants", POLLING, waits(2, item(22, Wants.READ)), "is readable"),
        Fact("Item.edge", EDGES, waits(2, item(22, Wants.READ), item(22, edge=True)), "is readable"),
        Fact("SocketSample.error_queue", POLLING, far(error_queue=None), "has an error queue"),
        Fact("SocketSample.error_queue", POLLING, far(error_queue="SO_TIMESTAMPING"), "SO_TIMESTAMPING"),
    ),
    "icmp-is-asked-for": (
        Fact("SocketSample.error_queue", FROZEN, far(error_queue="IP_RECVERR"), "ICMP"),
        Fact("SocketSample.error_queue", FROZEN, far(error_queue=None), "has an error queue"),
    ),
    "futex-of-its-memory": (Fact("ThreadSample.wait", WORKER, task(2, 9, wait=UNREAD_MEMORY), "in shared memory"),),
    "children-end-by-themselves": (
        Fact("Item.resource", PARENT, waits(3, on("process:8", Wants.END)), "process 8 could end its wait"),
    ),
    "dated-time-limit": (
        Fact("Wait.deadline_ns", TIMED, waits(2, item(22), timed=True), "the end is not known"),
        Fact("Wait.presumed", TIMED, waits(2, item(22), deadline_ns=NOW + 30 * SECOND, presumed=True), "timer_list"),
    ),
    "socket-time-limits": (
        Fact("SocketSample.send_timeout_ns", FROZEN, far(send_timeout_ns=None), "SO_SNDTIMEO"),
        Fact("SocketSample.receive_timeout_ns", SECOND_CLIENT, end(44, receive_timeout_ns=None), "SO_RCVTIMEO"),
    ),
    "unix-peers": (Fact("Snapshot.peers", SELF_PIPE, shot(peers={}), "unix_diag"),),
    "all-tables-read": (
        Fact("Snapshot.unreadable", FROZEN, shot(unreadable=2), "unreadable fd tables: 2"),
        Fact("Snapshot.unlisted", FROZEN, shot(unlisted=True), "does not list"),
        Fact("ProcessSample.resources", FROZEN, program(9, resources=None), "descriptors of 9 program could not"),
    ),
    "no-descriptor-in-flight": (
        Fact("ProcessSample.in_flight", FROZEN, program(9, in_flight=1), "scm_fds"),
        Fact("ProcessSample.io_uring", FROZEN, program(2, io_uring=True), "io_uring of 2 program"),
        Fact("ProcessSample.hidden", FROZEN, program(1, hidden=("may have requests",)), "1 program may have requests"),
    ),
    "no-hidden-handler": (
        Fact("ProcessSample.hidden", FROZEN, program(1, hidden=("has a lease",)), "1 program has a lease"),
        Fact("ProcessSample.reaps", FROZEN, program(1, reaps=(3,)), "child 3"),
    ),
    "no-alarm": (
        Fact("ProcessSample.catches_alarm", FROZEN, program(1, catches_alarm=None), "SIGALRM could not be read"),
        Fact("ProcessSample.catches_alarm", FROZEN, program(1, catches_alarm=True), "catches SIGALRM"),
        Fact("ProcessSample.posix_timers", FROZEN, program(1, posix_timers=None), "POSIX timers"),
        Fact("ProcessSample.alarm_ends_it", FROZEN, program(1, alarm_ends_it=True), "ended by SIGALRM"),
        Fact("ProcessSample.alarm_ends_it", FROZEN, program(1, alarm_ends_it=None), "is hidden"),
    ),
    "eventfd-by-holder": (
        Fact("ProcessSample.signals", EVENTFD, program(9, signals=True), "may signal eventfd:7"),
        Fact("Snapshot.thresholds", EVENTFD, shot(thresholds=True), "may signal eventfd:7 for a memory threshold"),
    ),
    "runtime-housekeeping": (
        Fact("ProcessSample.runtime", JVM, program(2, runtime=None), "ends by itself"),
        Fact("ThreadSample.comm", JVM, task(2, 9, comm="pool-1-thread-1"), "ends by itself"),
    ),
    "no-new-connection": (
        Fact("Item.resource", LISTENER, waits(2, on("other:what", Wants.READ), tid=3), "nobody knows who wakes it"),
    ),
    "window-selection": (
        Fact("SocketSample.rcvbuf", FROZEN, far(rcvbuf=16_384), "may open its window"),
        Fact("SocketSample.rmem_alloc", FROZEN, far(rmem_alloc=4000), "may open its window"),
        Fact("SocketSample.rcv_mss", A_SEGMENT_SHORT, far(rcv_mss=536), "may open its window"),
        Fact("SocketSample.rcv_wnd", REFUSED, far(rcv_wnd=None), "tcpi_rcv_wnd"),
        Fact("SocketSample.rcv_wnd", FROZEN, far(rcv_wnd=1), "offers a window of 1 "),
    ),
    "window-clamp": (
        Fact("SocketSample.window_clamp", WIDE, far(window_clamp=100_000), "may open its window"),
        Fact("SocketSample.window_clamp", WIDE, far(window_clamp=None), "may open its window"),
        Fact("SocketSample.rcv_wscale", NEAR_THE_CLAMP, far(rcv_wscale=14), "may open its window"),
        Fact("SocketSample.rcv_wscale", NEAR_THE_CLAMP, far(rcv_wscale=None), "may open its window"),
    ),
    "unseen-window": (
        Fact("SocketSample.snd_wnd", UNSEEN, near(snd_wnd=None), "tcpi_snd_wnd"),
        Fact("SocketSample.snd_wnd", UNSEEN, near(snd_wnd=1), "has not yet heard"),
        Fact("SocketSample.unacked", UNSEEN, near(unacked=1), "not yet refused"),
        Fact("SocketSample.notsent_bytes", UNSEEN, near(notsent_bytes=7264), "not yet refused"),
        Fact("SocketSample.bytes_acked", UNSEEN, near(bytes_acked=8905), "acknowledgment is on its way"),
        Fact("SocketSample.bytes_received", UNSEEN, far(bytes_received=9096), "acknowledgment is on its way"),
        Fact("SocketSample.backlog", UNSEEN, far(backlog=1), "backlog"),
        Fact("SocketSample.rcvbuf_locked", UNSEEN_STRANGER, far(rcvbuf_locked=None), "may have lowered"),
        Fact("SocketSample.window_clamp", UNSEEN, far(window_clamp=None), "tcpi_rcv_wnd"),
    ),
    "window-selection-by-scale": (
        Fact("Evidence.adv_win_scale_counts", BY_SCALE, whole(adv_win_scale_counts=None), "tcpi_rcv_wnd"),
        Fact("Evidence.settings_of", BY_SCALE_OF_EACH, whole(settings_of={}), "tcpi_rcv_wnd"),
        Fact("Settings.sysctls", BY_SCALE, whole(settings=settings()), "tcpi_rcv_wnd"),
        Fact("SocketSample.window_clamp", BY_SCALE, far(window_clamp=None), "may open its window"),
        Fact("SocketSample.rcv_wscale", BY_SCALE, far(rcv_wscale=None), "may open its window"),
    ),
    "answered-probe": (
        Fact("SocketSample.last_data_sent_ms", ANSWERED, near(last_data_sent_ms=100), "may open its window"),
        Fact("SocketSample.last_ack_recv_ms", ANSWERED, near(last_ack_recv_ms=250), "may open its window"),
        Fact("SocketSample.rto_us", ANSWERED, near(rto_us=900_000), "may open its window"),
        Fact("SocketSample.backoff", ANSWERED, near(backoff=0), "may open its window"),
        Fact("SocketSample.rcvbuf_locked", ANSWERED, far(rcvbuf_locked=None), "may open its window"),
        Fact("SocketSample.rcvbuf_locked", ANSWERED_STRANGER, far(rcvbuf_locked=True), "may have raised it"),
        Fact("SocketSample.earlier", SET_BEFORE, far(earlier=None), "may have raised it"),
    ),
    "seen-to-close": (
        Fact("SocketSample.earlier", CLOSED, far(earlier=None), "may open its window"),
        Fact("SocketSample.drops", CLOSED, far(earlier=closing(drops=1), drops=1), "may open its window"),
        Fact("SocketSample.rcvbuf_locked", CLOSED_STRANGER, far(rcvbuf_locked=True), "may have raised it"),
        Fact("SocketSample.rcvbuf_locked", CLOSED_STRANGER, far(rcvbuf_locked=None), "may have raised it"),
    ),
    "refused-flight": (
        Fact("SocketSample.backoff", REFUSED, near(backoff=0), "not yet refused"),
        Fact("SocketSample.unacked", REFUSED, near(notsent_bytes=7360), "do not fit"),
        Fact("SocketSample.notsent_bytes", REFUSED, near(notsent_bytes=8000), "do not fit"),
    ),
    "one-third-free": (
        Fact("SocketSample.wmem_queued", TWO_THIRDS, near(wmem_queued=5000), "has room"),
        Fact("SocketSample.sndbuf", TWO_THIRDS, near(sndbuf=9000), "has room"),
    ),
    "unsent-limit": (
        Fact("SocketSample.notsent_bytes", MUCH_UNSENT, near(notsent_bytes=7000, **SOME_SENT), "has room"),
        Fact("SocketSample.notsent_lowat", MUCH_UNSENT, near(notsent_lowat=None), "has room"),
        Fact("Settings.sysctls", MUCH_UNSENT_BY_SYSCTL, whole(settings=settings()), "has room"),
    ),
    "write-retry": (Fact("SocketSample.earlier", RESTED, far(earlier=None), "earlier samples"),),
    "packet-merging": (
        Fact("SocketSample.wmem_queued", PACKETS, near(wmem_queued=5000), "has room"),
        Fact("SocketSample.pacing_rate", PACKETS, near(pacing_rate=None), "4736 of 8192 bytes are sure"),
        Fact("SocketSample.unacked", PACKETS, near(**IN_FLIGHT | {"notsent_bytes": 4000}), "4736 of 8192"),
    ),
    "send-buffer-growth": (
        Fact("SocketSample.sndbuf", GROWN, near(sndbuf=82_944, wmem_queued=82_944), "may grow"),
        Fact("SocketSample.sndbuf_locked", SET, near(sndbuf_locked=None), "may grow"),
        Fact("SocketSample.snd_cwnd", GROWN, near(snd_cwnd=99), "may grow"),
        Fact("SocketSample.advmss", BBR, far(advmss=None), "may grow"),
        Fact("SocketSample.congestion", GROWN, near(congestion=None), "may grow"),
        Fact("Evidence.max_tcp_header", BBR, whole(max_tcp_header=None), "may grow"),
        Fact("Settings.sysctls", HELD_DOWN, whole(settings=LARGE), "may grow"),
        Fact("Settings.sysctls", HELD_DOWN, whole(settings=Pair(None, None)), "may grow"),
    ),
    "silly-window": (
        Fact("SocketSample.snd_wnd", SMALL_WINDOW, near(snd_wnd=512), "offers a window of 1024"),
        Fact("SocketSample.rcv_wnd", SMALL_WINDOW, far(rcv_wnd=512), "offers a window of 512"),
        Fact("SocketSample.timer", SMALL_WINDOW, near(timer="none"), "offers a window"),
        Fact("SocketSample.ca_state", SMALL_WINDOW, near(ca_state=None), "offers a window"),
    ),
    "capacity": (
        Fact("SocketSample.rqueue", DEEP, far(rqueue=0), "offers a window"),
        Fact("SocketSample.rcvbuf", DEEP, far(rcvbuf=16_384), "offers a window"),
        Fact("SocketSample.rcvbuf_locked", DEEP, far(rcvbuf_locked=None), "offers a window"),
        Fact("SocketSample.rcv_wscale", DEEP, far(rcv_wscale=None), "offers a window"),
        Fact("SocketSample.rcv_wnd", DEEP, far(rcv_wnd=None), "has not yet heard"),
        Fact("Settings.sysctls", BOUNDED, whole(settings=LARGE), "offers a window"),
    ),
    "ack-starvation": (
        Fact("Evidence.release", STARVED, whole(release="7.0.1"), "offers a window"),
        Fact("Evidence.release", STARVED, whole(release=None), "offers a window"),
        Fact("SocketSample.rcv_wscale", STARVED, far(rcv_wscale=None), "offers a window"),
        Fact("SocketSample.rqueue", STARVED, near(rqueue=0), "offers a window"),
        Fact("SocketSample.backoff", STARVED, near(backoff=0), "offers a window"),
        Fact("SocketSample.rtt_us", STARVED, far(rtt_us=None), "offers a window"),
        Fact("SocketSample.last_data_sent_ms", STARVED, far(last_data_sent_ms=60), "offers a window"),
    ),
    "plain-tcp": (
        Fact("SocketSample.ulp", FROZEN, far(ulp="tls"), "what tls above"),
        Fact("SocketSample.ulp", FROZEN, far(ulp=None), "TCP_ULP"),
    ),
}  # fmt: skip


CASES = [
    pytest.param(premise, fact, id=f"{premise}-{fact.field}-{nth}")
    for premise, facts in FACTS.items()
    for nth, fact in enumerate(facts)
]


def said(verdict: Verdict) -> tuple[str, ...]:
    waiting = (each.waits_for for each in verdict.live)
    return all_words((*verdict.qualifiers, *verdict.missing, *verdict.contradictions, *waiting))


PROOFS = frozenset(Grade) - {Grade.CONSISTENT}


@pytest.mark.parametrize(("premise", "fact"), CASES)
def test_a_proof_falls_or_names_it_if_what_its_premise_needs_is_unknown_or_reversed(premise: str, fact: Fact) -> None:
    proven, verdict = judge(fact.proof), judge(fact.change(fact.proof))
    assert (proven.outcome, proven.grade in PROOFS) == (Outcome.DEADLOCK, True), said(proven)
    assert premise in proven.premises, "this proof does not stand on it"
    assert any(fact.word in each for each in said(verdict)), said(verdict)
    assert not any(fact.word in each for each in said(proven)), "it is said of every proof"
    assert verdict.grade not in PROOFS or set(verdict.qualifiers) > set(proven.qualifiers), verdict.grade


@pytest.mark.parametrize("premise", [each.id for each in TABLE])
def test_every_fact_that_a_premise_needs_is_taken_away(premise: str) -> None:
    assert {fact.field for fact in FACTS.get(premise, ())} == set(BY_ID[premise].needs)
