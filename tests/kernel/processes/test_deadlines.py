"""When a timed wait ends: never later than it does, and not much earlier."""

import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.kernel.processes.deadlines import Deadlines
from lab.kernel.processes.waits import Waits
from lab.kernel.procfs import children_of
from tests.kernel.sleepers import Sleeper, looked_at, sleeper
from tests.waiting import seen, until

MS = 1_000_000
HIDDEN = Path("/nowhere")


@pytest.mark.parametrize(
    ("statement", "call"),
    [
        ("time.sleep({s})", "clock_nanosleep"),
        ("select.epoll().poll({s})", "epoll_wait"),
        ("select.poll().poll({s} * 1000)", "poll"),
        ("threading.Event().wait({s})", "futex"),
        ("libc.nanosleep(struct.pack('qq', 0, int({s} * 1e9)), None)", "clock_nanosleep"),
    ],
)
@pytest.mark.parametrize("timer_list", ["/proc/timer_list", "/nowhere"])
def test_a_deadline_is_never_late_and_at_most_20_ms_early(statement: str, call: str, timer_list: str) -> None:
    """With the timers of the machine to compare with, and where they are hidden. A program may be woken late.

    It is asked as often as it can be. Whoever asks may be preempted meanwhile: then an answer is earlier.
    """
    code = f"say(time.time_ns()); {statement.format(s=0.9)}; say(time.time_ns()); os.read(0, 1)"

    def played() -> tuple[int, list[int], int]:
        with sleeper(code) as program:
            found = list(deadlines_until_it_ends(program, call, Path(timer_list)))
            return int(program.words[0]), found, int(program.says())

    began, found, ended = seen(played, lambda told: told[1], what="a deadline")
    assert max(found) <= ended + 1 * MS
    assert max(found) >= began + 880 * MS


def deadlines_until_it_ends(program: Sleeper, call: str, timer_list: Path) -> Iterator[int]:
    """What is read of its sleep in this call, again and again until it says more."""
    assert program.process.stdout is not None
    while not select.select([program.process.stdout], [], [], 0.03)[0]:
        waits = Waits(program.descriptors, Deadlines(timer_list))
        for thread in program.seen():
            if (thread.line.syscall, thread.line.state) == (call, "S"):
                wait, _ = waits.of(thread)
                if wait is not None and wait.deadline_ns is not None:
                    yield wait.deadline_ns


@pytest.mark.parametrize(("timer_list", "presumed"), [("/proc/timer_list", False), ("/nowhere", True)])
def test_where_the_timers_are_hidden_nobody_knows_whether_a_poll_has_slept_before(
    timer_list: str, presumed: bool
) -> None:
    with sleeper("say('x'); select.poll().poll(60_000)") as program:
        program.waits = Waits(program.descriptors, Deadlines(Path(timer_list)))
        assert program.wait("poll").presumed is presumed
    with sleeper("say('x'); time.sleep(60)") as program:
        program.waits = Waits(program.descriptors, Deadlines(Path(timer_list)))
        assert not program.wait("clock_nanosleep").presumed


def test_the_timer_of_somebody_else_is_not_taken_for_that_of_a_poll_which_slept_before() -> None:
    """It is woken after a while, nobody knows for what; another poll begins then that is to last as long."""
    code = """
r, w = os.pipe(); os.sched_setaffinity(0, {0})
if os.fork() == 0:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)); os.read(r, 1); select.poll().poll(60_000); os._exit(0)
if os.fork() == 0:
    os.read(0, 1); os.write(w, b"!"); os._exit(0)
p = select.poll(); p.register(r, select.POLLIN); say(time.time_ns()); p.poll(60_000)
"""
    with sleeper(code) as program:
        began = int(program.words[0])
        before = program.asleep("poll").line.switches
        until(lambda: time.time_ns() > began + 500 * MS)
        program.give_a_line()
        seen(lambda: program.asleep("poll"), lambda thread: thread.line.switches > before)
        until(lambda: any(calls_of(program, child) == ["poll"] for child in children_of(program.pid)))
        deadline = program.wait("poll").deadline_ns
        for child in children_of(program.pid):
            os.kill(child, signal.SIGKILL)
    assert deadline is None or deadline <= began + 60_000 * MS + 50 * MS


def calls_of(program: Sleeper, pid: int) -> list[str | None]:
    return [thread.line.syscall for thread in looked_at(program.threads, pid)]


def test_an_alarm_of_any_process_is_pending_if_the_timers_can_be_read() -> None:
    with sleeper("signal.alarm(60); say('x'); time.sleep(60)"):
        assert Deadlines().alarm_is_pending()
        for hidden in (HIDDEN, Path("/dev/null")):
            assert Deadlines(hidden).alarm_is_pending() is None


def test_an_instant_of_a_clock_is_the_same_instant_of_the_real_time_clock() -> None:
    with sleeper("say('x'); time.sleep(60)") as program:
        thread = program.asleep("clock_nanosleep")
        for clock in (time.CLOCK_REALTIME, time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME):
            before = time.time_ns()
            found = Deadlines().at(thread, clock, time.clock_gettime_ns(clock) + 1000 * MS)
            assert found is not None
            assert 0 <= found - before - 1000 * MS <= time.time_ns() - before + MS


def test_an_instant_of_another_clock_or_of_another_time_namespace_is_not_known() -> None:
    with sleeper("say('x'); time.sleep(60)") as program:
        assert Deadlines().at(program.asleep("clock_nanosleep"), time.CLOCK_PROCESS_CPUTIME_ID, 0) is None
    apart = "libc.unshare(0x80); pid = os.fork(); pid and say(pid); time.sleep(60)"
    with sleeper(apart) as program:
        (thread,) = program.threads.of(int(program.words[0]))
        assert Deadlines().at(thread, time.CLOCK_MONOTONIC, 0) is None
        assert Deadlines().at(thread, time.CLOCK_REALTIME, time.time_ns()) is not None
        os.kill(thread.pid, signal.SIGKILL)
