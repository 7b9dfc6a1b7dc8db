"""Every scenario is found, is named like its file, and can be played by the endpoints that there are."""

import re
from dataclasses import replace

import pytest

from lab import scenario
from lab.endpoint import job
from lab.errors import SpecError
from lab.spec import Outcome, Scenario

ALL = scenario.catalogue()


def test_the_catalogue_has_the_seven_and_begins_with_the_default() -> None:
    assert list(ALL) == ["upper", "echo", "healthy", "idle", "one-sided-stall", "read-read", "slow-reader"]


@pytest.mark.parametrize("played", ALL.values(), ids=ALL)
def test_a_scenario_names_programs_that_exist(played: Scenario) -> None:
    assert played.server in job.behaviours("server")
    assert played.client in job.behaviours("client")


@pytest.mark.parametrize("played", ALL.values(), ids=ALL)
def test_a_scenario_fits_a_list_of_one_line_each(played: Scenario) -> None:
    assert re.fullmatch("[a-z]+(-[a-z]+)*", played.name)
    assert 20 < len(played.summary) < 110
    assert "\n" not in played.summary


def test_only_the_published_pairs_freeze() -> None:
    assert {name for name, played in ALL.items() if played.freezes} == {"upper", "echo"}
    assert {name for name, played in ALL.items() if played.expected is Outcome.DEADLOCK} == {"upper", "echo"}


def test_every_control_has_an_outcome_of_its_own() -> None:
    outcomes = [played.expected for played in ALL.values() if not played.freezes]
    assert len(set(outcomes)) == len(outcomes)


def test_the_published_numbers() -> None:
    upper, echo = ALL["upper"], ALL["echo"]
    assert (upper.port, upper.load.payload, upper.load.send_size, upper.load.recv_size) == (1060, 1073741824, 16, 42)
    assert (upper.load.server_block, echo.load.server_block) == (1024, 4096)
    assert (echo.port, echo.load.payload, echo.load.send_size, echo.load.recv_size) == (51423, 10485760, 1024, 1024)
    assert str(echo.buffers.tcp_rmem) == "4096 87380 4161536"
    assert str(echo.buffers.tcp_wmem) == "4096 16384 4161536"


def test_upper_sends_whole_messages_and_echo_every_byte_that_was_asked_for() -> None:
    assert [replace(ALL["upper"].load, payload=asked).payload for asked in (0, 1, 16, 33)] == [0, 16, 16, 48]
    assert replace(ALL["echo"].load, payload=1000).payload == 1000


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("uper", "did you mean 'upper'?"),
        ("UPPER", "did you mean 'upper'?"),
        ("slow_reader", "did you mean 'slow-reader'?"),
        ("one-side-stal", "did you mean 'one-sided-stall'?"),
        ("", "there are upper, echo, "),
        ("zzz", "there are upper, echo, "),
    ],
)
def test_an_unknown_name_gets_the_nearest_one(name: str, hint: str) -> None:
    with pytest.raises(SpecError, match="unknown scenario") as raised:
        scenario.find(name)
    assert hint in str(raised.value)
    assert "\n" not in str(raised.value)
