"""The other end of a connection is found through NAT as well, if there is exactly one that it can be."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from lab.kernel.sockets.conntrack import Conntrack
from lab.kernel.sockets.peers import PeerLookup
from lab.kernel.sockets.sock_diag import Located, SocketDiag, TcpEntry
from tests import nat
from tests.kernel.hosts import written
from tests.kernel.sockets.test_conntrack import connected

pytestmark = pytest.mark.xdist_group("nat")


@contextmanager
def looked_into(hosts: nat.Hosts) -> Iterator[tuple[dict[str, SocketDiag], dict[str, Conntrack]]]:
    with ExitStack() as stack:
        named = {"client": hosts.client, "router": hosts.router, "server": hosts.server}
        diags = {name: stack.enter_context(closing(SocketDiag(each))) for name, each in named.items()}
        yield diags, {name: stack.enter_context(closing(Conntrack(each))) for name, each in named.items()}


def sockets(diags: dict[str, SocketDiag]) -> list[Located]:
    return [Located(diag, entry) for diag in diags.values() for entry in diag.entries()]


def one(found: list[Located], end: socket.socket) -> Located:
    (only,) = [each for each in found if (each.entry.local, each.entry.remote) == way(end)]
    return only


def way(end: socket.socket) -> tuple[str, str]:
    return written(end.getsockname()), written(end.getpeername())


@pytest.mark.parametrize("ip", [4, 6])
@pytest.mark.parametrize("masquerade", [False, True])
def test_both_ends_find_each_other_through_a_router_s_nat(ip: int, masquerade: bool) -> None:
    with (
        nat.routed(masquerade=masquerade) as hosts,
        looked_into(hosts) as (diags, conntracks),
        connected(hosts, ip) as ends,
    ):
        found = sockets(diags)
        client, server = (one(found, end) for end in ends)
        peers = PeerLookup(found, list(conntracks.values()))
        assert (peers.find(client), peers.find(server)) == (None, None)
        assert peers.beyond_nat(client) is server
        assert peers.beyond_nat(server) is client
        assert peers.lacking is None
        assert PeerLookup(found, [conntracks["client"]]).beyond_nat(client) is None, "the router was not asked"


def test_of_two_that_it_might_be_none_is_taken() -> None:
    """Networks that overlap: somewhere else is a socket with the addresses of one of the ends."""
    with nat.routed() as hosts, looked_into(hosts) as (diags, conntracks), connected(hosts, 4) as ends:
        found = sockets(diags)
        client, server = (one(found, end) for end in ends)
        for end in (client, server):
            entry = TcpEntry(1, 1, end.entry.local, end.entry.remote, listens=False)
            peers = PeerLookup([*found, Located(diags["router"], entry)], list(conntracks.values()))
            assert peers.beyond_nat(client) is None
            assert peers.beyond_nat(server) is None


def test_who_has_a_peer_with_the_reversed_addresses_has_no_other() -> None:
    with nat.routed() as hosts, looked_into(hosts) as (diags, conntracks), connected(hosts, 4) as ends:
        found = sockets(diags)
        client, server = (one(found, end) for end in ends)
        plain = Located(diags["router"], TcpEntry(1, 1, server.entry.remote, server.entry.local, listens=False))
        peers = PeerLookup([*found, plain], list(conntracks.values()))
        assert peers.find(server) is plain
        assert peers.beyond_nat(client) is None
