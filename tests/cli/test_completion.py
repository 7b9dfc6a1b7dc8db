"""`lab completion`: a real shell completes commands, flags and names by the script that it prints."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab import remedy, scenario
from tests.commanded import ROOT, environment, lab
from tests.waiting import LIMIT_S

ASK = """
lab() {{ {python} -m lab "$@"; }}
export -f lab
source <(lab completion bash)
COMP_WORDS=({words}); COMP_CWORD={last}
_lab_completion lab
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(*words: str) -> list[str]:
    """What bash offers for the last word. Its function calls the `lab` that stands first on PATH."""
    script = ASK.format(python=sys.executable, words=" ".join(f"'{each}'" for each in words), last=len(words) - 1)
    done = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=ROOT, env=environment(), capture_output=True, text=True,
        timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return [each for each in done.stdout.splitlines() if each]


@pytest.fixture(autouse=True)
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script asks by `env ... lab`, which takes no shell function."""
    (tmp_path / "lab").write_text(f'#!/bin/sh\nexec {sys.executable} -m lab "$@"\n')
    (tmp_path / "lab").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


def test_commands_and_flags_are_completed() -> None:
    assert completed("lab", "re") == ["remedies", "restore"]
    assert completed("lab", "watch", "--p") == ["--pid", "--port"]


def test_scenarios_remedies_testbeds_and_outcomes_are_completed() -> None:
    assert completed("lab", "run", "") == list(scenario.catalogue())
    assert completed("lab", "run", "upper", "--remedy", "") == list(remedy.catalogue())
    assert completed("lab", "forecast", "--testbed", "l") == ["loopback"]
    assert completed("lab", "run", "--expect", "dead") == ["deadlock"]
    assert completed("lab", "completion", "z") == ["zsh"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script_that_it_understands(shell: str, tmp_path: Path) -> None:
    said = lab("completion", shell)
    assert (said.code, said.err) == (0, "")
    assert "_LAB_COMPLETE" in said.out
    if shutil.which(shell):
        (tmp_path / "script").write_text(said.out)
        subprocess.run([shell, "-n", tmp_path / "script"], check=True, timeout=LIMIT_S)


def test_a_question_that_is_none_is_a_usage_error_and_no_verdict() -> None:
    assert lab(_LAB_COMPLETE="bash_ask").code == 2


def test_a_shell_that_asks_does_not_make_the_clone_install_anything(tmp_path: Path) -> None:
    """Tab in a fresh clone offers nothing, and at once."""
    for name in ("scripts/lab", "requirements.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    done = subprocess.run(
        [tmp_path / "scripts/lab"], env=environment(_LAB_COMPLETE="bash_complete"), capture_output=True, text=True,
        timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
