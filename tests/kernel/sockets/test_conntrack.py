"""What a router's NAT makes of packets, asked for from either end."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from lab.kernel.place.netns import Namespace
from lab.kernel.sockets.conntrack import Conntrack
from tests import nat
from tests.kernel.hosts import written
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.xdist_group("nat")


@contextmanager
def connected(hosts: nat.Hosts, ip: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client that has connected to the published port, and the server's end."""
    family = socket.AF_INET if ip == 4 else socket.AF_INET6
    with hosts.server.call(socket.socket, family) as listener, hosts.client.call(socket.socket, family) as client:
        listener.settimeout(LIMIT_S)
        listener.bind((nat.SERVER[ip], nat.SERVED))
        listener.listen()
        client.settimeout(LIMIT_S)
        client.connect((nat.ROUTER[ip], nat.PUBLISHED))
        server, _ = listener.accept()
        with server:
            yield client, server


@pytest.mark.parametrize("ip", [4, 6])
@pytest.mark.parametrize("masquerade", [False, True])
def test_packets_of_either_end_leave_the_router_with_the_other_end_s_words(ip: int, masquerade: bool) -> None:
    with nat.routed(masquerade=masquerade) as hosts, closing(Conntrack(hosts.router)) as router:
        assert not router.tracks()
        with connected(hosts, ip) as (client, server):
            assert router.tracks()
            from_client = written(client.getsockname()), written(client.getpeername())
            from_server = written(server.getsockname()), written(server.getpeername())
            assert router.translated(from_client) == (from_server[1], from_server[0])
            assert router.translated(from_server) == (from_client[1], from_client[0])
            assert (from_server[1] == from_client[0]) is not masquerade
            assert router.translated((from_client[0], from_server[0])) is None, "nobody sends so"


def test_a_connection_that_nobody_changes_is_none() -> None:
    address = nat.SERVER[4], nat.SERVED + 1
    with (
        nat.routed() as hosts,
        closing(Conntrack(hosts.router)) as router,
        hosts.server.call(socket.create_server, address),
        hosts.client.call(socket.create_connection, address, LIMIT_S) as client,
    ):
        assert router.tracks()
        assert router.translated((written(client.getsockname()), written(client.getpeername()))) is None


def test_without_rules_nothing_is_tracked() -> None:
    with Namespace.create() as namespace, closing(Conntrack(namespace)) as conntrack:
        assert not conntrack.tracks()
