"""The text of `lab list`."""

from collections.abc import Callable
from io import StringIO

from lab import scenario
from lab.report import catalogue


def told(width: int = 99) -> str:
    stream = StringIO()
    found = [{"name": s.name, "summary": s.summary, "expected": s.expected} for s in scenario.catalogue().values()]
    testbeds = [{"name": "netns", "summary": "two network namespaces and a veth pair"}]
    catalogue.show(found, [], testbeds, stream=stream, width=width)
    return stream.getvalue()


def test_the_list_reads_as_reviewed(golden: Callable[[str, str], None]) -> None:
    golden("catalogue", told())


def test_every_scenario_is_listed_with_its_outcome_and_no_line_is_wider_than_asked() -> None:
    shown = told(80)
    assert max(map(len, shown.splitlines())) <= 80
    for each in scenario.catalogue().values():
        assert f"  {each.name} " in shown
        assert f"-> {each.expected}" in shown.replace("\n", " ").replace("  ", "") or each.expected in shown


def test_an_empty_kind_says_so() -> None:
    assert "none in this version" in told()
