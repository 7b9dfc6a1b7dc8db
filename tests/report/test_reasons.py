"""Every reason that the judges can give has one sentence, and its facts stand in it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from lab.evidence import Wants
from lab.proof.stack.ruling import Argument
from lab.reason import Qualifier, Why, because, quoted
from lab.report.reasons import ARGUMENTS, SENTENCES, WANTS, all_words, folded, words


@pytest.mark.parametrize("why", Why)
def test_every_reason_has_a_sentence(why: Why) -> None:
    assert SENTENCES[why].strip()


def test_every_want_and_every_argument_has_words() -> None:
    assert set(WANTS) == set(Wants)
    assert set(ARGUMENTS) == set(Argument)


def test_facts_stand_in_the_sentence_in_their_order() -> None:
    assert words(because(Why.WINDOW_OPEN, "10.0.0.1:80", 512)) == "10.0.0.1:80 offers a window of 512 bytes"
    assert words(because(Why.ENDS_SOON, "ppoll", 0.25)) == "ppoll ends by itself in 0.2 s"


def test_a_fact_may_be_a_reason_or_several() -> None:
    one, other = quoted("the first"), because(Why.HAS_ROOM, "it", 1, 2)
    assert words(because(Why.NOT_KNOWN, one)) == "not known: the first"
    assert (
        words(because(Why.WAITS, "ppoll", (one, other))) == "ppoll: the first or it has room: 1 of 2 bytes are queued"
    )


def test_a_qualifier_says_its_reason() -> None:
    qualifier = Qualifier(quoted("an alarm"), "no-alarm")
    assert all_words([qualifier, qualifier.reason]) == ("an alarm", "an alarm")


def test_braces_in_a_text_of_a_program_are_text() -> None:
    assert words(quoted("{0} {} {x}")) == "{0} {} {x}"


def given(path: Path) -> Iterator[tuple[str, int, str]]:
    """Every reason that a module gives: which, with how many facts, and where."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not node.args or not ast.unparse(node.args[0]).startswith("Why."):
            continue
        facts = node.args[1:]
        if ast.unparse(node.func) == "Reason" and facts:
            facts = facts[0].elts if isinstance(facts[0], ast.Tuple) else [ast.Starred(facts[0])]
        if not any(isinstance(each, ast.Starred) for each in facts):
            yield ast.unparse(node.args[0])[4:], len(facts), f"{path.name}:{node.lineno}"


GIVEN = [each for path in sorted((Path(__file__).parents[2] / "lab").rglob("*.py")) for each in given(path)]


def test_a_reason_is_given_with_as_many_facts_as_its_sentence_has_places_for() -> None:
    for name, facts, where in GIVEN:
        places = [field for _, field, _, _ in Formatter().parse(SENTENCES[Why[name]]) if field is not None]
        assert facts == len(places), f"{name} at {where}"


def test_every_reason_is_given_somewhere() -> None:
    named = " ".join(path.read_text() for path in (Path(__file__).parents[2] / "lab").rglob("*.py"))
    assert [why.name for why in Why if f"Why.{why.name}," not in named and f"Why.{why.name})" not in named] == []
    assert len(GIVEN) > 100


def test_what_is_said_of_several_programs_alike_is_one_sentence() -> None:
    said = [because(Why.ENDED_BY_ALARM, name) for name in ("1 a", "2 b", "2 b")]
    others = [
        because(Why.POSIX_TIMERS, "1 a", 2),
        because(Why.POSIX_TIMERS, "2 b", 3),
        because(Why.UNREADABLE_TABLES, 1),
    ]
    assert folded([*said, *others]) == (
        "1 a, 2 b would be ended by SIGALRM, and an alarm is pending on this machine (timer_list)",
        *all_words(others),
    )
    many = [because(Why.ENDED_BY_ALARM, f"{number} x") for number in range(15)]
    assert folded(many)[0].startswith("0 x, 1 x, 2 x, 12 more would be ended by SIGALRM")
