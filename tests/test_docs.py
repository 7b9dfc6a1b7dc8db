"""The pages below docs/ that are written from the code are up to date."""

import subprocess
import sys
from pathlib import Path

from lab.proof.premises import TABLE

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/proof.md").read_text()


def test_the_page_of_the_proof_is_what_the_table_says() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/docs", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "docs/proof.md is up to date\n")


def test_the_page_of_the_proof_has_every_premise() -> None:
    for premise in TABLE:
        assert f"\n### {premise.id}\n\n{premise.says}\n" in PAGE


def test_the_reasons_come_before_the_premises_and_fit_on_one_page() -> None:
    assert PAGE.startswith("# Why a deadlock is a proof\n")
    assert PAGE.index("# The premises") < PAGE.index(f"### {TABLE[0].id}")
    assert PAGE[: PAGE.index("# The premises")].count("\n") < 80
