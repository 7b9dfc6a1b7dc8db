"""scripts/dev/places tells in one line what it cannot do, and by its exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def places(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ if path is None else os.environ | {"PATH": path}
    argv = [sys.executable, str(ROOT / "scripts/dev/places"), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_all_places_are_listed_with_their_kernels() -> None:
    listed = places("--list")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [
        "5.10",
        "6.1",
        "6.12",
        "7",
        "6.1-server",
        "6.12-docker",
    ]


@pytest.mark.parametrize("wrong", [("4.19",), ("--run", "job.py"), ("--short", "--times", "2"), ("--times", "0")])
def test_what_cannot_be_meant_is_refused(wrong: tuple[str, ...]) -> None:
    refused = places(*wrong)
    assert refused.returncode == 2
    assert refused.stdout == ""


@pytest.mark.root
def test_without_qemu_it_tells_what_to_install(tmp_path: Path) -> None:
    done = places("6.1", path=str(tmp_path))
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.count("\n") == 1
    assert "apt-get install qemu-system-x86" in done.stderr
