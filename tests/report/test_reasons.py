"""Every reason has a sentence, with its facts in their places."""

import pytest

from lab.evidence import Wants
from lab.proof.stack.ruling import Argument
from lab.reason import Qualifier, Why, because, quoted
from lab.report.reasons import ARGUMENTS, SENTENCES, WANTS, all_words, words


def test_nothing_that_can_be_a_reason_lacks_words() -> None:
    assert set(SENTENCES) == set(Why)
    assert set(WANTS) == set(Wants)
    assert set(ARGUMENTS) == set(Argument)


@pytest.mark.parametrize("why", Why)
def test_a_sentence_has_a_place_for_each_of_its_facts(why: Why) -> None:
    places = SENTENCES[why].count("{")
    sentence = words(because(why, *(float(number) for number in range(1, places + 1))))
    assert "{" not in sentence
    assert "\n" not in sentence
    assert sentence
    if places:
        with pytest.raises(IndexError):
            words(because(why, *range(places - 1)))


def test_a_fact_may_be_a_reason_or_several() -> None:
    inner = because(Why.HAS_ROOM, "the client's socket", 1, 2)
    assert words(because(Why.NOT_KNOWN, inner)) == "not known: the client's socket has room: 1 of 2 bytes are queued"
    either = (quoted("a read"), quoted("an end"))
    assert words(because(Why.COULD_END, "7/8 java", Wants.WRITE, either)) == (
        "7/8 java could end its wait for room to write (a read or an end)"
    )


def test_a_qualifier_is_told_by_its_reason() -> None:
    reason = because(Why.UNREADABLE_TABLES, 3)
    assert words(Qualifier(reason, "tables")) == words(reason) == "unreadable fd tables: 3"
    assert all_words([quoted("a"), Qualifier(quoted("b"), "tables")]) == ("a", "b")
