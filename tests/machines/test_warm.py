"""A run in one process and the command are told the same options."""

import pytest

from machines.inside import warm


def test_options_are_the_words_of_a_command_line() -> None:
    options = {"scenario": "upper", "so_rcvbuf": "64KiB", "ip": "6"}
    assert warm.words(options) == ("upper", "--so-rcvbuf", "64KiB", "--ip", "6")


@pytest.mark.root
def test_what_cannot_be_played_is_a_row_and_the_next_is_played() -> None:
    with warm.player() as play:
        failed = play("run nonsense", {"scenario": "nonsense"})
        right = play("run read-read", {"scenario": "read-read"})
    assert (failed.verdict, failed.outcome) == ("WRONG", "none")
    assert right.right, right
