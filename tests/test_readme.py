"""README.md is what a stranger reads first: short, and with the two commands of a fresh machine."""

import re
from pathlib import Path

import pytest

from lab.cli import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MAXIMUM_LINES = 160
CHAPTERS = [
    "The first run",
    "Install",
    "Your own programs",
    "Outcomes, grades, exit codes",
    "What cures it",
    "What it needs and changes",
    "Documentation",
    "Platforms",
]


def test_it_is_short() -> None:
    assert README.count("\n") <= MAXIMUM_LINES
    assert max(len(line) for line in README.splitlines() if not line.startswith("| ")) <= 120


def test_it_has_its_chapters_in_their_order() -> None:
    assert re.findall(r"^## (.+)$", README, re.MULTILINE) == CHAPTERS


def test_the_first_command_is_the_main_job_and_its_output_comes_next() -> None:
    commands = re.findall(r"^\$ (.+)$", README, re.MULTILINE)
    assert commands[0] == "scripts/lab run"
    assert "scripts/test" in commands
    first = README.index("$ scripts/lab run\n")
    shown = README[first : README.index("\n## Install")]
    assert "```text\ndeadlock (proven): " in shown
    for buffer in ("client send queue", "server receive queue", "client receive queue", "server send queue"):
        assert buffer in shown, "the picture of the four buffers"


@pytest.mark.parametrize("script", ["lab", "up", "setup", "test"])
def test_every_door_that_it_names_is_there(script: str) -> None:
    assert f"scripts/{script}" in README
    assert (ROOT / "scripts" / script).is_file()


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 130, 141])
def test_every_exit_code_is_in_its_table(code: int) -> None:
    rows = re.findall(r"^\| (\d+(?:, \d+)*) \|", README, re.MULTILINE)
    assert str(code) in [each for row in rows for each in row.split(", ")]


def test_it_names_every_command() -> None:
    assert f"Commands: {', '.join(f'`{name}`' for name in COMMANDS)}" in " ".join(README.split())
