"""Keys of `net.core`, which belong to the whole host: changed for a while, and put back whatever happens.

One lab at a time may change them. It holds a lock (flock) on the journal's folder. The kernel releases the lock when
its holder dies, in a container too. Every change is in the journal before it is made. So if the lock is free and there
is a journal, its lab was killed, and the next holder of the lock undoes the changes. If a key has another value than
the lab wrote, somebody else has changed it: that is reported, and the value is left alone.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from lab.errors import EnvironmentLacksError, LabError
from lab.kernel import procfs
from lab.kernel.place import journal, sysctl
from lab.kernel.place.journal import Change, Journal, OutOfReachError
from lab.kernel.place.netns import signals_held

Say: TypeAlias = Callable[[str], object]

WAIT_S = 60.0
"""How long a lab waits for another one that has changed settings."""
RETRY_S = 0.05
PATIENCE_S = 0.3
"""A longer wait is reported. `lab doctor` and `lab restore` hold the lock for less."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one setting of a journal. `name` is that of sysctl(8)."""

    name: str
    as_before: bool
    why: str


@dataclass(frozen=True, slots=True)
class Pending:
    """A journal that is on disk now. Its lab lives, or was killed."""

    journal: Journal
    lives: bool

    @property
    def of_this_boot(self) -> bool:
        return self.journal.boot_id == procfs.boot_id()


def silently(_: str) -> None:
    """Say nothing."""


@contextmanager
def applied(wanted: Mapping[str, int], limit_s: float = WAIT_S, say: Say = silently) -> Iterator[dict[str, str]]:
    """Keep `net.core.*` at these values (keys of HOST_SYSCTLS, in bytes). Yields the values before, {} without any.

    Waits up to `limit_s` for another lab that holds the lock, for one in this process too: calls do not nest. `say`
    gets a line for a person about a wait, and about what could not be put back. Raises EnvironmentLacksError where it
    cannot be done, SpecError for a value that the kernel refuses. If no value is wanted, it only puts back what a
    killed lab left.
    """
    if not wanted:
        _settle_what_is_left(say)
        yield {}
        return
    sysctl.require_writable_core(wanted)
    with _folder(make=True) as folder:
        assert folder is not None
        _lock(folder, limit_s, say)
        _tell(_settle(folder), say)
        before = sysctl.read_core()
        differing = {key: str(value) for key, value in wanted.items() if before[key] != str(value)}
        changes = tuple(Change(key, before[key], value) for key, value in differing.items())
        noted = Journal(procfs.boot_id(), os.getpid(), changes)
        # Undone twice: a signal may interrupt the first, which is from memory, before it has blocked signals.
        with _at_the_end(lambda: _settle(folder), say), _at_the_end(lambda: _undo(folder, noted), say):
            with signals_held():
                journal.write(folder, noted)
                sysctl.write_core(differing)
            yield before


def _settle_what_is_left(say: Say) -> None:
    """Put back what a killed lab left, if this user may. No failure keeps the caller from its own work."""
    try:
        with _folder(make=False) as folder:
            if folder is None or journal.read(folder) is None:
                return
            _lock(folder, 0, silently)
            _tell(_settle(folder), say)
    except OutOfReachError:
        return  # it is a living lab's, or only root can
    except EnvironmentLacksError as error:
        say(str(error))


def restore() -> list[Settled]:
    """Put back what a killed lab left. Raises OutOfReachError if its lab lives, EnvironmentLacksError if it cannot."""
    with _folder(make=False) as folder:
        if folder is None:
            return []
        _lock(folder, PATIENCE_S, silently)
        return _settle(folder)


def pending() -> Pending | None:
    """The journal on disk. Raises OutOfReachError if only root may know, EnvironmentLacksError if it is damaged."""
    with _folder(make=False) as folder:
        found = None if folder is None else journal.read(folder)
        if folder is None or found is None:
            return None
        try:
            _lock(folder, 0, silently, fcntl.LOCK_SH)
        except OutOfReachError:
            return Pending(found, lives=True)
        found = journal.read(folder)  # its lab may have ended in between
        return None if found is None else Pending(found, lives=False)


def in_words(changes: tuple[Change, ...]) -> str:
    return ", ".join(f"net.core.{each.key} {each.written}, was {each.before}" for each in changes) or "no change"


@contextmanager
def _folder(*, make: bool) -> Iterator[int | None]:
    """A descriptor of the journal's folder. At the end it is closed, and its lock is released."""
    folder = journal.opened(make=make)
    try:
        yield folder
    finally:
        if folder is not None:
            fcntl.flock(folder, fcntl.LOCK_UN)  # a forked child may hold the descriptor too
            os.close(folder)


def _lock(folder: int, limit_s: float, say: Say, kind: int = fcntl.LOCK_EX) -> None:
    """Raises OutOfReachError when the time is over."""
    began = time.monotonic()
    reported = False
    while True:
        try:
            fcntl.flock(folder, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            waited_s = time.monotonic() - began
        else:
            return
        if waited_s >= limit_s:
            raise OutOfReachError(f"{_holder(folder)}: waited {limit_s:g} s for its end; end it, or come back later")
        if waited_s >= PATIENCE_S and not reported:
            say(f"{_holder(folder)}: waiting for its end, up to {limit_s:g} s")
            reported = True
        time.sleep(RETRY_S)


def _holder(folder: int) -> str:
    """The holder of the lock, in words. Only for a moment at its start and its end it has no journal."""
    try:
        found = journal.read(folder)
    except EnvironmentLacksError:
        found = None
    if found is None:
        return "another lab has the settings of this host"
    return f"the lab of process {found.pid} has the settings of this host ({in_words(found.changes)})"


@contextmanager
def _at_the_end(settle: Callable[[], list[Settled]], say: Say) -> Iterator[None]:
    """Call `settle` however the block ends, and report what could not be put back."""
    try:
        yield
    finally:
        with signals_held():
            found = settle()
        _tell([each for each in found if not each.as_before], say)


def _settle(folder: int) -> list[Settled]:
    """Undo the changes in the journal on disk, and remove the journal."""
    noted = journal.read(folder)
    return _undo(folder, noted or Journal(procfs.boot_id(), 0, ()))


def _undo(folder: int, noted: Journal) -> list[Settled]:
    """Undo the changes in `noted`, and remove the journal. May be interrupted anywhere, and called again."""
    if noted.boot_id == procfs.boot_id():
        settled = [_undone(each) for each in noted.changes]
    else:
        why = "as this machine started with it, which was after a lab had changed it: there is nothing to undo"
        settled = [Settled("net.core", True, why)]
    journal.remove(folder)
    return settled


def _undone(change: Change) -> Settled:
    name, present = f"net.core.{change.key}", sysctl.read_core().get(change.key)
    if present == change.written:
        try:
            sysctl.write_core({change.key: change.before})
        except LabError as error:
            again = "`lab restore`, as root on the host, tries it again"
            raise EnvironmentLacksError(f"cannot make {name} {change.before} again ({error}): {again}") from None
        return Settled(name, True, f"{change.before} again; a lab that was killed had made it {change.written}")
    if present == change.before:
        return Settled(name, True, f"{present}, as it was before a lab that was killed")
    why = f"{present}, which is not what the lab wrote ({change.written}), so somebody else did: left so; it was "
    return Settled(name, False, f"{why}{change.before} before the lab")


def _tell(settled: list[Settled], say: Say) -> None:
    for each in settled:
        say(f"{each.name} is {each.why}")
