"""A reason is a value: two that say the same are equal, and no word of it is made here."""

from lab.reason import Qualifier, Reason, Why, because, quoted


def test_reasons_with_the_same_facts_are_one() -> None:
    assert because(Why.HAS_ROOM, "it", 1, 2) == Reason(Why.HAS_ROOM, ("it", 1, 2))
    assert len({because(Why.RUNS), because(Why.RUNS), because(Why.RAN)}) == 2


def test_what_an_observer_has_said_is_kept_as_it_is() -> None:
    assert quoted("no \x1b[2J") == Reason(Why.TOLD, ("no \x1b[2J",))


def test_a_qualifier_belongs_to_a_premise() -> None:
    assert Qualifier(quoted("x"), "one") != Qualifier(quoted("x"), "another")


def test_every_reason_has_a_spelling_of_its_own() -> None:
    assert len({str(each) for each in Why}) == len(Why)
    assert all(str(each) == each.name.lower().replace("_", "-") for each in Why)
