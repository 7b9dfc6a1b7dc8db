"""Pairs under random settings freeze here, too, and nothing that the rules say of them is refuted."""

import random

import pytest

from machines.inside.claims import BLIND
from machines.inside.followed import Claim
from machines.inside.freezes import played
from machines.inside.settings import HostsSetting, draw_hosts, draw_pair

pytestmark = pytest.mark.root
BLINDED = set(map(Claim, BLIND))
SQUEEZED = {"tcp_rmem": "4096 8192 8192", "tcp_wmem": "4096 8192 8192", "tcp_adv_win_scale": "1"}


@pytest.mark.parametrize("loopback", [True, False])
def test_small_buffers_freeze_and_no_claim_is_refuted(loopback: bool) -> None:
    rnd = random.Random(1)
    hosts = HostsSetting(SQUEEZED, 1500, loopback, goes_down=not loopback)
    results = list(played(hosts, [draw_pair(rnd, hosts) for _ in range(4)], 1, rnd))
    assert any(result.frozen for result in results)
    claims = [claim for result in results for each in result.directions for claim in each.claims]
    assert claims
    assert not [each.refuted for result in results for each in result.directions if set(each.refuted) - BLINDED]


def test_what_cannot_be_together_is_not_drawn() -> None:
    rnd = random.Random(2)
    for hosts in (draw_hosts(rnd) for _ in range(200)):
        assert not (hosts.loopback and hosts.goes_down)
        assert (hosts.mtu >= 1280 and not hosts.goes_down) or draw_pair(rnd, hosts).ip == 4
