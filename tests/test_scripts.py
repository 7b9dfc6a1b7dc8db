"""Every script says what it does: `--help` is its one text, on standard output, and changes nothing."""

import subprocess
from pathlib import Path

import pytest

from tests.commanded import ROOT, environment

LIMIT_S = 300.0
"""The first call of some installs the tests' packages."""
SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for folder in ("scripts", "scripts/dev")
    for path in (ROOT / folder).iterdir()
    if path.is_file()
)
NEWCOMERS = {"base-image", "bench", "check", "images", "lab", "setup", "test", "up"}


def called(script: str, *words: str, where: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    command = [str(ROOT / script), *words]
    return subprocess.run(
        command, cwd=where, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=LIMIT_S, check=False,
    )  # fmt: skip


def test_a_newcomer_finds_eight_doors_and_the_rest_in_dev() -> None:
    assert {Path(each).name for each in SCRIPTS if Path(each).parent.name == "scripts"} == NEWCOMERS


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_answers_help_from_any_folder(script: str, tmp_path: Path) -> None:
    for word in ("--help", "-h"):
        done = called(script, word, where=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "usage: " in done.stdout.lower()
        assert f"{'lab' if script == 'scripts/lab' else script} " in done.stdout.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", [each for each in SCRIPTS if each != "scripts/test"])
def test_what_a_script_does_not_understand_is_a_usage_error(script: str) -> None:
    done = called(script, "--frobnicate")
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage" in done.stderr.lower() or "frobnicate" in done.stderr


def test_help_of_a_benchmark_says_what_it_measures() -> None:
    names = called("scripts/bench", "--help").stdout.splitlines()[-1].split(", ")
    assert {"run", "proof", "watch"} <= {*names}
    for name in names:
        done = called("scripts/bench", name, "--help")
        assert done.returncode == 0, done.stderr
        assert len(done.stdout) > 40
