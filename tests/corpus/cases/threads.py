"""A second thread of the client might read: now, later, or never."""

import multiprocessing
import os
import socket
import threading
import time

from tests.corpus.case import LATE_S, LATER_S, Case, Truth, accepting, connecting
from tests.corpus.programs import echo, read_all, read_slowly, write_only


def _beside(reader: threading.Thread, connection: socket.socket) -> None:
    reader.start()
    write_only(connection)


def reader_sleeps(connection: socket.socket) -> None:
    def read() -> None:
        time.sleep(LATE_S)
        read_all(connection)

    _beside(threading.Thread(target=read), connection)


def reader_waits_for_event(connection: socket.socket, set_after_s: float | None, limit_s: float | None) -> None:
    event = threading.Event()

    def read() -> None:
        event.wait(limit_s)
        read_all(connection)

    if set_after_s is not None:
        threading.Timer(set_after_s, event.set).start()
    _beside(threading.Thread(target=read), connection)


def reader_joins_writer(connection: socket.socket) -> None:
    """The reader begins when the writer, which is the main thread, has ended."""
    writer = threading.main_thread()

    def read() -> None:
        writer.join()
        read_all(connection)

    _beside(threading.Thread(target=read), connection)


def reader_waits_for_other_process(connection: socket.socket) -> None:
    """A semaphore in shared memory: a futex that is not the process's own."""
    gate = multiprocessing.get_context("fork").Semaphore(0)
    if os.fork() == 0:
        connection.close()
        time.sleep(LATE_S)
        gate.release()
        time.sleep(60)

    def read() -> None:
        gate.acquire()
        read_all(connection)

    _beside(threading.Thread(target=read), connection)


def bystander_ticks(connection: socket.socket) -> None:
    """A thread that does something else for ever: nobody can know that it never reads."""

    def tick() -> None:
        while True:
            time.sleep(0.2)

    _beside(threading.Thread(target=tick), connection)


def reads_beside(connection: socket.socket, *, late: bool) -> None:
    """Full duplex as it should be, but slow or late."""

    def read() -> None:
        if late:
            time.sleep(LATE_S)
            read_all(connection)
        read_slowly(connection)

    _beside(threading.Thread(target=read), connection)


CASES = (
    Case(
        "reader-thread-sleeps",
        "A reader thread sleeps first.",
        Truth.LATER,
        accepting(echo),
        connecting(reader_sleeps),
        watch_s=LATER_S,
    ),
    Case(
        "reader-thread-event-later",
        "A reader thread waits for an Event that a timer thread sets.",
        Truth.LATER,
        accepting(echo),
        connecting(reader_waits_for_event, set_after_s=LATE_S, limit_s=None),
        watch_s=LATER_S,
    ),
    Case(
        "reader-thread-event-limit",
        "A reader thread waits for an Event that nobody sets, for so long at most.",
        Truth.LATER,
        accepting(echo),
        connecting(reader_waits_for_event, set_after_s=None, limit_s=LATE_S),
        watch_s=LATER_S,
    ),
    Case(
        "reader-thread-event-never",
        "A reader thread waits for an Event that only the blocked thread could set.",
        Truth.DEADLOCK,
        accepting(echo),
        connecting(reader_waits_for_event, set_after_s=None, limit_s=None),
    ),
    Case(
        "reader-thread-joins-writer",
        "A reader thread waits for the blocked writer to end.",
        Truth.DEADLOCK,
        accepting(echo),
        connecting(reader_joins_writer),
    ),
    Case(
        "reader-thread-shared-futex",
        "A reader thread waits for a semaphore of another process.",
        Truth.LATER,
        accepting(echo),
        connecting(reader_waits_for_other_process),
        watch_s=LATER_S,
    ),
    Case(
        "bystander-ticks",
        "Dead, but a thread that ticks every 0.2 s might read for all one can know.",
        Truth.DEADLOCK,
        accepting(echo),
        connecting(bystander_ticks),
        grades=frozenset(),
    ),
    Case(
        "slow-readers-both",
        "Both write all the time and read 512 bytes each 0.3 s.",
        Truth.MOVES,
        accepting(reads_beside, late=False),
        connecting(reads_beside, late=False),
    ),
    Case(
        "late-readers-both",
        "Both write all the time; both readers come later.",
        Truth.LATER,
        accepting(reads_beside, late=True),
        connecting(reads_beside, late=True),
        watch_s=LATER_S,
    ),
)
