"""Grids and rows for the tests of sweeps, and a sweep as a process that can be killed."""

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import duckdb

from lab.cli.options import flags, specify
from lab.sweep import grid
from lab.sweep.grid import Grid, Point
from lab.sweep.row import Row
from lab.sweep.table import RowTable
from tests.commanded import Said, ending, started
from tests.commanded import below as below_it
from tests.waiting import LIMIT_S

SQUEEZED = 'scenario = "upper"\ntcp_rmem = "4096 8192 8192"\ntcp_wmem = "4096 8192 8192"\nsend_size = 1024\n'
"""Freezes at once where the payload is large; with messages of 1024 bytes there is no other stall."""


def parsed(text: str) -> Grid:
    return grid.parse(text, flags(), specify)


def points(text: str) -> list[Point]:
    return list(parsed(text).points(specify))


def row(key: str = "a", **more: Any) -> Row:  # noqa: ANN401 - any column
    """Of a point that froze as it should."""
    values: dict[str, Any] = dict.fromkeys(field.name for field in fields(Row)) | {
        "key": key, "settings": "{}", "repetition": 0, "scenario": "upper", "payload": 1 << 20, "send_size": 1024,
        "recv_size": 1024, "server_block": 1024, "paced_s": 0.0, "ip": 4, "client_nodelay": False,
        "server_nodelay": False, "buffers_most": 32768, "outcome": "deadlock", "grade": "proven", "as_expected": True,
        "expected": "deadlock", "client_accepted_low": 9000, "client_accepted_high": 165000, "started_ns": 1,
        "kernel": "6", "host": "here",
    }  # fmt: skip
    return Row(**values | more)


@contextmanager
def opened(folder: Path, grid: str = "ip = 4\n", *, resume: bool = True) -> Iterator[RowTable]:
    with closing(RowTable(folder, grid, lambda kept: kept == grid, resume=resume)) as found:
        yield found


def table(folder: Path) -> list[tuple[Any, ...]]:
    """Key, payload and outcome of every row, as whoever reads the Parquet file sees them."""
    found = duckdb.sql(f"select key, payload, outcome from '{folder / 'points.parquet'}' order by key")
    assert found is not None
    rows: list[tuple[Any, ...]] = found.fetchall()
    return rows


class Sweeping:
    """`lab sweep` as a process of its own, with a descriptor of each process under it."""

    def __init__(self, stack: ExitStack, *arguments: str | Path) -> None:
        self._stack = stack
        self.process: subprocess.Popen[str] = started("sweep", *arguments)
        stack.callback(self.process.wait, LIMIT_S)
        stack.callback(self.process.kill)

    def end(self, number: signal.Signals) -> Said:
        """End it, and see that all under it end too."""
        pidfds = []
        for pid, _ in below_it(self.process.pid):
            try:
                pidfds.append(os.pidfd_open(pid))
            except ProcessLookupError:
                continue
            self._stack.callback(os.close, pidfds[-1])
        self.process.send_signal(number)
        said = ending(self.process)
        for pidfd in pidfds:
            assert select.select([pidfd], [], [], LIMIT_S)[0], "a process under the sweep lives on"
        return said
