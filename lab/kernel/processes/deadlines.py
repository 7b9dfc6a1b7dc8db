"""Computes when a timed wait ends: when it began, by the scheduler's stamp, plus how long it lasts.

`se.exec_start` of /proc/T/sched (mode 0644) is the last instant at which a thread was on a CPU, by the clock of that
CPU's run queue. That clock stops while the hypervisor takes the CPU away (CONFIG_PARAVIRT_TIME_ACCOUNTING), and with
CONFIG_IRQ_TIME_ACCOUNTING during interrupts. So each CPU has its own clock: on one machine with two CPUs they were
129 ms and 191 ms behind CLOCK_MONOTONIC after 54 minutes. A stamp is therefore compared with a stamp of the same CPU.

The computed end may be too late, for two reasons. The CPU may have lost time since the stamp. And a poll may have been
woken in vain, because another thread took what came, and sleeps on: its stamp is of the later sleep.

/proc/timer_list (readable by root, hidden in containers) shows all armed timers of the machine to the nanosecond. If it
can be read, an end counts only if a sleeper's timer is at that instant. For a poll it is the earliest timer whose slack
fits, since the slack tells how long the call was to last. The timer nearest to the computed end would be the wrong one:
the thread that took what came may have begun a poll as long at that moment.

So an end is never too late, and may be too early; without the list this is not so for polls.
"""

import bisect
import os
import re
import time
from pathlib import Path

from lab.kernel.processes.threads import TrackedThread
from lab.kernel.procfs import stat_of, text_of

BEFORE_NS, AFTER_NS = 25_000_000, 2_000_000
"""How far before and after the computed end a timer may fire."""
MARGIN_NS = 10_000_000
"""Subtracted from an end that no timer confirms: two ticks at 250 Hz, and 2 ms for the measured error."""
MOST_SLACK_NS = 100_000_000
SLACK_OF, SLACK_OF_NICE = 1000, 200
"""select_estimate_accuracy(): a poll may end late by this part of its duration."""
LATE_NS = 100_000_000
"""How much of the duration may be over when the kernel computes the slack; a quarter if that is more."""
TASK_SLACK_NS = 50_000
REALTIME_POLICIES = frozenset({"1", "2", "6"})
CALIBRATED_NS = 2_000_000_000
"""A comparison of a CPU's clock with CLOCK_MONOTONIC is valid for so long."""
SETTLE_S = 0.00005
CLOCKS = {0: time.CLOCK_REALTIME, 1: time.CLOCK_MONOTONIC, 7: time.CLOCK_BOOTTIME}
TIMER_ABSTIME = 1

_EXEC_START = re.compile(r"^se\.exec_start\s*:\s*(\d+)\.(\d{6})", re.MULTILINE)
ALARM = ", it_real_fn,"
"""The timer of alarm(2) and setitimer(2) in /proc/timer_list. The list does not say whose it is."""
READINGS = 3
"""If a timer fires while the kernel writes the list, the next timer may be missing from it."""
_SLEEPER = re.compile(r"hrtimer_wakeup, .*\n # expires at (\d+)-(\d+)")


class Deadlines:
    """Ends of waits in CLOCK_REALTIME nanoseconds; None if an end cannot be computed."""

    def __init__(self, timer_list: Path = Path("/proc/timer_list")) -> None:
        self._timer_list = timer_list
        self._offsets: dict[int, tuple[int, int]] = {}
        self._timers: list[tuple[int, int]] | None = None
        self._timers_read = False
        self._time_namespace = _time_namespace("self")

    def begin(self) -> None:
        """Start a new snapshot: the armed timers are read again when an end is asked for. 60 us."""
        self._timers_read = False

    @property
    def blind(self) -> bool:
        """Whether the armed timers are hidden."""
        return self._armed() is None

    def alarm_is_pending(self) -> bool | None:
        """Whether any process has an alarm pending. None: the list is hidden (in a container it is empty)."""
        try:
            lists = [text_of(self._timer_list) for _ in range(READINGS)]
        except OSError:
            return None
        return any(ALARM in each for each in lists) if all(lists) else None

    def after(self, thread: TrackedThread, duration_ns: int, *, polls: bool = False) -> int | None:
        """The end of a wait that lasts so long from the moment at which the thread went to sleep.

        A thread that `polls` may have slept before in the same call: then the call ends earlier.
        """
        began = self._asleep_since(thread)
        if began is None:
            return None
        guess = began + duration_ns
        timers = self._armed()
        if timers is None:
            return _realtime(guess - MARGIN_NS - duration_ns // 1000)
        if polls:
            return self._earliest(thread, duration_ns, guess + AFTER_NS, timers)
        at = bisect.bisect_left(timers, (guess - BEFORE_NS, 0))
        return _realtime(timers[at][0]) if at < len(timers) and timers[at][0] <= guess + AFTER_NS else None

    def _earliest(
        self, thread: TrackedThread, duration_ns: int, latest: int, timers: list[tuple[int, int]]
    ) -> int | None:
        slack = _slack_of_a_poll(thread, duration_ns)
        if slack is None:
            return None
        least, most = slack
        found = next((soft for soft, hard in timers if soft <= latest and least <= hard - soft <= most), None)
        return None if found is None else _realtime(found)

    def in_ns(self, left_ns: int) -> int:
        """The instant that far from now."""
        return time.time_ns() + left_ns

    def at(self, thread: TrackedThread, clock: int, value_ns: int) -> int | None:
        """An instant of one of the thread's clocks. Each time namespace (time_namespaces(7)) has clocks of its own."""
        if clock not in CLOCKS or self._time_namespace is None:
            return None
        if clock != time.CLOCK_REALTIME and _time_namespace(str(thread.tid)) != self._time_namespace:
            return None
        return time.time_ns() + value_ns - time.clock_gettime_ns(CLOCKS[clock])

    def _asleep_since(self, thread: TrackedThread) -> int | None:
        """CLOCK_MONOTONIC nanoseconds."""
        try:
            stamp = _exec_start(text_of(f"{thread.folder}/sched"))
            cpu = int(stat_of(thread.folder)[36])
        except OSError:
            return None
        offset = self._offset(cpu)
        return None if stamp is None or offset is None else stamp + offset

    def _offset(self, cpu: int) -> int | None:
        """CLOCK_MONOTONIC minus the clock of a CPU's run queue. A new comparison takes 0.3 ms."""
        now = time.monotonic_ns()
        measured, offset = self._offsets.get(cpu, (0, 0))
        if measured and now - measured < CALIBRATED_NS:
            return offset
        own = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {cpu})
        except OSError:
            return None  # this process may not run on that CPU
        try:
            offsets = [_compare() for _ in range(2)]
        finally:
            os.sched_setaffinity(0, own)
        if None in offsets:
            return None
        offset = min(each for each in offsets if each is not None)
        self._offsets[cpu] = now, offset
        return offset

    def _armed(self) -> list[tuple[int, int]] | None:
        """The earliest and latest instant of each sleeping thread's timer, sorted; None if the list cannot be read."""
        if not self._timers_read:
            self._timers_read = True
            try:
                found = _SLEEPER.findall(text_of(self._timer_list))
                self._timers = sorted((int(soft), int(hard)) for soft, hard in found) or None
            except OSError:
                self._timers = None
        return self._timers


def _slack_of_a_poll(thread: TrackedThread, duration_ns: int) -> tuple[int, int] | None:
    """The smallest and largest slack that the timer of a poll of this duration may have; None if unknown."""
    try:
        fields = stat_of(thread.folder)
    except OSError:
        return None
    if fields[38] in REALTIME_POLICIES:
        return None
    part = SLACK_OF_NICE if int(fields[16]) > 0 else SLACK_OF
    own = _own_slack(thread)
    left_ns = max(0, duration_ns - max(LATE_NS, duration_ns // 4))
    least, most = (max(own, min(MOST_SLACK_NS, each // part)) for each in (left_ns, duration_ns))
    return least - 1000, most + 1000


def _own_slack(thread: TrackedThread) -> int:
    """What PR_SET_TIMERSLACK set."""
    try:
        return int(text_of(f"/proc/{thread.tid}/timerslack_ns"))
    except (OSError, ValueError):
        return TASK_SLACK_NS


def _compare() -> int | None:
    time.sleep(SETTLE_S)  # being scheduled again makes the stamp fresh; else it is up to a tick old
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
