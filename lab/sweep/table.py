"""Keeps the rows of a sweep on disk, even if the sweep is killed, and writes them as tables for people and programs.

    DIR/grid.toml                      the grid, as it was given
    DIR/points.jsonl                   the log: one row a line, appended as it comes, so that a kill leaves whole rows
    DIR/points.csv, points.parquet     one row a point, typed; written anew at the end of a sweep, however it ends

The rows are never all in memory: DuckDB reads the log and writes the tables.
"""

import fcntl
import os
import time
import types
from collections.abc import Callable, Sequence
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from lab.errors import EnvironmentLacksError, SpecError, StoreError
from lab.installation import to_install
from lab.sweep.row import Row

GRID, LOG, CSV, PARQUET = "grid.toml", "points.jsonl", "points.csv", "points.parquet"

LOCK_S = 3.0
"""How long to wait for the lock: a sweep that was just killed may hold it for a moment."""


class RowTable:
    """The rows of one sweep, one for each key. Only one process can have it open."""

    def __init__(self, folder: Path, grid: str, is_same: Callable[[str], bool], *, resume: bool) -> None:
        """`grid` is the text of the grid; `is_same` says whether another text means the same points.

        Raises SpecError for a folder with results of another grid; without `resume` for any results.
        """
        self.folder = folder
        self._claim(grid, is_same)
        self._log = os.open(folder / LOG, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._lock()
        self.played: set[str] = set()
        """The keys of the points that need not be played again, since they did not fail."""
        found = self._read()
        if found and not resume:
            self.close()
            raise SpecError(f"{folder} has results of this grid already: --resume goes on with them, or another --out")

    def _claim(self, grid: str, is_same: Callable[[str], bool]) -> None:
        """Write the grid into a new folder; refuse a folder with another grid."""
        path = self.folder / GRID
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                partial = self.folder / f".{GRID}.{os.getpid()}"
                partial.write_text(grid)
                partial.replace(path)
            kept = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else f"{GRID} is not UTF-8"
            raise StoreError(f"{self.folder}: cannot keep results there ({why}): another --out") from None
        try:
            same = is_same(kept)
        except SpecError:
            same = False
        if not same:
            raise SpecError(f"{self.folder} holds the results of another grid ({path}): another --out")

    def _lock(self) -> None:
        deadline = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(self._log)
                    raise SpecError(f"{self.folder}: another sweep is writing there: another --out") from None
                time.sleep(0.05)
            else:
                return

    def _read(self) -> int:
        """Read the rows of an earlier sweep, and return their number. Half a line at the end is cut off."""
        number = 0
        with (self.folder / LOG).open("rb") as log:
            whole = 0
            for number, line in enumerate(log, start=1):
                if not line.endswith(b"\n"):
                    os.ftruncate(self._log, whole)
                    break
                whole += len(line)
                try:
                    row = msgspec.json.decode(line, type=Row)
                except msgspec.MsgspecError as error:
                    where = f"{self.folder / LOG}: line {number}"
                    raise SpecError(f"{where} is no row of this version ({error}): another --out") from None
                if row.error is None:
                    self.played.add(row.key)
        return number

    def add(self, row: Row) -> None:
        """Append the row to the log. After this a kill -9 does not lose it. Raises StoreError."""
        line = msgspec.json.encode(row) + b"\n"
        try:
            written = os.write(self._log, line)
        except OSError as error:
            raise StoreError(f"{self.folder / LOG}: {error.strerror}: make room, then --resume") from None
        if written < len(line):
            raise StoreError(f"{self.folder / LOG}: the disk is full: make room, then --resume")
        if row.error is None:
            self.played.add(row.key)

    def close(self) -> None:
        os.close(self._log)

    def write(self) -> None:
        """Write `points.csv` and `points.parquet`: each is complete, or as it was before. Raises StoreError."""
        import duckdb  # noqa: PLC0415

        with _connected(self.folder) as database:
            for name, form in ((CSV, "format csv, header"), (PARQUET, "format parquet, compression zstd")):
                path, partial = self.folder / name, self.folder / f".{name}"
                try:
                    database.execute(f"copy points to {_quoted(partial)} ({form})")
                except duckdb.IOException as error:
                    raise StoreError(f"{path}: cannot be written ({error}): make room, then --resume") from None
                partial.replace(path)

    def select(self, query: str) -> list[tuple[Any, ...]]:
        """The result of an SQL query on the view `points`."""
        with _connected(self.folder) as database:
            rows: list[tuple[Any, ...]] = database.sql(query).fetchall()
            return rows


def check_installed() -> None:
    """Check that the packages of a sweep are there. Raises EnvironmentLacksError."""
    if not all(map(find_spec, ("duckdb", "altair", "vl_convert"))):
        raise EnvironmentLacksError(
            f"lab sweep needs duckdb, altair and vl-convert-python: {to_install('sweep')} installs them"
        )


def _connected(folder: Path):  # type: ignore[no-untyped-def]  # noqa: ANN202 - duckdb is imported here
    """A database with the view `points`: one row a point, an outcome rather than a failure, in order of start."""
    import duckdb  # noqa: PLC0415 - 60 ms

    # DuckDB must download nothing: JSON and Parquet are built in.
    database = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in _columns())
    names = ", ".join(name for name, _ in _columns())
    database.execute(
        f"create view points as select {names} from read_json({_quoted(folder / LOG)}, "  # noqa: S608 - our own names
        f"format = 'newline_delimited', columns = {{{columns}}}, maximum_object_size = 16777216) "
        "qualify row_number() over (partition by key order by error is not null, started_ns) = 1 order by started_ns"
    )
    return database


_TYPES: dict[type, str] = {str: "VARCHAR", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"}


def _columns() -> Sequence[tuple[str, str]]:
    """The names and SQL types of the columns."""
    hints = get_type_hints(Row)
    return [(field.name, _TYPES[_plain(hints[field.name])]) for field in fields(Row)]


def _plain(hint: Any) -> type:  # noqa: ANN401 - an annotation is anything
    """`int` of `int | None`."""
    kinds = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kind: type = next(each for each in kinds if each is not type(None))
    return kind


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
