"""`lab list`: all there is, for people and for programs."""

from lab import scenario
from tests.commanded import lab


def test_the_document_lists_scenarios_remedies_and_testbeds() -> None:
    said = lab("list", "--format", "json")
    assert (said.code, said.err) == (0, "")
    assert list(said.json) == ["scenarios", "remedies", "testbeds"]
    assert [each["name"] for each in said.json["scenarios"]] == list(scenario.catalogue())
    assert all(list(each) == ["name", "summary", "expected"] for each in said.json["scenarios"])
    assert [each["name"] for each in said.json["testbeds"]] == ["compose", "loopback", "netns"]


def test_the_text_names_them_all_and_fits_a_terminal() -> None:
    said = lab("list", COLUMNS="80")
    assert (said.code, said.err) == (0, "")
    for name in (*scenario.catalogue(), "compose", "loopback", "netns"):
        assert name in said.out
    assert max(map(len, said.out.splitlines())) < 100
