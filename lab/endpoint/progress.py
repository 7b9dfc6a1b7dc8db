"""The progress page: counters in shared memory, which an observer can read while the program is blocked forever.

A thread that reported them would be a thread that runs, and a program with a running thread is not proven to be stuck.
The page is a memfd of the controller, 4096 bytes. It has little-endian 64-bit words at these byte offsets:

    0 magic     0x304e5a4c4142 once a program has taken the page
    8 sent      bytes of the present connection that returned send calls have accepted
    16 received bytes of the present connection that recv calls have returned
    24 stamp    time.time_ns() of the last of these bytes, written after the counters; 0 before the first
    32 refused sends of the present connection that the kernel refused for lack of room (EAGAIN)
"""

import mmap
import os
from time import time_ns

from lab.endpoint.barrier import RefusedError

MAGIC = 0x304E5A4C4142
SIZE = 4096

_MAGIC, _SENT, _RECEIVED, _STAMP, _REFUSED = range(5)


def check(descriptor: int) -> None:
    """Refuse what cannot be mapped whole: a store beyond the end of a file would kill the program by SIGBUS."""
    if os.fstat(descriptor).st_size < SIZE:
        raise RefusedError(f"the first descriptor has less than {SIZE} bytes: needs the progress page")


class ProgressPage:
    """The writing end. Each store is one aligned 8-byte store: a reader never sees half of a number."""

    def __init__(self, descriptor: int) -> None:
        self._words = memoryview(mmap.mmap(descriptor, SIZE)).cast("Q")
        self._words[_MAGIC] = MAGIC

    def begin(self) -> None:
        """A new connection counts from zero."""
        self._words[_SENT] = self._words[_RECEIVED] = self._words[_REFUSED] = 0

    def sent(self, total: int) -> None:
        self._words[_SENT] = total
        self._words[_STAMP] = time_ns()

    def received(self, total: int) -> None:
        self._words[_RECEIVED] = total
        self._words[_STAMP] = time_ns()

    def refused(self, total: int) -> None:
        """Without a stamp: a send that took nothing moved nothing."""
        self._words[_REFUSED] = total
