"""No mutated capture or lying program crashes the lab, hangs it or makes it take memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent.parent / "scripts/dev/fuzz"


@pytest.mark.parametrize(("what", "many"), [("captures", 501), ("messages", 101)])
def test_mutants_are_judged_or_refused(what: str, many: int) -> None:
    """In a process of its own: the peak of memory is a whole process's. `scripts/dev/fuzz` alone takes 60 s."""
    done = subprocess.run(
        [sys.executable, FUZZ, what, f"{many}x", "1"],
        env=os.environ | {"LAB_FUZZ_HERE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0].replace(",", "")) == many
