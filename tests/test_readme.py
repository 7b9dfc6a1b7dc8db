"""The README is true: what it shows is what the commands print, and every command of the lab is in it."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from lab.cli import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SHOWN = re.findall(r"<!-- output: (.+?) -->\n```text\n(.*?)```\n", README, re.DOTALL)


def words(text: str) -> list[str]:
    """Without figures, names of runs and boxes, which differ from run to run."""
    return re.findall(r"[A-Za-z][A-Za-z-]+", re.sub(r"runs/\S+", "", text))


@pytest.mark.parametrize(("command", "shown"), SHOWN, ids=[command for command, _ in SHOWN])
def test_the_readme_shows_what_the_command_prints(command: str, shown: str) -> None:
    wide = os.environ | {"COLUMNS": "100"}
    call = shlex.split(command)
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True, env=wide)
    first, *_ = done.stdout.splitlines()
    assert words(first) == words(shown.splitlines()[0])
    now, then = set(words(done.stdout)), set(words(shown))
    differing = now ^ then
    assert len(differing) <= len(then) * 0.1, f"scripts/readme renews it; it differs in {sorted(differing)}"


def test_there_is_real_output_for_a_newcomer() -> None:
    assert next(command for command, _ in SHOWN) == "scripts/lab run"
    assert all(shown.strip() for _, shown in SHOWN)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"lab {command}" in README


@pytest.mark.parametrize("script", ["lab", "up", "setup", "test"])
def test_every_door_that_the_readme_names_is_there(script: str) -> None:
    assert f"scripts/{script}" in README
    assert (ROOT / "scripts" / script).is_file()


def test_every_variable_in_the_readme_is_one_of_the_lab() -> None:
    known = {name for path in ROOT.glob("compose*.yaml") for name in re.findall(r"LAB_[A-Z_]+", path.read_text())}
    assert set(re.findall(r"LAB_[A-Z_]+", README)) <= known
