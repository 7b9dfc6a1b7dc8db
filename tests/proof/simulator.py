"""A small world that knows whether anything can still move: programs with threads, TCP connections with four buffers,
pipes, wake-ups, children, clocks. It shows itself in a Snapshot, as the kernel would, and can be played to its end.

Scripts are finite, so every world comes to an end. Buffers hold payload only. A receiver offers what the kernel would,
whenever data or a probe arrives or its program reads, and takes nothing back; SO_RCVBUF tells nobody. A writer wakes
when a third is free, or by arriving data or its own clock as soon as a byte fits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from random import Random

from lab.evidence import (
    EarlierSample,
    Item,
    ProcessSample,
    Resource,
    ResourceKind,
    Snapshot,
    SocketSample,
    ThreadSample,
    Wait,
    Wants,
)
from lab.spec import Pair
from tests.proof.select_window import select_window

MSS, CLAMP = 8, 1 << 30
SECOND = 1_000_000_000
START = 1_000 * SECOND


@dataclass(eq=False)
class End:
    """One end of a connection: what it has to send, and what it has received."""

    inode: int
    sndbuf: int
    rcvbuf: int
    queued: int = 0
    received: int = 0
    taken: int = 0
    acked: int = 0
    edge: int = field(init=False)
    """The right edge of the window that it has offered."""
    peer: "End" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.edge = self.choice

    @property
    def rqueue(self) -> int:
        return self.received - self.taken

    @property
    def window(self) -> int:
        return self.edge - self.received

    @property
    def choice(self) -> int:
        return select_window(self.rcvbuf - self.rqueue, self.rcvbuf, CLAMP, MSS)

    def offer(self) -> None:
        self.edge = max(self.edge, self.received + self.choice)

    @property
    def fits(self) -> int:
        return max(0, self.sndbuf - self.queued)

    @property
    def has_room(self) -> bool:
        return self.fits > 0 and self.fits >= self.queued >> 1


@dataclass(eq=False)
class Pipe:
    inode: int
    capacity: int
    held: int = 0


@dataclass(frozen=True)
class Op:
    """One line of a script. `poll` reads and writes what it can as soon as it can do one of both, or `until` passes.

    `set` tells of an event, and sets SO_RCVBUF of an end.
    """

    kind: str
    end: End | None = None
    other: End | None = None
    pipe: Pipe | None = None
    size: int = 0
    limit_ns: int | None = None
    event: int = 0


@dataclass(eq=False)
class Thread:
    tid: int
    process: "Process"
    script: list[Op]
    left: int = 0
    """Of the bytes that the present call has to write."""
    deadline_ns: int | None = None
    kicked: bool = False
    begun: bool = False
    switches: int = 0
    moves: list[int] = field(default_factory=list)
    """When it went on."""

    @property
    def op(self) -> Op:
        return self.script[0] if self.script else Op("park")


@dataclass(eq=False)
class Process:
    pid: int
    ends: set[End] = field(default_factory=set)
    pipes: set[Pipe] = field(default_factory=set)
    threads: list[Thread] = field(default_factory=list)
    listens: bool = False


@dataclass(eq=False)
class World:
    processes: list[Process]
    ends: list[End]
    order: Random
    now_ns: int = START
    events: set[int] = field(default_factory=set)

    def threads(self) -> Iterator[Thread]:
        for process in self.processes:
            yield from process.threads

    # What moves.

    def step(self) -> bool:
        """One thing that can happen now, chosen by lot: a thread's, or the stacks'. False: all is still."""
        ready = [thread for thread in self.threads() if self.may_run(thread)]
        moving = [end for end in self.ends if end.queued and (end.peer.window or end.peer.choice)]
        if not ready and not moving:
            return False
        choices: list[Thread | End] = [*ready, *moving]
        chosen = self.order.choice(choices)
        if isinstance(chosen, End):
            self.transmit(chosen)
        else:
            self.run(chosen)
        return True

    def to_the_next_alarm(self, short_of_ns: int = 0) -> None:
        """To the instant itself, or shortly before it, without anything done there."""
        alarm = self.next_alarm()
        if alarm is not None:
            self.now_ns = max(self.now_ns, alarm - short_of_ns)

    def settle(self) -> None:
        while self.step():
            pass

    def next_alarm(self) -> int | None:
        return min((t.deadline_ns for t in self.threads() if t.deadline_ns is not None), default=None)

    def play_until(self, when_ns: int | None) -> None:
        """To that instant, settled; None: to the end of the world."""
        self.settle()
        while (alarm := self.next_alarm()) is not None and (when_ns is None or alarm <= when_ns):
            self.now_ns = max(self.now_ns, alarm)
            self.settle()
        if when_ns is not None:
            self.now_ns = when_ns

    def transmit(self, sender: End) -> None:
        """What fits, or a probe."""
        size = min(sender.queued, sender.peer.window)
        sender.queued -= size
        sender.acked += size
        sender.peer.received += size
        sender.peer.offer()
        if size == 0:
            return
        for thread in self.threads():
            if thread.begun and thread.op.kind == "send" and thread.op.end is sender.peer:
                thread.kicked = True

    def may_run(self, thread: Thread) -> bool:
        if not thread.begun:
            return thread.op.kind != "park"
        return self.satisfied(thread) or (thread.deadline_ns is not None and thread.deadline_ns <= self.now_ns)

    def satisfied(self, thread: Thread) -> bool:
        op = thread.op
        if op.kind == "send" and op.end:
            return op.end.has_room or (thread.kicked and op.end.fits > 0)
        if op.kind == "recv" and op.end:
            return op.end.rqueue > 0
        if op.kind == "poll":
            return bool((op.end and op.end.rqueue) or (op.other and op.other.has_room))
        if op.kind == "pipe_read" and op.pipe:
            return op.pipe.held > 0
        if op.kind == "pipe_write" and op.pipe:
            return op.pipe.held < op.pipe.capacity
        return (op.kind == "wait" and op.event in self.events) or op.kind == "set"

    def run(self, thread: Thread) -> None:
        """Begins the call, or goes on in it as far as that is possible at once."""
        op = thread.op
        thread.switches += 1
        thread.moves.append(self.now_ns)
        first, thread.begun, thread.kicked = not thread.begun, True, False
        if first:
            thread.left = op.size
            thread.deadline_ns = None if op.limit_ns is None else self.now_ns + op.limit_ns
        expired = not first and thread.deadline_ns is not None and thread.deadline_ns <= self.now_ns
        if self.done(thread, op, expired=expired) or expired:
            thread.script.pop(0)
            thread.begun, thread.deadline_ns = False, None

    def done(self, thread: Thread, op: Op, *, expired: bool) -> bool:
        if op.kind == "send" and op.end:
            size = min(thread.left, op.end.fits)
            op.end.queued += size
            thread.left -= size
            return thread.left == 0
        if op.kind == "recv" and op.end:
            return self.take(op.end, op.size)
        if op.kind == "poll":
            read = bool(op.end) and self.take(op.end, op.size)
            wrote = op.other is not None and (op.other.has_room or expired) and op.other.fits > 0
            if op.other is not None and wrote:
                op.other.queued += min(op.size, op.other.fits)
            return read or wrote
        if op.kind == "pipe_read" and op.pipe:
            size = min(op.size, op.pipe.held)
            op.pipe.held -= size
            return size > 0
        if op.kind == "pipe_write" and op.pipe:
            size = min(thread.left, op.pipe.capacity - op.pipe.held)
            op.pipe.held += size
            thread.left -= size
            return thread.left == 0
        if op.kind == "set":
            if op.end:
                op.end.rcvbuf = op.size
            self.events.add(op.event)
            return True
        return op.kind == "wait" and op.event in self.events

    def take(self, end: End | None, size: int) -> bool:
        if end is None or not end.rqueue:
            return False
        end.taken += min(size, end.rqueue)
        end.offer()
        return True

    # How it looks.

    def snapshot(self) -> Snapshot:
        shown = tuple(self.thread_sample(thread) for thread in self.threads())
        return Snapshot(
            number=1,
            threads_before=shown,
            sockets=Pair(socket_sample(self.ends[0]), socket_sample(self.ends[1])),
            threads_after=shown,
            progress=Pair(None, None),
            others=tuple(socket_sample(end) for end in self.ends[2:]),
            processes=tuple(process_sample(process) for process in self.processes),
        )

    def thread_sample(self, thread: Thread) -> ThreadSample:
        runs = self.may_run(thread)
        wait = None if runs else self.wait_of(thread)
        return ThreadSample(
            time_ns=self.now_ns, role=None, pid=thread.process.pid, tid=thread.tid, comm="program",
            state="R" if runs else "S", syscall="running" if wait is None else wait.call, args=(), socket_inode=None,
            switches=thread.switches, wait=wait,
        )  # fmt: skip

    def wait_of(self, thread: Thread) -> Wait:
        op, items = thread.op, list[Item]()
        if op.kind in ("recv", "poll") and op.end:
            items.append(Item(Resource.socket(op.end.inode), Wants.READ))
        writes_to = op.end if op.kind == "send" else op.other
        if op.kind in ("send", "poll") and writes_to:
            items.append(Item(Resource.socket(writes_to.inode), Wants.WRITE))
        if op.pipe:
            wants = Wants.READ if op.kind == "pipe_read" else Wants.WRITE
            items.append(Item(Resource(ResourceKind.PIPE, op.pipe.inode), wants))
        if op.kind in ("wait", "park"):
            items.append(Item(Resource.process(thread.process.pid), Wants.WAKE))
        if op.kind == "child":
            items.append(Item(Resource.process(op.event), Wants.END))
        if op.kind == "accept":
            items.append(Item(Resource(ResourceKind.LISTENER, thread.process.pid), Wants.ACCEPT))
        return Wait(CALLS[op.kind], tuple(items), thread.deadline_ns, timed=thread.deadline_ns is not None)


CALLS = {
    "send": "sendto", "recv": "recvfrom", "poll": "poll", "pipe_read": "read", "pipe_write": "write", "wait": "futex",
    "park": "futex", "child": "wait4", "accept": "accept4", "sleep": "clock_nanosleep", "set": "futex",
}  # fmt: skip


def socket_sample(end: End) -> SocketSample:
    here, there = end.inode, end.peer.inode
    sample = SocketSample(
        time_ns=START, role=None, cookie=here, inode=here, local=f"192.0.2.1:{here}", remote=f"192.0.2.1:{there}",
        state="ESTABLISHED", timer="persist" if end.queued else "none", expires_ms=0, rqueue=end.rqueue,
        wqueue=end.queued, backoff=0, probes=0, unacked=0, notsent_bytes=end.queued,
        bytes_acked=end.acked + (here < there), bytes_received=end.received, snd_wnd=end.peer.window,
        rcv_wnd=end.window, snd_mss=MSS, rcv_mss=MSS, snd_cwnd=10, reordering=3, rto_us=204_000, last_data_sent_ms=0,
        last_ack_recv_ms=0, rmem_alloc=end.rqueue, rcvbuf=end.rcvbuf, sndbuf=end.sndbuf, wmem_queued=end.queued,
        backlog=0, drops=0, send_timeout_ns=0, receive_timeout_ns=0, user_timeout_ms=0,
        window_clamp=CLAMP, ulp="", error_queue="", sndbuf_locked=True,
    )  # fmt: skip
    # Long ago it stood as now: its writer has gone to sleep for good.
    known = {field.name: getattr(sample, field.name) for field in fields(EarlierSample)}
    return replace(sample, earlier=(EarlierSample(**known | {"time_ns": START - SECOND}),))


def process_sample(process: Process) -> ProcessSample:
    held = [Resource.socket(end.inode) for end in process.ends]
    held += [Resource(ResourceKind.PIPE, pipe.inode) for pipe in process.pipes]
    return ProcessSample(
        time_ns=0, pid=process.pid, parent=1, comm="program", container=None, resources=tuple(held),
        catches_alarm=False, posix_timers=0, io_uring=False, in_flight=0,
    )  # fmt: skip


def connect(inode: int, sizes: tuple[int, int, int, int]) -> tuple[End, End]:
    near, far = End(inode, sizes[0], sizes[1]), End(inode + 1, sizes[2], sizes[3])
    near.peer, far.peer = far, near
    return near, far


def draw(lot: Random) -> World:
    """Two to four programs in one to three connections; some are inherited, some programs are joined by a pipe."""
    processes = [Process(100 + 10 * index) for index in range(lot.randint(2, 4))]
    ends: list[End] = []
    for index in range(lot.choice((1, 1, 2, 3))):
        sizes = tuple(lot.choice((32, 64, 96, 200)) for _ in range(4))
        pair = connect(10 * (index + 1), (sizes[0], sizes[1], sizes[2], sizes[3]))
        ends += pair
        near, far = processes[:2] if index == 0 else lot.sample(processes, 2)
        near.ends.add(pair[0])
        far.ends.add(pair[1])
    if lot.random() < 0.5:
        pipe = Pipe(77, 64)
        for process in lot.sample(processes, 2):
            process.pipes.add(pipe)
    for process in processes:
        if lot.random() < 0.15:
            process.ends.add(lot.choice(ends))
        for index in range(lot.choice((1, 1, 2, 3))):
            thread = Thread(process.pid + index, process, [])
            thread.script = _script(lot, process, processes)
            process.threads.append(thread)
    return World(processes, ends, lot)


def _script(lot: Random, process: Process, processes: list[Process]) -> list[Op]:
    """A writer, an echo, who comes to read later (by a clock, a wake-up or a pipe), who sees to that, or noise."""
    ends, pipes = sorted(process.ends, key=lambda end: end.inode), list(process.pipes)
    part = lot.choice(("write", "write", "echo", "ask", "late", "late", "waker", "accept", "noise"))
    if not ends or part == "noise":
        return [_line(lot, process, processes) for _ in range(lot.randint(1, 4))]
    end, pause = lot.choice(ends), Op("sleep", limit_ns=lot.choice((100, 900, 2500, 9000)) * SECOND // 1000)
    fills = Op("send", end, size=3000) if lot.random() < 0.6 else Op("poll", None, end, size=3000)
    triggers = [pause, Op("wait", event=process.pid), *(Op("pipe_read", pipe=pipe, size=8) for pipe in pipes)]
    wakers = [Op("set", event=process.pid), *(Op("pipe_write", pipe=pipe, size=8) for pipe in pipes)]
    if part == "ask":
        return [Op("send", end, size=lot.choice((8, 60))), Op("recv", end, size=60)] * 2
    if part == "accept":
        return [Op("accept")]
    if part == "waker":
        return [pause, lot.choice(wakers)]
    if part == "late":
        return [lot.choice(triggers), *[Op("recv", end, size=3000)] * 3]
    return [fills] * 4 if part == "write" else [Op("recv", end, size=60), *[fills] * 4]


def _line(lot: Random, process: Process, processes: list[Process]) -> Op:
    ends = sorted(process.ends, key=lambda end: end.inode)
    pipes = list(process.pipes)
    kinds = [*["send"] * 9, *["recv"] * 3, *["poll"] * 4] if ends else []
    kinds += ["pipe_read", "pipe_write"] if pipes else []
    kinds += lot.choice(([], [], ["sleep", "wait", "set", "child", "accept"]))
    kind = lot.choice(kinds or ["sleep", "wait"])
    limit_ns = lot.choice((1, 300, 1500, 4000, 9000)) * SECOND // 1000
    size = lot.choice((8, 60, 400, 3000))
    if kind == "poll":
        reads, writes = lot.choice(((True, False), (False, True), (True, True)))
        limit = lot.choice((None, None, None, limit_ns))
        return Op(kind, lot.choice(ends) if reads else None, lot.choice(ends) if writes else None, None, size, limit)
    if kind in ("send", "recv"):
        return Op(kind, lot.choice(ends), size=size)
    if kind in ("pipe_read", "pipe_write"):
        return Op(kind, pipe=pipes[0], size=size)
    event = lot.choice(processes).pid if kind == "child" else lot.randint(1, 3)
    return Op(kind, limit_ns=limit_ns if kind == "sleep" else None, event=event + process.pid * (kind != "child"))
