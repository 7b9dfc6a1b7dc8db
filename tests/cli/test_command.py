"""Every command has flags in groups, at least three examples that are right, and its exit codes in its help."""

import re
import shlex

import click
import pytest

from lab.cli import COMMANDS, app
from lab.cli.command import ALWAYS, GROUPS, Command, flag
from lab.errors import ExitCode
from tests.commanded import lab

HELPS = ["", *COMMANDS]


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    said = {name: lab(*([name] if name else []), "--help") for name in HELPS}
    assert {each.code for each in said.values()} == {0}
    return {name: each.out for name, each in said.items()}


@pytest.mark.parametrize("name", HELPS)
def test_help_has_examples_and_exit_codes_within_80_columns(helps: dict[str, str], name: str) -> None:
    _, _, end = helps[name].partition("\nExamples:\n")
    examples, _, codes = end.partition("\nExit codes:\n")
    assert len(re.findall(r"(?m)^  \S", examples)) >= (1 if name == "completion" else 3)
    assert {int(each) for each in re.findall(r"(?m)^  (\d+) ", codes)} >= {0, *map(int, ALWAYS)}
    assert max(map(len, helps[name].splitlines())) <= 80


@pytest.mark.parametrize("name", HELPS)
def test_every_example_is_one_that_the_command_line_takes(name: str) -> None:
    command = command_of(name) if name else app
    assert isinstance(command, Command)
    for line, does in command.examples:
        assert does
        found = re.search(r"\blab ([^|)]+)", line)
        assert found, line
        called, *words = shlex.split(found[1].replace("$NAME", "idle"))
        # The parser takes the words; only the values are parsed, and nothing is called.
        context = command_of(called).make_context(called, words)
        assert context.params or not words


def command_of(name: str) -> click.Command:
    found = app.get_command(click.Context(app), name)
    assert found is not None
    return found


def test_the_flags_of_a_run_stand_in_groups_in_order(helps: dict[str, str]) -> None:
    headings = re.findall(r"(?m)^(\S.*):$", helps["run"])
    assert headings == [*(each for each in GROUPS if each != "What is watched"), "Options", "Examples", "Exit codes"]
    capture = helps["run"].partition("\nCapture:\n")[2].partition("\n\n")[0]
    assert re.findall(r"(?m)^  (--\S+)", capture) == ["--capture", "--snaplen", "--capture-size"]


def test_the_codes_of_judge_and_watch_are_the_contracts(helps: dict[str, str]) -> None:
    for name in ("judge", "watch"):
        assert re.search(r"  0    no deadlock\n  1    a deadlock", helps[name])
    assert re.search(r"  0    as expected\n  1    another outcome\n  2 .*\n  3    inconclusive", helps["run"])


def test_a_command_without_codes_of_its_own_is_done_or_is_not() -> None:
    @click.command(cls=Command)
    @flag("--so-many", of="made", help="of them")
    def command() -> None:
        """Nothing."""

    assert command.codes == {ExitCode.DONE: "done", **ALWAYS}
    assert command.params[0].envvar == "LAB_MADE_SO_MANY"


def test_a_name_of_another_command_is_no_suggestion_for_a_flag() -> None:
    said = lab("--once")
    assert said.code == 2
    assert "--once" in said.err


def test_the_commands_are_listed_after_all_of_them_were_imported() -> None:
    """One of them is called like a builtin of Python, and then a name of the package."""
    context = click.Context(app)
    assert all(app.get_command(context, name) for name in COMMANDS)
    assert app.list_commands(context) == [*COMMANDS]
    assert app.resolve_command(context, ["list"])[0] == "list"
