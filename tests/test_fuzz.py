"""No mutated capture crashes the judge, hangs it or makes it take memory: as many of them as fit into 15 s."""

import os
import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).parent.parent / "scripts/fuzz"


def test_mutated_captures_are_judged_or_refused() -> None:
    """In a process of its own: the peak of memory is a whole process's. `scripts/fuzz` alone takes 60 s."""
    done = subprocess.run(
        [sys.executable, FUZZ, "15", "1"],
        env=os.environ | {"LAB_FUZZ_HERE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0].replace(",", "")) > 500
