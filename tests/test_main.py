"""Every door is the same: whatever ends the lab, its exit code is documented, and a closed stream is no trouble."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.version import VERSION
from tests.commanded import ROOT, Said, environment
from tests.waiting import LIMIT_S

DOORS = ("clone", "module", "wheel")


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> list[str]:
    """The words that start the lab. The wheel is built for the tests that need it only."""
    if request.param == "wheel":
        return [str(request.getfixturevalue("installed"))]
    return [str(ROOT / "scripts/lab")] if request.param == "clone" else [sys.executable, "-m", "lab"]


def said(words: Sequence[str], where: Path, **more: str) -> Said:
    done = subprocess.run(
        words, cwd=where, env=environment(**more), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=LIMIT_S, check=False,
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)


def test_every_door_is_the_same_version(door: list[str]) -> None:
    assert said([*door, "--version"], ROOT).out.split()[-1] == VERSION


@pytest.mark.parametrize(
    ("raised", "code", "says"),
    [
        ("RuntimeError('broken')", 5, "RuntimeError: broken"),
        ("SystemExit(1)", 5, "SystemExit: 1"),
        ("KeyboardInterrupt", 130, ""),
        ("ModuleNotFoundError('no wheel')", 4, "lab: no wheel: "),
    ],
)
@pytest.mark.parametrize("door", ["module", "wheel"], indirect=True)  # scripts/lab takes nothing from PYTHONPATH
def test_an_error_before_the_command_line_is_read_is_no_verdict(
    door: list[str], raised: str, code: int, says: str, tmp_path: Path
) -> None:
    """Python's own exit code for it is 1, which means a deadlock."""
    (tmp_path / "click.py").write_text(f"raise {raised}")
    end = said([*door, "list"], ROOT, PYTHONPATH=str(tmp_path))
    assert (end.code, end.out) == (code, "")
    assert says in end.err
    assert bool(end.err) == bool(says)


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
@pytest.mark.parametrize("words", ["list", "forecast", "run healthy --testbed loopback --payload 64k"])
@pytest.mark.parametrize("door", ["clone", "wheel"], indirect=True)
def test_closed_standard_streams_are_no_trouble(door: list[str], words: str, closed: str, tmp_path: Path) -> None:
    end = said(["bash", "-c", f'"$@" {words} {closed}', "bash", *door], ROOT, LAB_RUNS=str(tmp_path))
    assert (end.code, end.err) == (0, "")
    assert bool(end.out) == ("1>" not in closed)


def test_a_reader_that_leaves_early_gets_no_verdict(door: list[str]) -> None:
    read, nobody_reads = os.pipe()
    os.close(read)
    try:
        command = [*door, "list", "--format", "json"]
        done = subprocess.run(
            command, env=environment(), stdout=nobody_reads, stderr=subprocess.PIPE, timeout=LIMIT_S, check=False
        )
    finally:
        os.close(nobody_reads)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_full_disk_under_the_output_is_one_line(door: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*door, "list"], env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, timeout=LIMIT_S,
            check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (4, "lab: cannot write the output: No space left on device\n")


def test_a_python_without_the_packages_is_told_what_to_call() -> None:
    """Not 1, which is a verdict."""
    end = said([sys.executable, "-S", "-m", "lab", "judge", "a.pcap"], ROOT)
    assert (end.code, end.out) == (4, "")
    assert end.err == "lab: No module named 'click': call scripts/lab, which installs what it needs\n"
