"""`lab forecast`: the bounds without a run are those that the run itself has."""

from pathlib import Path

import pytest

from tests.commanded import lab

SQUEEZED = ("--tcp-rmem", "4096 8192 8192", "--tcp-wmem", "4096 8192 8192", "--send-size", "1024")


@pytest.mark.parametrize(
    "options", [[], list(SQUEEZED), ["echo"], ["--mtu", "9000"], ["--testbed", "loopback"], ["--ip", "6", *SQUEEZED]]
)
def test_what_is_foretold_is_what_the_run_foretells(options: list[str], tmp_path: Path) -> None:
    foretold = lab("forecast", *options, "--format", "json")
    assert (foretold.code, foretold.err) == (0, "")
    assert list(foretold.json) == ["forecast", "reason"]
    played = lab("run", *options, "--until", "0.1", "--format", "json", "--runs", tmp_path)
    assert foretold.json["forecast"] == played.json["forecast"]
    assert foretold.json["forecast"]["client_accepted"]["low"] > 0


def test_all_four_buffers_fixed_give_a_point() -> None:
    forecast = lab("forecast", *SQUEEZED, "--format", "json").json["forecast"]
    for bounds in forecast.values():
        assert bounds["low"] < bounds["point"] < bounds["high"]


def test_what_cannot_freeze_has_no_bounds() -> None:
    said = lab("forecast", "healthy", "--format", "json")
    assert said.json["forecast"]["client_accepted"] == {"low": None, "point": None, "high": None}
    assert "healthy" in said.json["reason"]


def test_the_text_says_it_in_words() -> None:
    said = lab("forecast", *SQUEEZED)
    assert (said.code, said.err) == (0, "")
    assert "freeze" in said.out
