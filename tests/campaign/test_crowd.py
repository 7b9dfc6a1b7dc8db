"""Four to eight labs at once: no cross-talk, and every verdict is correct."""

from pathlib import Path

import pytest

from tests.campaign.crowd import crowd, played_together, wrong

pytestmark = pytest.mark.root

NET = "198.18.140"


@pytest.mark.parametrize(
    "testbeds",
    [
        ("netns",) * 8,
        ("loopback",) * 4,
        pytest.param(
            ("compose", "compose", "netns", "netns", "loopback", "loopback"),
            marks=[pytest.mark.docker, pytest.mark.xdist_group("docker")],
        ),
    ],
    ids=["netns x8", "loopback x4", "two of each"],
)
def test_labs_side_by_side_do_not_know_of_each_other(testbeds: tuple[str, ...], tmp_path: Path) -> None:
    labs = crowd(testbeds, NET)
    assert wrong(labs, played_together(labs, tmp_path)) == []
