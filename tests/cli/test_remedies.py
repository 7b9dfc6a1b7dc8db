"""`lab remedies`: the contract of its JSON, its table, and what it refuses."""

import json

import click
import pytest
from click.testing import CliRunner

from lab.cli import remedies
from lab.errors import SpecError
from lab.remedy import Effect

SMALL = ["--tcp-rmem", "4096 32768 32768", "--tcp-wmem", "4096 32768 32768", "--payload", "1MiB"]


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
    assert isinstance(done.exception, SpecError | click.BadParameter)
    assert why in str(done.exception)
