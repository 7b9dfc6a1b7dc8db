"""A Dask cluster for tests: its scheduler and workers are processes, started with Dask's own command."""

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

from lab.kernel.procfs import children_of, descendants
from tests.commanded import ROOT, environment
from tests.waiting import LIMIT_S, until


class Dask:
    """What the stack ends, whatever happens: with SIGKILL, and all that was below it dies with it."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._file = folder / "scheduler.json"
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(self._file))
        self.address: str = json.loads(wait_for(self._file))["address"]

    def worker(self, *more: str) -> "subprocess.Popen[bytes]":
        """With two threads; the process is Dask's nanny, and the worker its child."""
        return self._start("worker", self.address, "--nthreads", "2", "--local-directory", str(self._folder), *more)

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self._folder / f"{arguments[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments, "--no-dashboard"],
                cwd=ROOT,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._stack.callback(kill, process)
        return process


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Dask's processes at once, as when their host dies; what the lab has below them must end by itself."""
    if process.poll() is not None:
        return
    with ExitStack() as stack:
        pidfds = {}
        for pid in descendants(process.pid):
            with suppress(ProcessLookupError):
                pidfds[pid] = os.pidfd_open(pid)
                stack.callback(os.close, pidfds[pid])
        for pid in (process.pid, *children_of(process.pid)):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfds[pid], signal.SIGKILL)
        process.wait(LIMIT_S)
        for pidfd in pidfds.values():
            assert select.select([pidfd], [], [], LIMIT_S)[0], "a process below Dask's lives on"


def wait_for(path: Path) -> str:
    """What is in the file, once there is something."""
    return until(lambda: path.exists() and path.read_text(), what=path) or ""
