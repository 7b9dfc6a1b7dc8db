"""Every testbed is found, by its name alone or with all others, and gives its site for as long as it is asked for."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab import testbed
from lab.errors import SpecError
from lab.scenario import find as scenario
from lab.spec import Spec
from lab.testbed import ALONE, Site, Startup, catalogue, find

ALL = catalogue()


def test_the_catalogue_has_the_three() -> None:
    assert list(ALL) == ["compose", "loopback", "netns"]
    assert all(20 < len(each.summary) < 110 and "\n" not in each.summary for each in ALL.values())


@pytest.mark.parametrize("name", ALL)
def test_a_testbed_is_found_by_its_name_alone(name: str) -> None:
    assert find(name) is ALL[name]
    assert ALL[name].name == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("bogus", "there are compose, loopback, netns"),
        ("netnss", "did you mean 'netns'"),
        ("barrier", "unknown testbed"),
    ],
)
def test_what_is_no_testbed_is_refused(name: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        find(name)


def test_the_hosts_are_there_within_and_taken_down_after_an_error() -> None:
    seen: list[str] = []

    @contextmanager
    def hosts(spec: Spec, startup: Startup) -> Iterator[Site]:
        assert startup is ALONE
        with find("loopback").hosts(spec, startup) as site:
            seen.append("up")
            try:
                yield site
            finally:
                seen.append("down")

    made = testbed.Testbed("made", "for this test", hosts)
    spec = Spec(scenario("idle"), "loopback")
    with pytest.raises(RuntimeError), made.site(spec):
        raise RuntimeError
    assert seen == ["up", "down"]
