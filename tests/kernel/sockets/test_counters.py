"""A namespace's counters tell of every connection that it opens, of itself or for others, and of every segment."""

from contextlib import closing

import pytest

from lab.kernel.place.netns import Namespace
from lab.kernel.sockets.counters import Counters
from lab.spec import Pair, Role
from tests.kernel.hosts import connected
from tests.waiting import until


@pytest.mark.parametrize("ip", [4, 6])
def test_each_end_s_namespace_counts_a_new_connection_once(hosts: Pair[Namespace], ip: int) -> None:
    with closing(Counters(hosts.client)) as client, closing(Counters(hosts.server)) as server:
        before = client.opened(), server.opened()
        with connected(hosts, ip) as ends:
            assert (client.opened(), server.opened()) == (before[0] + 1, before[1] + 1)
            ends.client.sendall(b"x")
            assert ends.server.recv(1) == b"x"
            assert (client.opened(), server.opened()) == (before[0] + 1, before[1] + 1)
        assert (client.opened(), server.opened()) == (before[0] + 1, before[1] + 1), "one that has ended counts"


def test_other_namespaces_count_for_themselves(hosts: Pair[Namespace]) -> None:
    with Namespace.create() as elsewhere, closing(Counters(elsewhere)) as other:
        with connected(hosts):
            assert other.opened() == 0
        for role in Role:
            with closing(Counters(hosts[role])) as one:
                assert one.opened() > 0


@pytest.mark.parametrize("ip", [4, 6])
def test_any_segment_breaks_the_silence(hosts: Pair[Namespace], ip: int) -> None:
    with connected(hosts, ip) as ends, closing(Counters(hosts.client)) as client:
        until(client.is_silent, what="silence: neighbour discovery has its pauses", pause_s=0.1)
        ends.server.sendall(b"x")
        assert ends.client.recv(1) == b"x"
        assert not client.is_silent()
