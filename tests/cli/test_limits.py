"""`lab limits`: the contract of its JSON, and no number of its own."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lab import limits as room
from lab.cli import limits


@pytest.mark.root
def test_the_document_has_a_row_for_every_claim() -> None:
    done = CliRunner().invoke(limits.command, ["--format", "json"], standalone_mode=False)
    assert done.exception is None, done.exception
    rows = json.loads(done.output)["limits"]
    assert len(rows) > 20
    for row in rows:
        assert set(row) == {"claim", "published", "measured", "holds", "why", "scope"}
        assert row["scope"] in ("namespace", "host", "socket")
        assert isinstance(row["holds"], bool)


@pytest.mark.root
def test_markdown_has_the_rows_of_the_document() -> None:
    done = CliRunner().invoke(limits.command, ["--format", "markdown"], standalone_mode=False)
    assert done.exception is None, done.exception
    assert "| SO_RCVBUF is doubled |" in done.output
    assert len([line for line in done.output.splitlines() if line.startswith("|")]) > 20


def test_what_is_measured_is_written_nowhere() -> None:
    """The numbers of this kernel are in no source file of the room."""
    source = "".join(path.read_text() for path in Path(room.__file__).parent.glob("*.py"))
    assert not {"2304", "4608", "212992", "4194304", "33554432"} & set(source.replace('"', " ").split())
