"""`lab remedies` and `lab limits`: the contract of their JSON, their exit codes, and what they refuse."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lab.cli import app, limits, remedies
from lab.errors import LabError, SpecError
from lab.remedy import Effect

SMALL = ["--tcp-rmem", "4096 32768 32768", "--tcp-wmem", "4096 32768 32768", "--payload", "1MiB"]


def test_both_are_commands_of_the_lab() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    assert "remedies" in shown
    assert "limits" in shown


@pytest.mark.root
def test_the_json_of_remedies_has_the_contract() -> None:
    done = CliRunner().invoke(
        remedies.command, ["echo", "--remedy", "threads", "--format", "json", *SMALL], standalone_mode=False
    )
    assert done.exception is None, done.exception
    (threads,) = json.loads(done.output)["remedies"]
    assert threads["remedy"] == "threads"
    assert threads["class"] == threads["expected_class"] == Effect.CURES
    assert threads["outcome"] == "completed"
    assert threads["seconds"] > 0
    assert threads["relative_speed"] == 1.0
    assert [run["outcome"] for run in threads["runs"]] == ["completed", "completed"]
    assert set(threads["memory"]) == {"client", "server"}


@pytest.mark.root
def test_markdown_is_a_table() -> None:
    done = CliRunner().invoke(
        remedies.command, ["echo", "--remedy", "credit", "--format", "markdown", *SMALL], standalone_mode=False
    )
    assert "| credit | cures | completed |" in done.output
    assert done.output.startswith("echo without a remedy: deadlock after ")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["idle"], "scenario 'idle' does not freeze"),
        (["--remedy", "prayer"], "unknown remedy 'prayer'"),
        (["--testbed", "moon"], "unknown testbed 'moon'"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_reason(arguments: list[str], why: str) -> None:
    done = CliRunner().invoke(remedies.command, arguments, standalone_mode=False)
    assert isinstance(done.exception, SpecError)
    assert why in str(done.exception)


@pytest.mark.root
def test_the_json_of_limits_has_the_contract() -> None:
    done = CliRunner().invoke(limits.command, ["--format", "json"], standalone_mode=False)
    assert not isinstance(done.exception, LabError), done.exception
    rows = json.loads(done.output)["limits"]
    assert len(rows) > 20
    for row in rows:
        assert set(row) == {"claim", "published", "measured", "holds", "why", "scope"}
        assert row["scope"] in ("namespace", "host", "socket")
        assert isinstance(row["holds"], bool)


def test_the_doors_hold_no_table_of_their_own() -> None:
    """What is measured is written nowhere: the numbers of this kernel are in no source file."""
    source = "".join(path.read_text() for path in Path(limits.__file__).parent.parent.joinpath("limits").glob("*.py"))
    assert not {"2304", "4608", "212992", "4194304", "33554432"} & set(source.replace('"', " ").split())
