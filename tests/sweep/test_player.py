"""A player plays one point after the other between the same hosts, and whatever goes wrong becomes a row."""

import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from lab.kernel.procfs import children_of
from lab.sweep.player import Player, failed
from lab.sweep.row import Row
from tests.sweep.swept import SQUEEZED, points

SMALL = SQUEEZED + 'payload = "4KiB"\n'


@pytest.fixture
def player() -> Iterator[Player]:
    with Player() as made:
        yield made


def played(player: Player, grid: str) -> Row:
    (point,) = points(grid)
    return player.play(point)


@pytest.mark.root
def test_a_row_has_the_settings_the_verdict_and_the_forecast(player: Player) -> None:
    row = played(player, SQUEEZED + 'payload = "1MiB"\nso_rcvbuf = "client=4096"\nnodelay = true\n')
    assert (row.outcome, row.grade, row.expected, row.as_expected) == ("deadlock", "proven", "deadlock", True)
    assert (row.scenario, row.payload, row.send_size, row.client_nodelay) == ("upper", 1 << 20, 1024, True)
    assert (row.client_so_rcvbuf, row.server_so_rcvbuf) == (4096, None)
    assert (row.client_rcvbuf, row.server_rcvbuf, row.client_sndbuf) == (8192, 8192, 8192)
    assert row.client_tcp_rmem == row.server_tcp_wmem == "4096 8192 8192"
    assert row.client_congestion == row.server_congestion is not None
    low, high = row.client_accepted_low or 0, row.client_accepted_high or 0
    assert 0 < low <= (row.client_accepted or 0) <= high
    assert row.seal_ns is not None
    assert row.proved_ns is not None
    assert row.started_ns < row.seal_ns <= row.proved_ns


@pytest.mark.root
def test_the_hosts_serve_again_and_are_new_after_a_failure(player: Player) -> None:
    before = set(children_of(os.getpid()))
    assert played(player, SMALL).outcome == "completed"
    hosts = set(children_of(os.getpid())) - before
    assert len(hosts) == 2
    assert played(player, SMALL).outcome == "completed"
    assert set(children_of(os.getpid())) - before == hosts
    row = played(player, SMALL + 'congestion = "nosuch"\n')
    assert (row.outcome, row.as_expected) == (None, None)
    assert "cannot set congestion control" in (row.error or "")
    assert set(children_of(os.getpid())) == before
    assert played(player, SMALL).outcome == "completed"
    assert not hosts & set(children_of(os.getpid()))


@pytest.mark.root
def test_no_host_outlives_its_player() -> None:
    before = children_of(os.getpid())
    with Player() as player:
        played(player, SMALL)
        assert len(children_of(os.getpid())) == len(before) + 2
    assert children_of(os.getpid()) == before


def test_a_defect_of_the_lab_is_a_row_too(player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> NoReturn:
        raise KeyError("no such thing")

    monkeypatch.setattr(player, "_site", broken)
    assert played(player, SMALL).error == "a defect of the lab: KeyError: 'no such thing'"


def test_a_point_that_could_not_be_played_keeps_its_settings() -> None:
    (point,) = points(SMALL)
    row = failed(point, "two workers died over it")
    assert (row.key, row.error, row.outcome, row.payload) == (point.key, "two workers died over it", None, 4096)
    assert row.settings.startswith('{"scenario": "upper"')
