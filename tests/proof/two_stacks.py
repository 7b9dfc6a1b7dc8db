"""Two programs and two TCP stacks, packet by packet and byte by byte, as Linux 6.12 to 6.18 does it.

Nothing here is a rule of the proof. A stack chooses its window by __tcp_select_window(), charges each packet for more
than its payload, collapses or refuses what does not fit, probes, sends small segments by its persist timer, grows its
send buffer; the way loses, doubles and overtakes. What it shows of itself is what sock_diag would show. Times in us.
"""

import copy
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
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
from lab.proof.stack.traits import KernelTraits
from lab.spec import Pair
from tests.proof.select_window import select_window

MS, SECOND = 1_000, 1_000_000
START_NS = 1_000_000_000_000
RTO_MIN, RTO_MAX = 200 * MS, 120 * SECOND
OVERHEAD = 832
"""Bytes of a send buffer that a packet takes beside its payload."""
KEPT_SAMPLES = 60


@dataclass(frozen=True)
class Segment:
    seq: int
    size: int
    ack: int
    wnd: int


@dataclass(eq=False)
class Packet:
    """Of a send queue."""

    seq: int
    size: int
    sent: bool = False


@dataclass(frozen=True)
class Settings:
    """Of one end."""

    sndbuf: int
    rcvbuf: int
    rmem_max: int
    wmem_max: int
    ratio: int
    """Of 256 parts of the receive buffer, how many make a window (scaling_ratio)."""
    wscale: int
    mss: int
    nodelay: bool
    round_to: int
    """A packet takes a multiple of this of the receive buffer, beside an sk_buff."""
    sndbuf_locked: bool
    clamp: int | None = None


@dataclass(eq=False)
class Stack:
    inode: int
    set: Settings
    world: "TwoStacks"
    peer: "Stack" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        own = self.set
        self.sndbuf, self.rcvbuf, self.rcvbuf_locked = own.sndbuf, own.rcvbuf, False
        self.clamp = min(own.clamp or 1 << 30, self.share(own.rcvbuf))
        self.queue: list[Packet] = []
        self.una = self.nxt = self.written = 0
        self.wnd = self.wl = 0
        self.cwnd, self.backoff, self.probes, self.in_loss = 10, 0, 0, False
        self.timer_at: int | None = None
        self.data_sent_at = self.ack_heard_at = 0
        self.rnxt = self.copied = self.wup = self.rmem = self.drops = 0
        self.held: list[tuple[int, int]] = []
        """What lies in the receive buffer: payload, and what it takes."""
        self.rcv_mss = 536
        self.edge = self.up_to_unit(min(self.clamp, self.share(own.rcvbuf)))
        self.no_memory = False
        self.refused_at = -SECOND
        self.ack_at: int | None = None
        self.nospace = False
        self.samples: list[EarlierSample] = []

    # The receiver.

    def share(self, space: int) -> int:
        return space * self.set.ratio >> 8

    def up_to_unit(self, size: int) -> int:
        return -(-size >> self.set.wscale) << self.set.wscale

    @property
    def rwnd(self) -> int:
        return max(0, self.edge - self.rnxt)

    def choose_window(self) -> int:
        free, allowed = self.share(max(0, self.rcvbuf - self.rmem)), self.share(self.rcvbuf)
        return self.up_to_unit(select_window(free, allowed, self.clamp, self.rcv_mss, self.set.wscale))

    def offer(self) -> int:
        """tcp_select_window()"""
        if self.no_memory:
            self.no_memory, self.edge = False, self.rnxt
        else:
            self.edge = self.rnxt + max(self.choose_window(), self.up_to_unit(self.rwnd))
        self.wup = self.rnxt
        return self.rwnd

    def acknowledge(self) -> None:
        beyond = self.nxt - (self.una + self.wnd)
        self.transmit(self.nxt if beyond < 1 << self.set.wscale else self.una + self.wnd, 0)

    def receive(self, segment: Segment) -> None:
        end = segment.seq + segment.size
        beyond = end > self.rnxt + self.rwnd and (segment.seq > self.rnxt + self.rwnd or self.rnxt > self.copied)
        if end < self.wup or beyond:
            self.refuse(segment)
            return
        heard = self.hear(segment)
        if segment.size:
            self.take(segment)
        if heard:
            self.push()
            self.make_room()

    def refuse(self, segment: Segment) -> None:
        """tcp_validate_incoming(): what carries nothing is answered twice a second at most (tcp_oow_rate_limited())."""
        if segment.size == 0:
            if self.world.now < self.refused_at + SECOND // 2:
                return
            self.refused_at = self.world.now
        self.acknowledge()

    def take(self, segment: Segment) -> None:
        """tcp_data_queue()"""
        fresh = segment.seq + segment.size - self.rnxt
        if fresh <= 0 or segment.seq > self.rnxt or self.rwnd == 0:
            self.acknowledge()
            return
        self.rcv_mss = max(self.rcv_mss, min(segment.size, self.set.mss))
        takes = 256 + -(-(segment.size + 320) // self.set.round_to) * self.set.round_to
        if self.rmem + takes > self.rcvbuf:
            if not self.rcvbuf_locked:  # tcp_clamp_window()
                self.rcvbuf = max(self.rcvbuf, min(self.rmem, self.set.rmem_max))
            self.collapse()
        if self.rmem > self.rcvbuf:
            self.no_memory = True
            if self.held:
                self.drops += 1
                self.world.wake_writer(self, arrived=True)
                self.acknowledge()
                return
        self.held.append((fresh, takes))
        self.rmem += takes
        self.rnxt += fresh
        self.world.wake_reader(self)
        self.world.wake_writer(self, arrived=True)
        if self.ack_at is None and not self.no_memory and self.world.lot.random() < 0.5:
            self.ack_at = self.world.now + 40 * MS
            self.world.at(self.ack_at, self.delayed_ack)
        else:
            self.ack_at = None
            self.acknowledge()

    def delayed_ack(self) -> None:
        if self.ack_at is not None and self.ack_at <= self.world.now:
            self.ack_at = None
            self.acknowledge()

    def collapse(self) -> None:
        """tcp_collapse(): into whole pages."""
        payload = sum(size for size, _ in self.held)
        takes = payload + 576 * -(-payload // 3840)
        if self.held and takes < self.rmem:
            self.held, self.rmem = [(payload, takes)], takes

    def read(self, most: int) -> int:
        taken = left = min(most, self.rnxt - self.copied)
        self.copied += taken
        while left:
            size, takes = self.held.pop(0)
            if size > left:
                self.held.insert(0, (size - left, takes))
                break
            left -= size
            self.rmem -= takes
        now = self.rwnd
        window = self.choose_window() if 2 * now <= self.clamp else 0
        if window and window >= 2 * now:
            self.acknowledge()
        return taken

    def resize(self, rcvbuf: int) -> None:
        """SO_RCVBUF"""
        self.rcvbuf, self.rcvbuf_locked = max(2304, rcvbuf), True

    # The sender.

    @property
    def wmem_queued(self) -> int:
        return sum(each.size + OVERHEAD for each in self.queue)

    @property
    def in_flight(self) -> int:
        return sum(each.sent for each in self.queue)

    def write(self, size: int) -> int:
        """tcp_sendmsg(): as many bytes as there is room for."""
        done = 0
        while done < size:
            last = self.queue[-1] if self.queue and not self.queue[-1].sent else None
            if last is None or last.size >= self.set.mss:
                if self.wmem_queued >= self.sndbuf:
                    self.nospace = True
                    break
                last = Packet(self.written, 0)
                self.queue.append(last)
            some = min(size - done, self.set.mss - last.size)
            last.size += some
            self.written += some
            done += some
        self.push()
        return done

    def push(self) -> None:
        """tcp_write_xmit(): whole packets that fit into the window; small ones wait for an acknowledgment (Nagle)."""
        for packet in [each for each in self.queue if not each.sent]:
            small = packet.size < self.set.mss and self.in_flight and not self.set.nodelay
            if packet.seq + packet.size > self.una + self.wnd or self.in_flight >= self.cwnd or small:
                break
            self.send(packet)
        self.rearm()

    def send(self, packet: Packet) -> None:
        packet.sent = True
        self.nxt = packet.seq + packet.size
        self.data_sent_at = self.world.now
        self.transmit(packet.seq, packet.size)

    def transmit(self, seq: int, size: int) -> None:
        self.ack_at = None
        self.world.carry(self.peer, Segment(seq, size, self.rnxt, self.offer()))

    def rearm(self) -> None:
        if not self.queue:
            self.timer_at = None
        elif self.timer_at is None:
            self.timer_at = self.world.now + min(RTO_MAX, self.world.rto << self.backoff)
            self.world.at(self.timer_at, self.fire)

    def fire(self) -> None:
        if self.timer_at is None or self.timer_at > self.world.now:
            return
        self.timer_at = None
        if not self.queue:
            return
        head = self.queue[0]
        if head.sent:  # tcp_retransmit_timer()
            self.cwnd, self.in_loss = 1, True
            self.backoff += 1
            self.data_sent_at = self.world.now
            self.transmit(head.seq, head.size)
        elif self.wnd > 0:  # tcp_write_wakeup()
            if head.size > self.wnd:
                self.queue.insert(1, Packet(head.seq + self.wnd, head.size - self.wnd))
                head.size = self.wnd
            self.send(head)
        else:
            self.probes += 1
            self.backoff += 1
            self.transmit(self.una - 1, 0)
        self.rearm()

    def hear(self, segment: Segment) -> bool:
        """tcp_ack()"""
        if not self.una <= segment.ack <= self.nxt:
            return False
        self.ack_heard_at, self.probes = self.world.now, 0
        newer = segment.ack > self.una or segment.seq > self.wl
        if newer or (segment.seq == self.wl and (segment.wnd > self.wnd or segment.wnd == 0)):
            self.wnd, self.wl = segment.wnd, segment.seq
        if segment.ack > self.una:
            self.una, self.in_loss = segment.ack, False
            while self.queue and self.queue[0].seq + self.queue[0].size <= self.una:
                self.queue.pop(0)
                self.cwnd += self.cwnd < 40
            if self.queue and self.queue[0].seq < self.una:
                head = self.queue[0]
                head.seq, head.size = self.una, head.seq + head.size - self.una
            self.backoff, self.timer_at = 0, None
        elif self.wnd and self.queue and not self.queue[0].sent and self.backoff:
            self.backoff, self.timer_at = 0, None
        return True

    def make_room(self) -> None:
        """tcp_check_space(): the send buffer may grow, and the writer wakes if a third is free."""
        if not self.nospace:
            return
        if not self.set.sndbuf_locked and self.in_flight < self.cwnd:
            each = 1 << (self.set.mss + 256 + 320 - 1).bit_length()
            self.sndbuf = max(self.sndbuf, min(2 * max(10, self.cwnd, 4) * (each + 256), self.set.wmem_max))
        if self.sndbuf - self.wmem_queued >= self.wmem_queued >> 1:
            self.nospace = False
            self.world.wake_writer(self, arrived=False)

    # How it looks.

    def show(self) -> SocketSample:
        now, unsent = self.world.now, self.written - self.nxt
        timer = "none" if not self.queue else "on" if self.in_flight else "persist"
        here, there = self.inode, self.peer.inode
        sample = SocketSample(
            time_ns=START_NS + now * 1000, role=None, cookie=here, inode=here, local=f"192.0.2.1:{here}",
            remote=f"192.0.2.1:{there}", state="ESTABLISHED", timer=timer, expires_ms=0, rqueue=self.rnxt - self.copied,
            wqueue=self.written - self.una, backoff=self.backoff, probes=self.probes, unacked=self.in_flight,
            notsent_bytes=unsent, bytes_acked=self.una + (here < there), bytes_received=self.rnxt, snd_wnd=self.wnd,
            rcv_wnd=self.rwnd, snd_mss=self.set.mss, rcv_mss=self.rcv_mss, snd_cwnd=self.cwnd, reordering=3,
            rto_us=self.world.rto, last_data_sent_ms=(now - self.data_sent_at) // MS,
            last_ack_recv_ms=(now - self.ack_heard_at) // MS, rmem_alloc=self.rmem, rcvbuf=self.rcvbuf,
            sndbuf=self.sndbuf, wmem_queued=self.wmem_queued, backlog=0, drops=self.drops, send_timeout_ns=0,
            receive_timeout_ns=0, user_timeout_ms=0, rcv_wscale=self.set.wscale, congestion="cubic",
            sndbuf_locked=self.set.sndbuf_locked, rcvbuf_locked=self.rcvbuf_locked, advmss=self.set.mss,
            ca_state=4 if self.in_loss else 0, pacing_rate=(1 << 64) - 1, ulp="", error_queue="",
            window_clamp=self.clamp, earlier=tuple(self.samples),
        )  # fmt: skip
        self.samples.append(EarlierSample(**{each.name: getattr(sample, each.name) for each in fields(EarlierSample)}))
        del self.samples[1:-KEPT_SAMPLES]
        return sample


@dataclass(eq=False)
class Program:
    """It does one thing after the other: ("write" | "read" | "sleep" | "resize", bytes or us)."""

    pid: int
    stack: Stack
    script: list[tuple[str, int]]
    left: int = 0
    begun: bool = False
    until: int | None = None
    switches: int = 0
    written: list[int] = field(default_factory=list)
    """When it went on in a write, or ended one."""
    would_go_on: bool = False
    """In a world where the programs are halted: whether TCP has let its write go on."""

    @property
    def does(self) -> str:
        return self.script[0][0] if self.script else "park"

    def run(self) -> None:
        """Until it has to wait."""
        if self.stack.world.halted:
            self.would_go_on |= self.does == "write" and self.stack.wmem_queued < self.stack.sndbuf
            return
        self.switches += 1
        while self.script:
            kind, size = self.script[0]
            if not self.begun:
                self.begun, self.left = True, size
                self.until = self.stack.world.now + size if kind == "sleep" else None
                if self.until is not None:
                    self.stack.world.at(self.until, self.run)
            if kind == "write":
                done = self.stack.write(self.left)
                self.left -= done
                if done:
                    self.written.append(self.stack.world.now)
            waits = {
                "write": self.left > 0,
                "read": kind == "read" and self.stack.read(size) == 0,
                "sleep": self.until is not None and self.until > self.stack.world.now,
            }
            if waits.get(kind):
                return
            if kind == "resize":
                self.stack.resize(size)
            self.script.pop(0)
            self.begun = False


class TwoStacks:
    def __init__(self, lot: Random, near: Settings, far: Settings, slowest: int, bad: float) -> None:
        self.lot, self.now, self.slowest, self.bad = lot, 0, slowest, bad
        self.rto = RTO_MIN + 2 * slowest
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.counted = 0
        self.ends = (Stack(1, near, self), Stack(2, far, self))
        for end in self.ends:
            end.peer = self.ends[2 - end.inode]
        for end in self.ends:
            end.wnd = end.peer.edge
        self.programs: tuple[Program, ...] = ()
        self.halted = False

    def at(self, when: int, then: Callable[[], None]) -> None:
        self.counted += 1
        heapq.heappush(self.events, (when, self.counted, then))

    def carry(self, to: Stack, segment: Segment) -> None:
        """Now and then a segment is lost, doubled, or late enough to be overtaken."""
        for _ in range(self.lot.choices((0, 1, 2), (self.bad, 1 - 1.5 * self.bad, self.bad / 2))[0]):
            way = self.lot.randint(20, self.slowest) if self.lot.random() < 4 * self.bad else self.slowest // 2 + 10
            self.at(self.now + way, partial(to.receive, segment))

    def wake_writer(self, stack: Stack, *, arrived: bool) -> None:
        """Whoever sleeps in a write goes on if there is room; arriving data wakes him too (sk_data_ready())."""
        for program in self.programs:
            writing = program.stack is stack and program.does == "write" and program.begun
            if writing and (not arrived or stack.wmem_queued < stack.sndbuf):
                self.at(self.now, program.run)

    def wake_reader(self, stack: Stack) -> None:
        for program in self.programs:
            if program.stack is stack and program.does == "read":
                self.at(self.now, program.run)

    def play(self, until: int) -> None:
        while self.events and self.events[0][0] <= until:
            self.now, _, then = heapq.heappop(self.events)
            then()
        self.now = max(self.now, until)

    def step(self, count: int) -> None:
        """So many things that happen next."""
        for _ in range(min(count, len(self.events))):
            self.now, _, then = heapq.heappop(self.events)
            then()

    def without_programs(self, duration: int) -> "TwoStacks":
        """What becomes of it if no program acts any more."""
        anew = {id(self.lot): Random(self.now), **{id(end.samples): [] for end in self.ends}}
        left = copy.deepcopy(self, anew)
        left.halted = True
        left.play(left.now + duration)
        return left

    # How it looks.

    def snapshot(self) -> Snapshot:
        """The sockets are read one after the other, and TCP goes on in between; so may a program."""
        before = tuple(map(self.thread, self.programs))
        shown: list[SocketSample] = []
        for end in self.lot.sample(self.ends, 2):
            shown.append(end.show())
            self.play(self.now + self.lot.choice((0, 0, 50, 5 * MS)))
        shown.sort(key=lambda sample: sample.inode)
        after = tuple(map(self.thread, self.programs))
        held = (
            ProcessSample(
                time_ns=0, pid=each.pid, parent=1, comm="program", container=None,
                resources=(Resource.socket(each.stack.inode),), catches_alarm=False, posix_timers=0, io_uring=False,
                in_flight=0,
            )
            for each in self.programs
        )  # fmt: skip
        return Snapshot(
            number=1, threads_before=before, sockets=Pair(shown[0], shown[1]), threads_after=after,
            progress=Pair(None, None), processes=tuple(held),
        )  # fmt: skip

    def thread(self, program: Program) -> ThreadSample:
        on = Resource.socket(program.stack.inode)
        call, item = {
            "write": ("sendto", Item(on, Wants.WRITE)),
            "read": ("recvfrom", Item(on, Wants.READ)),
            "sleep": ("clock_nanosleep", None),
            "park": ("futex", Item(Resource(ResourceKind.PROCESS, program.pid), Wants.WAKE)),
        }[program.does]
        until = None if program.until is None else START_NS + program.until * 1000
        return ThreadSample(
            time_ns=START_NS + self.now * 1000, role=None, pid=program.pid, tid=program.pid, comm="program", state="S",
            syscall=call, args=(), socket_inode=None, switches=program.switches,
            wait=Wait(call, (item,) if item else (), until, timed=until is not None),
        )  # fmt: skip

    @property
    def kernel(self) -> KernelTraits:
        return KernelTraits(
            wmem_max_of={end.inode: end.set.wmem_max for end in self.ends},
            rmem_max_of={end.inode: end.set.rmem_max for end in self.ends},
            drops_beyond_window=True,
            max_tcp_headers=(256,),
        )


def draw(lot: Random) -> TwoStacks:
    """Two programs that mostly write more than they read, over any buffers and a way that may be bad."""
    mss = lot.choice((536, 1448, 1448))
    world = TwoStacks(
        lot,
        _settings(lot, mss),
        _settings(lot, mss),
        lot.choice((200, 200, 2 * MS, 60 * MS)),
        lot.choice((0, 0, 0.02, 0.1)),
    )
    world.programs = tuple(Program(100 + end.inode, end, _script(lot, asks=end.inode == 1)) for end in world.ends)
    for program in world.programs:
        world.at(lot.randint(0, 1000), program.run)
    return world


def _settings(lot: Random, mss: int) -> Settings:
    sndbuf = lot.choice((4608, 8192, 16384, 46080))
    rcvbuf = lot.choice((2304, 4096, 8192, 16384, 65536))
    return Settings(
        sndbuf=sndbuf,
        rcvbuf=rcvbuf,
        rmem_max=lot.choice((rcvbuf, 2 * rcvbuf, 262144)),
        wmem_max=lot.choice((sndbuf, 2 * sndbuf, 262144)),
        ratio=lot.choice((128, 128, 100, 180)),
        wscale=lot.choice((0, 2, 7)),
        mss=mss,
        nodelay=lot.random() < 0.5,
        round_to=lot.choice((64, 512, 2048, 4096)),
        sndbuf_locked=lot.random() < 0.4,
        clamp=1024 if lot.random() < 0.1 else None,
    )


def _script(lot: Random, *, asks: bool) -> list[tuple[str, int]]:
    """Now and then it reads or answers a little; then it writes for long, and reads again if it gets that far."""
    script: list[tuple[str, int]] = []
    for _ in range(lot.choice((0, 0, 1, 6)) if asks else lot.randint(0, 12)):
        if asks:
            script.append(("write", lot.choice((1, 16, 700, 3000))))
        if not asks or lot.random() < 0.5:
            script.append(("read", lot.choice((1, 100, 1000, 5000))))
        if lot.random() < 0.1:
            script.append(("resize", lot.choice((2304, 6000, 9000, 20000))))
        if lot.random() < 0.2:
            script.append(("sleep", lot.choice((1, 50, 300, 2500)) * MS))
    size, times = lot.choice(((16, 400), (1024, 60), (200_000, 1), (3000, 3), (20_000, 4)))
    return script + [("write", size)] * times + [("read", 4096)] * lot.randint(0, 60)
