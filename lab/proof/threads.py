"""The threads of one consistent snapshot: which were blocked all the time that the sockets were read, and in what.

A thread whose call, arguments and switch counters are the same in both readings did not run in between. A thread of
which one of these facts is unknown is live. Two kinds are neither blocked nor live: a thread whose time limit is known
and far enough away moves nothing before it, and the housekeeping threads of a known runtime, while they sleep, touch no
socket of the application and wake no thread of it, which is an assumption and is named.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lab.evidence import ProcessSample, ResourceKind, Snapshot, ThreadSample, Wait
from lab.reason import Reason, Why, because
from lab.syscalls import size_to_write

NEAR_NS = 1_000_000_000
"""A proof that holds for less than a second is worth nothing to the one who reads it."""

ENDED_STATES = frozenset("ZX")
STOPPED_STATES = {"T": "stopped", "t": "traced"}

JVM_HOUSEKEEPING = (
    "VM Peri", "VM Thread", "G1 Service", "Monitor Deflati", "C1 Compiler", "C2 Compiler", "Common-Cleaner", "Sweeper",
)  # fmt: skip
"""How the names of OpenJDK 17's timed threads begin. They wake every 50 ms (VM Periodic Task) to once a day."""

JVM_TICKS = ("VM Peri", "G1 Service", "Monitor Deflati", "Common-Cleaner", "Sweeper")
"""Those of them for which no thread of the application waits. The VM Thread holds such threads up at safepoints."""

SYSMON_NS = 60_000_000_000
"""Go's sysmon sleeps this long in a futex while nothing runs and no Go timer is pending (forcegcperiod / 2)."""


@dataclass(frozen=True, slots=True, eq=False)
class Thread:
    """One thread of the snapshot: what it waits for, or why it counts as live. Equal to itself only."""

    pid: int
    tid: int
    comm: str
    wait: Wait | None = None
    live: Reason | None = None
    """Why it may go on, or may be set going."""
    missing: Reason | None = None
    """What was not observed of it; it is live then."""
    suspended: str | None = None
    until_ns: int | None = None
    """Its wait ends by itself then, and not before."""
    housekeeping: str | None = None
    """The runtime that it keeps house for."""
    size: int | None = None
    """Bytes that its blocked call was given to write, where that is among its arguments."""

    @property
    def name(self) -> str:
        return f"{self.pid}/{self.tid} {self.comm}" if self.pid else self.comm


def unseen(what: str, why: Why) -> Thread:
    """Stands for a thread that was not seen and might act: live."""
    return Thread(0, 0, what, live=Reason(why), missing=because(Why.UNSEEN, what, Reason(why)))


def threads_of(snapshot: Snapshot, now_ns: int) -> tuple[Thread, ...]:
    """Every thread of either reading, zombies excepted."""
    processes = {process.pid: process for process in snapshot.processes or ()}
    before = {(sample.pid, sample.tid): sample for sample in snapshot.threads_before}
    after = {(sample.pid, sample.tid): sample for sample in snapshot.threads_after}
    sysmons = frozenset(_sysmons(snapshot, processes, now_ns))
    found = []
    for key in sorted(before.keys() | after.keys()):
        first, second = before.get(key), after.get(key)
        sample = second or first
        if sample is None or sample.state in ENDED_STATES:
            continue
        runtime = _keeps_house_for(sample, processes.get(sample.pid), sysmons)
        if runtime and _idles(first, second):
            found.append(Thread(sample.pid, sample.tid, sample.comm, wait=sample.wait, housekeeping=runtime))
        else:
            found.append(_thread(first, second, sample, now_ns))
    return tuple(found)


def _thread(first: ThreadSample | None, second: ThreadSample | None, sample: ThreadSample, now_ns: int) -> Thread:
    pid, tid, comm = sample.pid, sample.tid, sample.comm
    suspended = next((why for each in (second, first) if each and (why := _suspended(each))), None)
    if suspended:
        return Thread(pid, tid, comm, wait=sample.wait, live=because(Why.SUSPENDED, suspended), suspended=suspended)
    if first is None or second is None:
        return Thread(pid, tid, comm, wait=sample.wait, live=Reason(Why.ONE_READING))
    missing = _unobserved(first) or _unobserved(second)
    if missing:
        return Thread(pid, tid, comm, live=missing, missing=because(Why.UNSEEN, f"{pid}/{tid} {comm}", missing))
    wait = second.wait or first.wait
    ran = _ran(first, second)
    if ran or wait is None:
        return Thread(pid, tid, comm, wait=wait, live=ran or Reason(Why.WAIT_NOT_KNOWN))
    deadlines = [each.wait.deadline_ns for each in (first, second) if each.wait]
    until_ns = min((deadline for deadline in deadlines if deadline is not None), default=None)
    size = size_to_write(second.syscall, second.args)
    return Thread(pid, tid, comm, wait=wait, live=_never_still(wait, until_ns, now_ns), until_ns=until_ns, size=size)


def _suspended(sample: ThreadSample) -> str | None:
    return sample.suspended or STOPPED_STATES.get(sample.state or "")


def _unobserved(sample: ThreadSample) -> Reason | None:
    """The first fact without which nothing can be said of it."""
    if sample.state is None:
        return Reason(Why.NO_STATE)
    if sample.switches is None:
        return Reason(Why.NO_SWITCHES)
    if sample.syscall is None:
        return Reason(Why.NO_CALL)
    return None


def _ran(first: ThreadSample, second: ThreadSample) -> Reason | None:
    if "running" in (first.syscall, second.syscall) or "R" in (first.state, second.state):
        return Reason(Why.RUNS)
    if (first.syscall, first.args, first.switches) != (second.syscall, second.args, second.switches):
        return Reason(Why.RAN)
    if (first.state, second.state) != ("S", "S"):
        return because(Why.NOT_ITS_CHOICE, str(second.state))
    if first.wait is not None and second.wait is not None and _essence(first.wait) != _essence(second.wait):
        return Reason(Why.WAIT_CHANGED)
    return None


def _essence(wait: Wait) -> tuple[object, ...]:
    """The deadline is computed from a clock and differs by the time between the readings."""
    return wait.call, frozenset(wait.items), wait.timed, wait.unknown


def _never_still(wait: Wait, until_ns: int | None, now_ns: int) -> Reason | None:
    """Why a sleeping thread may go on by itself. None: only somebody else, or a far deadline, can make it."""
    if wait.unknown:
        return because(Why.WAIT_NOT_UNDERSTOOD, wait.unknown)
    if until_ns is not None:
        left_ns = max(0, until_ns - now_ns)
        return because(Why.ENDS_SOON, wait.call, left_ns / 1e9) if left_ns < NEAR_NS else None
    if wait.timed:
        return because(Why.LIMIT_NOT_DATED, wait.call)
    if not wait.items:
        return because(Why.SIGNAL_OR_TIME, wait.call)
    if any(item.resource.kind is ResourceKind.TIMERFD for item in wait.items):
        return because(Why.TIMERFD_NOT_DATED, wait.call)
    return None


def _keeps_house_for(
    sample: ThreadSample, process: ProcessSample | None, sysmons: frozenset[tuple[int, int]]
) -> str | None:
    if process is None:
        return None
    if process.runtime == "jvm" and sample.comm.startswith(JVM_HOUSEKEEPING):
        return "the JVM"
    return "Go (sysmon)" if (sample.pid, sample.tid) in sysmons else None


def _idles(first: ThreadSample | None, second: ThreadSample | None) -> bool:
    """Asleep in its futex in both readings; if threads of the application may wait for it, in between as well."""
    for each in (first, second):
        if each is None or each.state != "S" or _suspended(each) or each.wait is None or each.wait.call != "futex":
            return False
    if first is None or second is None or None in (first.switches, second.switches):
        return False
    return first.switches == second.switches or first.comm.startswith(JVM_TICKS)


def _sysmons(snapshot: Snapshot, processes: dict[int, ProcessSample], now_ns: int) -> Iterator[tuple[int, int]]:
    """Go's threads bear no names: sysmon is the only timed wait of a program without a pending Go timer.

    A pending timer shows in the netpoller's epoll_pwait as well, and then nobody is taken for sysmon.
    """
    timed: dict[int, list[ThreadSample]] = {}
    for sample in snapshot.threads_after:
        if sample.wait and (sample.wait.timed or sample.wait.deadline_ns is not None):
            timed.setdefault(sample.pid, []).append(sample)
    for pid, samples in timed.items():
        process = processes.get(pid)
        if process is None or process.runtime != "go" or len(samples) != 1:
            continue
        sample, wait = samples[0], samples[0].wait
        if wait and wait.call == "futex" and wait.deadline_ns and wait.deadline_ns - now_ns <= SYSMON_NS:
            yield sample.pid, sample.tid
