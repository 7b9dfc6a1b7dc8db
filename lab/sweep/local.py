"""Plays many points at once on this machine, as many as its cores and its memory allow.

Each worker is a forked child with a `Player`, and gets one point at a time. A run waits most of the time, so there are
more workers than cores: one is added whenever a core is idle and enough memory is left.
"""

import contextlib
import gc
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from multiprocessing import connection, get_context
from multiprocessing.process import BaseProcess

from lab.kernel.place import machine
from lab.kernel.place.netns import HELD, die_with, signals_held
from lab.sweep.grid import Point, by_reach
from lab.sweep.player import Player, failed
from lab.sweep.row import Row

GROWTH_S = 0.5
"""Between two measurements of the machine."""

IDLE_ENOUGH = 0.15
"""The idle share of one core that another worker needs; with less it would only slow the others down."""

MEMORY_KEPT = 0.25
"""The share of the memory that was available at the start, and is never used."""

AT_FIRST, AT_MOST = 2, 32
"""Workers per core."""

END_S = 2.0
"""How long a worker may take to end before it is killed."""


def play_all(points: Iterable[Point], done: Callable[[Row], None]) -> None:
    """Call `done` with each row as it comes, in this thread and in no particular order.

    Points that change settings of the whole host come last, one at a time.
    """
    shared, alone = by_reach(points)
    machine.warm()
    gc.freeze()  # the collector of a child does not touch these objects, so their pages are not copied
    try:
        spare = Spare()
        _play(shared, done, AT_FIRST * spare.cores, spare)
        _play(alone, done, 1, None)
    finally:
        gc.unfreeze()


class Spare:
    """Measures whether this machine has room for one more worker."""

    def __init__(self) -> None:
        self.cores = machine.cores()
        self._ticks = machine.ticks()
        self._memory = machine.available_memory()
        self._looked = time.monotonic()

    def bears_more(self, workers: int) -> bool:
        """Whether a core was idle since the last measurement, and another worker of the same size fits into memory."""
        if time.monotonic() - self._looked < GROWTH_S:
            return False
        self._looked = time.monotonic()
        before, self._ticks = self._ticks, machine.ticks()
        idle, total = (now - then for now, then in zip(self._ticks, before, strict=True))
        available = machine.available_memory()
        a_worker = (self._memory - available) / workers
        return (
            workers < AT_MOST * self.cores
            and idle * self.cores > IDLE_ENOUGH * total
            and available - a_worker > MEMORY_KEPT * self._memory
        )


def _play(points: Sequence[Point], done: Callable[[Row], None], workers_wanted: int, spare: Spare | None) -> None:
    waiting = deque(points)
    workers: list[_Worker] = []
    try:
        while waiting or any(worker.point for worker in workers):
            for worker in workers:
                if waiting and worker.point is None:
                    worker.give(waiting.popleft())
            while waiting and len(workers) < workers_wanted:
                workers.append(_Worker())
                workers[-1].give(waiting.popleft())
            busy: dict[object, _Worker] = {worker.connection: worker for worker in workers if worker.point}
            for ready in connection.wait([worker.connection for worker in busy.values()], GROWTH_S):
                row = busy[ready].take()
                if busy[ready].died:
                    workers.remove(busy[ready])
                done(row)
            if spare and len(workers) == workers_wanted and spare.bears_more(len(workers)):
                workers_wanted += 1
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.end()


class _Worker:
    """A forked child that plays one point after the other."""

    def __init__(self) -> None:
        context = get_context("fork")
        self.connection, theirs = context.Pipe()
        self.point: Point | None = None
        self.died = False
        self.process: BaseProcess = context.Process(target=work, args=(theirs, os.getpid()), daemon=True)
        with signals_held():
            self.process.start()
        theirs.close()

    def give(self, point: Point) -> None:
        self.point = point
        with contextlib.suppress(BrokenPipeError):  # it has died, and `take` will see the end of the pipe
            self.connection.send(point)

    def take(self) -> Row:
        """The row of its point. If the child has died, the row says so."""
        assert self.point is not None
        point, self.point = self.point, None
        try:
            row: Row = self.connection.recv()
        except (EOFError, OSError):
            self.died = True
            self.end()
            return failed(point, f"its worker ended in mid-run ({_how(self.process)}); --resume plays it again")
        return row

    def end(self) -> None:
        self.process.join(END_S)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        self.connection.close()


def _how(process: BaseProcess) -> str:
    code = process.exitcode or 0
    return signal.Signals(-code).name if code < 0 else f"status {code}"


def work(points: connection.Connection, parent: int) -> None:
    """Play points until the pipe ends: what a child does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at the terminal is for the parent
    signal.signal(signal.SIGTERM, _leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
    die_with(parent)
    with Player() as player:
        while True:
            points.send(player.play(points.recv()))


def _leave(*_: object) -> None:
    raise SystemExit(0)
