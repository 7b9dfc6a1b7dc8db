"""The table of premises is whole and true of the code: ids, sources, tests, cases, and what the proof names of it."""

import ast
import re
import tokenize
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from random import Random

import pytest

from lab import evidence
from lab.proof.deadlock import analyse
from lab.proof.judge import judge
from lab.proof.premises import ALWAYS, BY_ID, TABLE, Kernels, Premise, Unseen, of_wait
from lab.spec import Grade
from tests.corpus.catalogue import all_cases
from tests.played import frozen
from tests.proof.simulator import START, draw

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "lab/proof").rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in MODULES}
IDS = [premise.id for premise in TABLE]
EACH = pytest.mark.parametrize("premise", TABLE, ids=IDS)

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
CALLED = re.compile(r"\b([a-z_][a-z0-9_]*)\(\)")
"""A function in prose."""


def test_no_two_premises_have_one_id() -> None:
    assert len(BY_ID) == len(TABLE)
    assert all(SLUG.fullmatch(each) for each in IDS)


def strings(node: ast.AST) -> Iterator[str]:
    yield from (each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str))


def named_in(tree: ast.Module) -> Iterator[str]:
    """The ids that code names: of a ruling or a wait, of a qualifier, and by what an id looks like."""
    enums = {
        id(each)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in node.bases)
        for each in ast.walk(node)
    }
    rows = {
        id(each)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Premise"
        for each in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in enums or id(node) in rows:
            continue
        if isinstance(node, ast.keyword) and node.arg in ("premise", "premises"):
            yield from strings(node.value)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Qualifier":
            yield from strings(node.args[1])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and SLUG.fullmatch(node.value):
            yield from [node.value] if "-" in node.value or node.value in BY_ID else ()


NAMED = {path.relative_to(ROOT): set(named_in(tree)) for path, tree in TREES.items()}


@pytest.mark.parametrize("path", NAMED, ids=str)
def test_every_id_that_a_module_names_stands_in_the_table(path: Path) -> None:
    assert NAMED[path] <= BY_ID.keys()


def test_every_premise_is_named_by_a_rule_a_wait_or_a_qualifier() -> None:
    """Else a verdict that stands on it would not say so."""
    assert BY_ID.keys() == set().union(*NAMED.values())


def test_a_proof_lists_known_premises_only_and_what_every_proof_stands_on() -> None:
    lists = [judge(frozen()).premises]
    for seed in range(300):
        world = draw(Random(seed))
        world.play_until(START)
        lists += [knot.premises for knot in analyse(world.snapshot(), world.now_ns).knots]
    assert len(lists) > 50
    for each in lists:
        assert set(ALWAYS) <= set(each) <= BY_ID.keys()
        assert len(set(each)) == len(each)


def test_what_is_not_proven_stands_on_nothing() -> None:
    seen = frozen()
    unproven = judge(evidence.Evidence(**{field.name: getattr(seen, field.name) for field in fields(seen)} | NOTHING))
    assert unproven.grade in (None, Grade.CONSISTENT)
    assert unproven.premises == ()


NOTHING = {"snapshots": ()}


@pytest.mark.parametrize(
    ("call", "resource", "wants", "known"),
    [
        ("sendto", "socket:1", "write", {"descriptor-of-the-call", "socket-time-limits"}),
        ("read", "pipe:1", "read", {"descriptor-of-the-call"}),
        ("read", "unix:1", "read", {"descriptor-of-the-call", "unix-peers"}),
        ("accept4", "listener:1", "accept", {"descriptor-of-the-call"}),
        ("poll", "socket:1", "write", {"arguments-in-memory", "polls-by-events"}),
        ("epoll_wait", "eventfd:1", "read", {"epoll-set", "polls-by-events", "eventfd-by-holder"}),
        ("futex", "process:1", "wake", {"arguments-in-memory", "futex-of-its-memory"}),
        ("wait4", "process:1", "end", {"children-end-by-themselves"}),
        ("poll", "process:1", "end", {"arguments-in-memory", "polls-by-events", "children-end-by-themselves"}),
    ],
)
def test_a_wait_stands_on_what_its_call_and_its_resource_ask_for(
    call: str, resource: str, wants: str, known: set[str]
) -> None:
    items = (evidence.Item(evidence.Resource.parse(resource), evidence.Wants(wants)),)
    assert set(of_wait(evidence.Wait(call, items))) == known
    assert set(of_wait(evidence.Wait(call, items, deadline_ns=1))) == known | {"dated-time-limit"}


def test_a_wait_for_nothing_stands_on_its_time_limit_alone() -> None:
    assert set(of_wait(None)) == set()
    assert set(of_wait(evidence.Wait("clock_nanosleep", (), deadline_ns=1))) == {"dated-time-limit"}
    assert set(of_wait(evidence.Wait("pause", ()))) == set()


def prose(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in (tokenize.COMMENT, tokenize.STRING):
                yield token.string


OWN = {node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
SOURCES = " ".join(source.where for premise in TABLE for source in premise.sources)
SOURCED = set(re.findall(r"\b(\w+)\((?:\)|\d)", SOURCES))
"""Kernel functions `f()`, and system calls `f(2)`."""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_function_that_a_module_names_stands_in_a_source(path: Path) -> None:
    named = {name for text in prose(path) for name in CALLED.findall(text)}
    assert named - OWN <= SOURCED


@EACH
def test_a_source_says_where(premise: Premise) -> None:
    for source in premise.sources:
        if source.kind == "kernel":
            assert re.match(r"[a-z]+/[\w/]+\.[ch]: \w+\(\)", source.where), source
            assert re.fullmatch(r"[\d., and to]+", source.versions), source
        elif source.kind == "rfc":
            assert re.match(r"RFC \d+, \d", source.where), source
        elif source.kind == "man":
            assert re.search(r"\w+\(\d(const)?\)|proc_timer_list", source.where), source
        else:
            assert source.kind == "measured"
    assert premise.sources or premise.unseen is Unseen.EXCLUDED


def exists(test: str) -> bool:
    file, _, name = test.partition("::")
    path = ROOT / "tests" / file
    tree = ast.parse(path.read_text()) if path.is_file() else ast.Module([], [])
    return name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@EACH
def test_every_test_that_it_names_exists(premise: Premise) -> None:
    assert [each for each in (*premise.tests, *premise.edge) if not exists(each)] == []
    assert len(set(premise.tests)) == len(premise.tests)
    assert premise.tests or premise.unseen is Unseen.EXCLUDED


@EACH
def test_every_case_that_it_names_is_in_the_corpus(premise: Premise) -> None:
    assert set(premise.cases) <= {case.name for case in all_cases()}


@EACH
def test_every_fact_that_it_needs_is_a_field_of_the_evidence(premise: Premise) -> None:
    for each in premise.needs:
        kind, _, name = each.partition(".")
        assert name in {field.name for field in fields(getattr(evidence, kind))}, each
    assert premise.needs or premise.unseen is Unseen.EXCLUDED


@EACH
def test_where_it_is_false_or_its_kernels_end_a_test_shows_what_is_done(premise: Premise) -> None:
    limited = premise.false_where is not None or premise.kernels != Kernels()
    assert bool(premise.edge) is limited
    ends = (premise.kernels.since != Kernels().since) + (premise.kernels.below is not None)
    assert len(premise.edge) >= ends, "a test for each end of the range"


@EACH
def test_it_is_one_sentence_or_two_that_can_be_false(premise: Premise) -> None:
    assert re.fullmatch(r"[A-Z_].*\.", premise.says)
    assert len(premise.says) < 300
