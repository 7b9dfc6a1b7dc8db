"""The table of the places: what it takes for right, and how it stands in a document."""

from pathlib import Path

import pytest

from machines import table
from machines.place import PLACES
from machines.row import Row, to_line
from machines.table import Played

RIGHT = Row("run upper", "deadlock", "deadlock", "proven", 12.0)
FALSE = Row("watch | frozen", "suspended", "deadlock", "proven", right=False, false_proof=True)


def played(*rows: Row, code: int = 0) -> Played:
    place = Played(PLACES[0], code=code)
    for line in ("kernel 5.10.0-1, Debian 5.10.1", *map(to_line, rows)):
        place.hear(line)
    return place


def test_a_place_is_right_if_all_its_rows_are() -> None:
    assert played(RIGHT, RIGHT).is_right
    assert not played(RIGHT, FALSE).is_right


def test_a_place_without_rows_or_whose_job_failed_is_not_right() -> None:
    assert not played().is_right
    assert not played(RIGHT, code=1).is_right


def test_a_false_proof_cannot_be_overlooked(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(table.summary([played(RIGHT, FALSE)]))
    assert "1 of 2 right, 1 false proofs" in text
    assert "FALSE PROOF  expected suspended" in capsys.readouterr().out


def test_the_table_is_written_between_its_marks_and_nothing_else_changes(tmp_path: Path) -> None:
    document = tmp_path / "where.md"
    document.write_text(f"# Title\n\n{table.BEGIN}\nold\n{table.END}\n\nafter\n")
    table.write_markdown(document, [played(RIGHT, FALSE)], "abcdef1")
    text = document.read_text()
    assert text.startswith(f"# Title\n\n{table.BEGIN}\n")
    assert text.endswith(f"{table.END}\n\nafter\n")
    assert "old" not in text
    assert "| 5.10 | `run upper` | deadlock | proven | 12 ms | right |" in text
    assert "`watch \\| frozen`" in text
    assert "5.10.0-1, Debian 5.10.1" in text
    assert "\nCommit abcdef1, played on 20" in text


def test_the_time_of_each_step_is_told() -> None:
    place = played(RIGHT)
    for line in ("step runs 163", "step commands 20"):
        place.hear(line)
    assert list(place.steps) == ["boot", "runs", "commands"]
    assert place.took.endswith(" s: boot 0, runs 163, commands 20")
    assert "runs 163" in "\n".join(table.summary([place]))
