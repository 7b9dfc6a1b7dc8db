"""The corpus' live pairs that need no foreign program: a row of all of them, and one for each failure."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from machines.row import Row, wrong

JOBS = "4"
"""More than that, and what is watched waits for the emulated processors instead of being asked."""


def play(*patterns: str) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as work:
        told = Path(work) / "corpus.json"
        words = ("--bare", "--ask", "structure", "--jobs", JOBS, "--json", str(told), *patterns)
        done = subprocess.run(
            [sys.executable, "-m", "tests.corpus", *words], capture_output=True, text=True, check=False
        )
        if not told.exists():
            yield wrong("corpus", "to be played", done.stderr)
            return
        document = json.loads(told.read_text())
    yield from rows(document["cases"])


def rows(cases: list[dict[str, Any]]) -> Iterator[Row]:
    """One of all that was played, then those that failed."""
    sound = [case for case in cases if case["confirmed"] and not case["error"] and not case["broken_claims"]]
    deadlocks = [case for case in sound if case["truth"] == "deadlock"]
    unproven = [case["case"] for case in deadlocks if case["proof_ms"] is None]
    false = sum(bool(case["broken_claims"]) for case in cases)
    yield Row(
        f"corpus, {len(cases)} cases",
        "0 false proofs",
        f"{false} false proofs",
        f"{len(deadlocks) - len(unproven)} of {len(deadlocks)} proven",
        right=not false,
        note=f"not proven: {', '.join(unproven)}" if unproven else "",
    )
    for case in cases:
        if case not in sound:
            claims = "; ".join(case["broken_claims"])
            note = claims or case["error"] or "the byte counters do not bear it out"
            said = {answer["outcome"] for answer in case["answers"]}
            grades = {answer["grade"] or "" for answer in case["answers"]}
            yield Row(
                f"corpus {case['case']}",
                case["truth"],
                ", ".join(sorted(said)),
                ", ".join(sorted(grades)),
                right=False,
                false_proof=bool(claims),
                note=" ".join(note.split())[:300],
            )
