"""What a sweep leaves: two tables, a count of what came of its points, and a picture if there is something to draw."""

from pathlib import Path

import pytest

from lab.errors import StoreError
from lab.sweep import results
from tests.sweep.swept import opened, row


def test_results_count_what_came_of_it_and_draw_it(tmp_path: Path) -> None:
    with opened(tmp_path) as rows:
        for number in range(6):
            rows.add(row(f"a{number}", payload=1 << (17 + number)))
        rows.add(row("b", payload=1 << 12, outcome="completed", grade=None))
        rows.add(row("c", payload=1 << 12, as_expected=False))
        rows.add(row("d", payload=1 << 12, outcome=None, grade=None, as_expected=None, error="no room"))
        swept = results.write(rows)
    assert swept.points == 9
    assert [(each.outcome, each.grade, each.points) for each in swept.counts] == [
        ("deadlock", "proven", 7), ("completed", None, 1),
    ]  # fmt: skip
    assert (swept.failed, swept.first_failure, swept.wrong) == (1, "no room", 1)
    assert sorted(Path(each).name for each in swept.files) == [
        "cliff.html",
        "cliff.png",
        "points.csv",
        "points.parquet",
    ]
    html = (tmp_path / "cliff.html").read_text()
    assert "9 points" not in html  # the one that failed has no place in it
    assert "8 points, 1 on the wrong side" in html
    assert "<script src" not in html
    assert (tmp_path / "cliff.png").read_bytes().startswith(b"\x89PNG")


def test_a_full_disk_is_said_and_keeps_the_rows(tmp_path: Path) -> None:
    with opened(tmp_path) as rows:
        rows.add(row("a"))
        (tmp_path / ".points.csv").symlink_to("/dev/full")
        with pytest.raises(StoreError, match=r"points\.csv: cannot be written .*make room, then --resume"):
            results.write(rows)
    with opened(tmp_path) as again:
        assert again.played == {"a"}


def test_without_an_outcome_there_is_no_picture(tmp_path: Path) -> None:
    with opened(tmp_path) as rows:
        rows.add(row(outcome=None, grade=None, as_expected=None, error="no room"))
        swept = results.write(rows)
    assert (swept.points, swept.counts, swept.failed) == (1, (), 1)
    assert sorted(Path(each).name for each in swept.files) == ["points.csv", "points.parquet"]
    assert not (tmp_path / "cliff.png").exists()


def test_a_sweep_of_no_points_has_tables_too(tmp_path: Path) -> None:
    with opened(tmp_path) as rows:
        swept = results.write(rows)
    assert (swept.points, swept.failed, swept.wrong, swept.first_failure) == (0, 0, 0, None)
    assert all(Path(each).is_file() for each in swept.files)
