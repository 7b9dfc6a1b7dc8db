"""Dates the end of a timed wait: when it began, by the scheduler's own stamp, and when its timer must fire.

`se.exec_start` of /proc/T/sched (mode 0644) is the last instant at which a thread was on a CPU, in the clock of that
CPU's run queue. That clock stands still while the hypervisor takes the CPU away (CONFIG_PARAVIRT_TIME_ACCOUNTING; with
CONFIG_IRQ_TIME_ACCOUNTING in interrupts too), so every CPU has its own: 129 ms and 191 ms behind CLOCK_MONOTONIC on the
two of one machine, 54 minutes after it started. So a stamp is compared with one of the same CPU.

What is dated so may be too late: the CPU lost time since, or the thread was woken in the middle of the call, found
nothing and slept on. /proc/timer_list (root; hidden in containers) shows all armed timers of the machine to the
nanosecond: where it can be read, a date counts only if a sleeper's timer is there. All errors are towards earlier.
"""

import bisect
import os
import re
import time
from pathlib import Path

from lab.kernel.procfs import stat_of, text_of
from lab.kernel.threads import Thread

BEFORE_NS, AFTER_NS = 25_000_000, 2_000_000
"""How far before and after the computed instant a timer is looked for."""
MARGIN_NS = 10_000_000
"""Taken off a date that no timer confirms: two ticks at 250 Hz, and 2 ms of what was measured (runtimes.md, 1)."""
CALIBRATED_NS = 2_000_000_000
"""A comparison of a CPU's clock with ours is good for so long."""
SETTLE_S = 0.00005
CLOCKS = {0: time.CLOCK_REALTIME, 1: time.CLOCK_MONOTONIC, 7: time.CLOCK_BOOTTIME}
TIMER_ABSTIME = 1

_EXEC_START = re.compile(r"^se\.exec_start\s*:\s*(\d+)\.(\d{6})", re.MULTILINE)
_SLEEPER = re.compile(r"hrtimer_wakeup, .*\n # expires at (\d+)-")


class Deadlines:
    """Dates in CLOCK_REALTIME nanoseconds; None where an end cannot be dated."""

    def __init__(self, timer_list: Path = Path("/proc/timer_list")) -> None:
        self._timer_list = timer_list
        self._offsets: dict[int, tuple[int, int]] = {}
        self._timers: list[int] | None = None
        self._timers_read = False
        self._time_namespace = _time_namespace("self")

    def begin(self) -> None:
        """A new look: the armed timers are read anew when one is asked for. 60 us."""
        self._timers_read = False

    def after(self, thread: Thread, duration_ns: int) -> int | None:
        """The end of a wait that lasts so long from the moment at which the thread went to sleep."""
        began = self._asleep_since(thread)
        if began is None:
            return None
        guess = began + duration_ns
        timers = self._armed()
        if timers is None:
            return _realtime(guess - MARGIN_NS - duration_ns // 1000)
        at = bisect.bisect_left(timers, guess - BEFORE_NS)
        return _realtime(timers[at]) if at < len(timers) and timers[at] <= guess + AFTER_NS else None

    def in_ns(self, left_ns: int) -> int:
        """The instant that far from now."""
        return time.time_ns() + left_ns

    def at(self, thread: Thread, clock: int, value_ns: int) -> int | None:
        """An absolute time of one of the thread's clocks. A time namespace (time_namespaces(7)) has its own."""
        if clock not in CLOCKS or self._time_namespace is None:
            return None
        if clock != time.CLOCK_REALTIME and _time_namespace(str(thread.tid)) != self._time_namespace:
            return None
        return time.time_ns() + value_ns - time.clock_gettime_ns(CLOCKS[clock])

    def _asleep_since(self, thread: Thread) -> int | None:
        """CLOCK_MONOTONIC nanoseconds."""
        try:
            stamp = _exec_start(text_of(Path(thread.folder, "sched")))
            cpu = int(stat_of(thread.folder)[36])
        except OSError:
            return None
        offset = self._offset(cpu)
        return None if stamp is None or offset is None else stamp + offset

    def _offset(self, cpu: int) -> int | None:
        """CLOCK_MONOTONIC less the clock of a CPU's run queue. About 0.3 ms when it is not fresh."""
        now = time.monotonic_ns()
        measured, offset = self._offsets.get(cpu, (0, 0))
        if measured and now - measured < CALIBRATED_NS:
            return offset
        own = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {cpu})
        except OSError:
            return None  # a CPU that we may not run on
        try:
            offsets = [_compare() for _ in range(2)]
        finally:
            os.sched_setaffinity(0, own)
        if None in offsets:
            return None
        offset = min(each for each in offsets if each is not None)
        self._offsets[cpu] = now, offset
        return offset

    def _armed(self) -> list[int] | None:
        """When the timers of sleeping threads fire, ascending; None where the list cannot be read."""
        if not self._timers_read:
            self._timers_read = True
            try:
                self._timers = sorted(map(int, _SLEEPER.findall(text_of(self._timer_list)))) or None
            except OSError:
                self._timers = None
        return self._timers


def _compare() -> int | None:
    time.sleep(SETTLE_S)  # being put on the CPU again makes the own stamp fresh; else it is up to a tick old
    stamp = _exec_start(text_of("/proc/thread-self/sched"))
    return None if stamp is None else time.monotonic_ns() - stamp


def _exec_start(sched: str) -> int | None:
    found = _EXEC_START.search(sched)
    return int(found[1]) * 1_000_000 + int(found[2]) if found else None


def _realtime(monotonic_ns: int) -> int:
    return time.time_ns() + monotonic_ns - time.monotonic_ns()


def _time_namespace(pid: str) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/time")
    except FileNotFoundError:
        return "only one"  # before Linux 5.6
    except OSError:
        return None
