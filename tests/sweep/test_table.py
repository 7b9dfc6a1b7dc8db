"""A row that was kept is kept, once, whatever became of the sweep; a folder belongs to one grid."""

from pathlib import Path

import pytest

from lab.errors import SpecError, StoreError
from lab.sweep.table import GRID, LOG, RowTable
from tests.sweep.swept import opened, row, table


def test_rows_are_there_again_and_a_torn_one_is_not(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        first.add(row("a"))
        first.add(row("b"))
    with (tmp_path / LOG).open("ab") as log:
        log.write((tmp_path / LOG).read_bytes()[:100])
    with opened(tmp_path) as again:
        assert again.played == {"a", "b"}
        again.add(row("c"))
    with opened(tmp_path) as last:
        assert last.played == {"a", "b", "c"}


def test_a_point_that_was_played_twice_is_there_once(tmp_path: Path) -> None:
    with opened(tmp_path) as rows:
        rows.add(row("a", payload=1))
        rows.add(row("a", payload=2, started_ns=2))
        rows.write()
    assert table(tmp_path) == [("a", 1, "deadlock")]


def test_a_point_that_failed_is_played_again_and_gives_way_to_what_did_not(tmp_path: Path) -> None:
    with opened(tmp_path) as rows:
        rows.add(row("a", outcome=None, grade=None, error="its worker died"))
        rows.write()
        assert table(tmp_path) == [("a", 1 << 20, None)]
        assert rows.played == set()
    with opened(tmp_path) as again:
        assert again.played == set()
        again.add(row("a", started_ns=2))
        again.write()
    assert table(tmp_path) == [("a", 1 << 20, "deadlock")]


def test_a_folder_with_results_is_gone_on_with_only_if_asked(tmp_path: Path) -> None:
    with opened(tmp_path, resume=False) as rows:
        rows.add(row())
    with pytest.raises(SpecError, match=r"has results of this grid already: --resume goes on"):
        RowTable(tmp_path, "ip = 4\n", lambda _: True, resume=False)


def test_another_grids_results_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as rows:
        rows.add(row())
    with pytest.raises(SpecError, match=r"holds the results of another grid .*grid.toml\): another --out"):
        RowTable(tmp_path, "ip = 6\n", lambda kept: kept == "ip = 6\n", resume=True)
    assert (tmp_path / GRID).read_text() == "ip = 4\n"


def test_two_sweeps_do_not_write_into_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.sweep.table.LOCK_S", 0.1)
    with opened(tmp_path), pytest.raises(SpecError, match="another sweep is writing there"), opened(tmp_path):
        pass


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot keep results there"), opened(tmp_path / "file"):
        pass


def test_a_line_that_is_no_row_is_named(tmp_path: Path) -> None:
    with opened(tmp_path) as rows:
        rows.add(row())
    with (tmp_path / LOG).open("ab") as log:
        log.write(b'{"key": 3}\n')
    with pytest.raises(SpecError, match="line 2 is no row of this version"), opened(tmp_path):
        pass


def test_the_columns_are_typed_for_whoever_reads_them(tmp_path: Path) -> None:
    with opened(tmp_path) as rows:
        rows.add(row(client_congestion="cubic", seconds=0.5))
        rows.write()
        (found,) = rows.select(
            "select typeof(payload), typeof(seconds), typeof(client_nodelay), typeof(outcome), seal_ns from points"
        )
    assert found == ("BIGINT", "DOUBLE", "BOOLEAN", "VARCHAR", None)
    header, line = (tmp_path / "points.csv").read_text().splitlines()
    assert header.split(",")[:3] == ["key", "settings", "repetition"]
    assert len(line) > 100
