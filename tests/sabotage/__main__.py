"""Tries every edit on a copy of the project, and looks which test of its premise fails: `python -m tests.sabotage`.

First the tests must pass without any edit. Exit: 0; 1 if they do not, or if an edit survives; 2 usage.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.proof.premises import BY_ID
from tests.sabotage.edits import EDITS, Edit

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "runs", "__pycache__", ".*_cache", ".hypothesis")
PASSED, FAILED = 0, 1
"""pytest's exit codes for tests that ran. Others: the edit has broken more than a belief."""
LIMIT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Caught:
    """What came of an edit."""

    by: str | None
    """The first test, or case of the corpus, that failed."""
    seconds: float


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/dev/sabotage", description="Breaks each premise in a copy.")
    parser.add_argument("ids", nargs="*", metavar="ID", help="premises; all if none")
    parser.add_argument("--corpus", action="store_true", help="play the premise's cases of the corpus as well (root)")
    options = parser.parse_args(argv)
    if unknown := [each for each in options.ids if each not in BY_ID]:
        parser.error(f"there is no premise '{unknown[0]}'; lab/proof/premises.py lists them")
    chosen = [edit for edit in EDITS if not options.ids or edit.premise in options.ids]
    with tempfile.TemporaryDirectory(prefix="lab-sabotage-") as folder:
        copy = Path(folder, "copy")
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        (copy / "runs").mkdir()
        (copy / ".venv").symlink_to(ROOT / ".venv")
        return _try_all(copy, chosen, corpus=options.corpus)


def _try_all(copy: Path, edits: Sequence[Edit], *, corpus: bool) -> int:
    tests = list(dict.fromkeys(test for edit in edits for test in _tests(edit.premise)))
    whole = _failing_test(copy, tests)
    if whole.by:
        print(f"without any edit: {whole.by} fails")
        return 1
    print(f"{whole.seconds:5.1f} s  {'':<28} nothing is edited")
    print(f"{'':<37} all {len(tests)} tests pass")
    survivors = 0
    for edit in edits:
        file = copy / edit.file
        sound = file.read_text()
        file.write_text(sound.replace(edit.old, edit.new))
        try:
            caught = _failing_test(copy, _tests(edit.premise))
            if caught.by is None and corpus:
                caught = _failing_case(copy, BY_ID[edit.premise].cases)
        finally:
            file.write_text(sound)
        survivors += caught.by is None
        print(f"{caught.seconds:5.1f} s  {edit.premise:<28} {edit.says}")
        print(f"{'':<37} {caught.by or 'SURVIVES'}", flush=True)
    premises = len({edit.premise for edit in edits})
    print(f"{len(edits)} edits of {premises} premises, {survivors} survived")
    return 1 if survivors else 0


def _tests(premise: str) -> tuple[str, ...]:
    row = BY_ID[premise]
    return tuple(dict.fromkeys((*row.tests, *row.edge)))


def _failing_test(copy: Path, tests: Iterable[str]) -> Caught:
    began = time.monotonic()
    chosen = [f"tests/{test}" for test in tests]
    done = _python(copy, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *chosen)
    if done.returncode not in (PASSED, FAILED):
        raise SystemExit(f"sabotage: the tests do not run:\n{done.stdout}{done.stderr}")
    found = re.search(r"^FAILED tests/(\S+)", done.stdout, re.MULTILINE)
    return Caught(found[1] if found else None, time.monotonic() - began)


def _failing_case(copy: Path, cases: Sequence[str]) -> Caught:
    began = time.monotonic()
    done = _python(copy, "-m", "tests.corpus", "--ask", "structure", *cases) if cases else None
    failed = done is not None and done.returncode == FAILED
    return Caught(f"corpus: {', '.join(cases)}" if failed else None, time.monotonic() - began)


def _python(copy: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Bytecode is not kept: two edits of one size within a second would be taken for one."""
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(copy / ".venv/bin/python"), *words]
    return subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
