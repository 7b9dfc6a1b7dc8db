"""Every reason that the judges can give has one sentence, and its facts stand in it."""

import pytest

from lab.evidence import Wants
from lab.proof.stack.ruling import Argument
from lab.reason import Qualifier, Why, because, quoted
from lab.report.reasons import ARGUMENTS, SENTENCES, WANTS, all_words, words


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
