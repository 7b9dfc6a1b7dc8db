"""Stalls are correlated by host: a proxy's legs and a ring are chains, parallel freezes of two hosts are none."""

from dataclasses import replace

from lab.wire.chains import chained
from lab.wire.judge import PacketJudgement
from tests.wire.wire_flows import FROZEN, exchange, judged


def stall(client: str, server: str, *waits: tuple[str, str]) -> PacketJudgement:
    found = judged(FROZEN + exchange(0.22))
    verdict = replace(found.verdict, client=f"{client}:40000", server=f"{server}:80")
    return replace(found, verdict=verdict, waits=tuple((f"{one}:1", f"{other}:2") for one, other in waits))


def test_a_proxy_with_one_leg_turned_one_sided() -> None:
    legs = [stall("10.0.0.1", "10.0.0.2", ("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1"))]
    legs.append(stall("10.0.0.2", "10.0.0.3", ("10.0.0.2", "10.0.0.3")))
    assert [len(each.chain) for each in chained(legs)] == [3, 3]


def test_a_ring_of_three_hosts_without_a_mutual_connection() -> None:
    hosts = ["[2001:2::1]", "[2001:2::2]", "[2001:2::3]"]
    ring = [stall(one, other, (one, other)) for one, other in zip(hosts, [*hosts[1:], hosts[0]], strict=True)]
    assert all(len(each.chain) == 3 for each in chained(ring))


def test_a_line_that_comes_back_to_nobody_is_no_chain() -> None:
    line = [
        stall("10.0.0.1", "10.0.0.2", ("10.0.0.1", "10.0.0.2")),
        stall("10.0.0.2", "10.0.0.3", ("10.0.0.2", "10.0.0.3")),
    ]
    assert not any(each.chain for each in chained(line))


def test_parallel_freezes_between_two_hosts_are_no_chain() -> None:
    both = [stall("10.0.0.1", "10.0.0.2", ("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1"))] * 3
    assert not any(each.chain for each in chained(both))
