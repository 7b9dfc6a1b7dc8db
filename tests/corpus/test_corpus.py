"""The corpus, once: live pairs with known truth, played side by side in a process of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.case import Truth
from tests.corpus.catalogue import all_cases
from tests.corpus.root import ROOT

LIMIT_S = 540

pytestmark = [pytest.mark.root, pytest.mark.timeout(LIMIT_S + 60)]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of it. The output is shown when a test fails."""
    told = tmp_path_factory.mktemp("corpus") / "corpus.json"
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(
        [sys.executable, "-m", "tests.corpus", "--ask", "structure", "--json", told],
        cwd=ROOT,
        env=environment,
        timeout=LIMIT_S,
        check=False,
    )
    document: dict[str, Any] = json.loads(Path(told).read_text())
    return document


def test_there_are_fifty_cases_and_enough_of_each_truth() -> None:
    truths = [case.truth for case in all_cases()]
    assert len(truths) >= 50
    assert truths.count(Truth.DEADLOCK) >= 20
    assert len(truths) - truths.count(Truth.DEADLOCK) >= 30


def test_every_case_is_what_it_says(played: dict[str, Any]) -> None:
    assert [case["case"] for case in played["cases"] if case["error"] or not case["confirmed"]] == []


def test_no_proof_is_false_and_no_proven_pair_moves(played: dict[str, Any]) -> None:
    assert [(case["case"], case["broken_claims"]) for case in played["cases"] if case["broken_claims"]] == []


def test_the_true_deadlocks_are_proven(played: dict[str, Any]) -> None:
    assert played["failures"] == []


def test_each_simpler_rule_is_wrong_about_some(played: dict[str, Any]) -> None:
    """Else the corpus would not tell the rules apart."""
    simpler = {rule: counts for rule, counts in played["matrix"].items() if not rule.startswith("ours")}
    assert len(simpler) == 6
    assert all(counts["fp"] and counts["fn"] for counts in simpler.values())
