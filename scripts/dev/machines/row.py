"""One line of the table: what was played in a place, what was expected, and what the lab said."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

PROOFS = frozenset({"proven", "proven-closed-world", "qualified", "proven-until"})
"""The grades of a `deadlock` that claim to be proofs; `consistent` does not."""
MARK = "row "


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    expected: str
    """What would be right; several are separated by " or "."""
    outcome: str
    grade: str = ""
    proof_ms: float | None = None
    """From the last byte that moved to the verdict."""
    right: bool = True
    false_proof: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        return "FALSE PROOF" if self.false_proof else "right" if self.right else "WRONG"


def judged(what: str, expected: Iterable[str], document: dict[str, Any], note: str = "") -> Row:
    """The row of a verdict as `--format json` shows it."""
    names = tuple(expected)
    outcome, grade = str(document["outcome"]), str(document["grade"] or "")
    sealed, proved = document["seal_ns"], document["proved_ns"]
    return Row(
        what,
        " or ".join(names),
        outcome,
        grade,
        None if sealed is None or proved is None else (proved - sealed) / 1e6,
        right=outcome in names,
        false_proof=outcome == "deadlock" and grade in PROOFS and outcome not in names,
        note=note,
    )


def reserves(document: dict[str, Any]) -> str:
    """What is missing, and what qualifies the proof: each once, not once a socket."""
    found = [*(f"missing: {each}" for each in document["missing"]), *document["qualifiers"]]
    return "; ".join(dict.fromkeys(re.sub(r" of \S+ \(\S+\)", "", each) for each in found))


def wrong(what: str, expected: str, note: str) -> Row:
    """What could not be judged at all."""
    return Row(what, expected, "none", right=False, note=" ".join(note.split())[-300:])


def to_line(row: Row) -> str:
    return MARK + json.dumps(asdict(row))


def from_line(line: str) -> Row | None:
    return Row(**json.loads(line.removeprefix(MARK))) if line.startswith(MARK) else None
