"""Keeps the rows of a sweep on disk, whatever happens to it, and writes them as tables for people and programs.

DIR/grid.toml      the grid, as it was given
DIR/points.jsonl   a row a line, appended as it comes: what a killed sweep leaves ends with a whole row
DIR/points.csv, points.parquet     written anew at the end, and when the sweep is interrupted
"""

import fcntl
import os
from collections.abc import Collection
from pathlib import Path

import msgspec

from lab.errors import SpecError, StoreError
from lab.sweep.row import Row

GRID, LOG, CSV, PARQUET = "grid.toml", "points.jsonl", "points.csv", "points.parquet"


class Table:
    """The rows of one sweep: each kept once by its key. Held by one process at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[str, Row] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._log = os.open(folder / LOG, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"{folder}: cannot keep results there: {error.strerror}; another --out") from None
        try:
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._log)
            raise SpecError(f"{folder}: another sweep is writing there; wait for it, or another --out") from None
        self._read()

    def _read(self) -> None:
        """Take in what an earlier sweep has left; half a line at the end, of one that was killed, is cut off."""
        data = (self.folder / LOG).read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._log, whole)
        for number, line in enumerate(data[:whole].splitlines(), start=1):
            try:
                self._take(msgspec.json.decode(line, type=Row))
            except msgspec.MsgspecError as error:
                raise SpecError(
                    f"{self.folder / LOG}: line {number} is no row of this version ({error}): another --out"
                ) from None

    def _take(self, row: Row) -> None:
        """A point that was played twice is there once; one that failed gives way to one that did not."""
        if row.key not in self.rows or self.rows[row.key].error is not None:
            self.rows[row.key] = row

    def settled(self) -> Collection[str]:
        """The keys of the points that need not be played again: all but those that failed."""
        return {key for key, row in self.rows.items() if row.error is None}

    def add(self, row: Row) -> None:
        """Keep it for good: once this returns, a kill -9 does not lose it. Raises StoreError."""
        line = msgspec.json.encode(row) + b"\n"
        try:
            if os.write(self._log, line) < len(line):
                raise StoreError(f"{self.folder / LOG}: the disk is full; make room, then --resume")
        except OSError as error:
            raise StoreError(f"{self.folder / LOG}: {error.strerror}; then --resume") from None
        self._take(row)

    def close(self) -> None:
        os.close(self._log)
