"""`python -m lab`: whatever ends it, its exit code is a documented one, and a closed stream is no trouble."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.commanded import ROOT, environment
from tests.waiting import LIMIT_S


@pytest.mark.parametrize(
    ("raised", "code", "says"),
    [
        ("RuntimeError('broken')", 5, "RuntimeError: broken"),
        ("SystemExit(1)", 5, "SystemExit: 1"),
        ("KeyboardInterrupt", 130, ""),
        ("ModuleNotFoundError('no wheel')", 4, "lab: no wheel: call scripts/lab, which installs what it needs"),
    ],
)
def test_an_error_before_the_command_line_is_read_is_no_verdict(
    raised: str, code: int, says: str, tmp_path: Path
) -> None:
    """Python's own exit code for it is 1, which means a deadlock."""
    (tmp_path / "click.py").write_text(f"raise {raised}")
    done = subprocess.run(
        [sys.executable, "-m", "lab", "list"],
        cwd=ROOT,
        env=environment(PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert bool(done.stderr) == bool(says)


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
@pytest.mark.parametrize("words", ["list", "forecast", "run healthy --testbed loopback --payload 64k"])
def test_closed_standard_streams_are_no_trouble(words: str, closed: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"scripts/lab {words} {closed}"], cwd=ROOT,
        env=environment(LAB_RUNS=str(tmp_path)), capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == ("1>" not in closed)


def test_a_python_without_the_packages_is_told_what_to_call() -> None:
    """Not 1, which is a verdict."""
    command = [sys.executable, "-S", "-m", "lab", "judge", "a.pcap"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == "lab: No module named 'click': call scripts/lab, which installs what it needs\n"
