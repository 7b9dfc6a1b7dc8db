"""A forked child that does one thing for its caller, and is gone when the caller no longer needs it."""

import os
import pickle
import select
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, NoReturn, TypeVar

from lab.errors import LabError, TestbedError
from lab.kernel.netns import die_with, signals_held

R = TypeVar("R")


class Aside(Generic[R]):
    """The result to come of a function that a child works on."""

    def __init__(self, told: int) -> None:
        self._told = told

    def result(self, limit_s: float | None = None) -> R:
        """Once only. Raises what the function raised, and TestbedError if there was no word within `limit_s`."""
        parts = []
        while select.select([self._told], [], [], limit_s)[0]:
            if not (part := os.read(self._told, 1 << 16)):
                break
            parts.append(part)
        try:
            answer, error = pickle.loads(b"".join(parts))  # noqa: S301 - from a child of our own
        except (EOFError, pickle.UnpicklingError):
            raise TestbedError("a child of the lab ended, or was stopped, before it had an answer") from None
        if error is not None:
            raise error
        return answer  # type: ignore[no-any-return]


@contextmanager
def aside(function: Callable[[], R]) -> Iterator[Aside[R]]:
    """`function()` in a forked child, meanwhile. The child is killed at the end, whether it is done or not."""
    told, tell = os.pipe()
    parent = os.getpid()
    with signals_held():
        pid = os.fork()
        if pid == 0:
            _work(function, parent, tell)
    try:
        os.close(tell)
        yield Aside(told)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(told)


def _work(function: Callable[[], R], parent: int, tell: int) -> NoReturn:
    try:
        die_with(parent)
        try:
            answer: tuple[R | None, Exception | None] = (function(), None)
        except (LabError, MemoryError) as error:
            answer = (None, error)
        except OSError as error:
            error.add_note(traceback.format_exc())
            answer = (None, error)
        except Exception:  # noqa: BLE001 - carried over to the caller, none is swallowed
            answer = (None, RuntimeError(traceback.format_exc()))
        with os.fdopen(tell, "wb") as pipe:
            pickle.dump(answer, pipe)
    finally:
        os._exit(0)
