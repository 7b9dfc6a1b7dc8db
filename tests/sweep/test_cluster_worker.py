"""A worker's players: forked from one parent, one a thread, and never waited for in vain."""

import os
import pickle
import signal
import threading

import pytest

from lab.kernel.procfs import children_of
from lab.sweep import cluster_worker
from lab.sweep.cluster_worker import PlayerLostError, Players
from tests.sweep.swept import SQUEEZED, points
from tests.waiting import LIMIT_S, until

pytestmark = pytest.mark.root

QUICK = pickle.dumps(points(SQUEEZED + 'payload = "4KiB"\n')[0])
ENDLESS = pickle.dumps(points('scenario = "idle"\nuntil = "100"\n')[0])


def parent_of_players(players: Players) -> int:
    assert players._parent is not None
    return players._parent.pid


def end(players: Players) -> None:
    """As when their worker ends."""
    assert players._parent is not None
    assert players._control is not None
    players._control.close()
    assert players._parent.wait(LIMIT_S) == 0


def test_a_worker_says_why_it_plays_no_point_of_another_lab() -> None:
    why = cluster_worker.play("another", b"never read")
    assert isinstance(why, str)
    assert f"has version {cluster_worker.version()} of the lab, and here is another" in why


def test_a_player_serves_again_and_one_that_is_lost_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = threading.Event()
    wanted.set()
    monkeypatch.setattr(cluster_worker, "_is_wanted", wanted.is_set)
    players = Players()
    assert players.cannot_play() == ""
    parent = parent_of_players(players)
    for _ in range(2):
        with players.one() as player:
            assert pickle.loads(player.play(QUICK)).outcome == "completed"
    (pid,) = children_of(parent)

    threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(PlayerLostError, match="ended in mid-run"), players.one() as player:
        player.play(ENDLESS)

    threading.Timer(0.5, wanted.clear).start()
    with pytest.raises(PlayerLostError, match="nobody waits"), players.one() as player:
        player.play(ENDLESS)
    until(lambda: not children_of(parent), what="the end of a player that nobody waits for")

    wanted.set()
    with players.one() as player:
        assert pickle.loads(player.play(QUICK)).outcome == "completed"
    os.kill(parent, signal.SIGKILL)
    with pytest.raises(PlayerLostError), players.one() as player:
        player.play(QUICK)
    with players.one() as player:
        assert pickle.loads(player.play(QUICK)).outcome == "completed"
    end(players)
