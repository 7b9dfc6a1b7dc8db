"""What a process of the pool does: plays cases by name. It is a module of its own, which a new process can import."""

import ctypes
import os
import signal
import sys

from tests.corpus.catalogue import all_cases
from tests.corpus.trial import Ask, Trial, play

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """However the runner ends, a kill -9 included: then each player is told to, and ends what it started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


def played(name: str, ask: Ask) -> Trial:
    """By its name: the process may have been told that its programs are slower."""
    (case,) = (case for case in all_cases() if case.name == name)
    try:
        return play(case, ask)
    except (SystemExit, KeyboardInterrupt):
        os._exit(1)  # the pool would take it for the case's result, and go on
