"""All sockets of a namespace: connected and listening, IPv4, IPv6 and v4-mapped, TCP and Unix."""

import os
import socket
from collections.abc import Iterator

import pytest

from lab.kernel.place.netns import Namespace
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.kernel.sockets.socket_index import SocketIndex
from lab.spec import Pair, Role
from tests.kernel.hosts import ADDRESSES, PORT, connected, written


@pytest.fixture(scope="session")
def diags(hosts: Pair[Namespace]) -> Iterator[Pair[SocketDiag]]:
    both = Pair(*(SocketDiag(hosts[role]) for role in Role))
    yield both
    for role in Role:
        both[role].close()


def inode(each: socket.socket) -> int:
    return os.fstat(each.fileno()).st_ino


@pytest.mark.parametrize("ip", [4, 6])
def test_a_dump_lists_both_the_connection_and_the_listener(
    hosts: Pair[Namespace], diags: Pair[SocketDiag], ip: int
) -> None:
    with connected(hosts, ip) as pair:
        entries = {entry.inode: entry for entry in diags.server.entries() if entry.inode}
        own = entries[inode(pair.server)]
        assert (own.local, own.remote) == (written(pair.server.getsockname()), written(pair.server.getpeername()))
        assert [entry.local for entry in entries.values() if entry.listens] == [written((ADDRESSES[ip].server, PORT))]
        assert inode(pair.client) not in entries, "it is in another namespace"


def test_a_dump_and_an_exact_lookup_tell_the_same(hosts: Pair[Namespace], diags: Pair[SocketDiag]) -> None:
    with connected(hosts) as pair:
        (dumped,) = [sample for sample in diags.client.samples() if sample.inode == inode(pair.client)]
        exact = diags.client.sample(None, dumped.local, dumped.remote, dumped.cookie)
        assert exact is not None
        assert (exact.cookie, exact.sndbuf, exact.congestion) == (dumped.cookie, dumped.sndbuf, dumped.congestion)
        assert exact.congestion
        assert exact.rcv_wscale is not None


def test_a_v4_mapped_end_is_told_as_ipv4_and_finds_its_peer(hosts: Pair[Namespace], diags: Pair[SocketDiag]) -> None:
    def listen() -> socket.socket:
        each = socket.socket(socket.AF_INET6)
        each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        each.bind(("::", PORT + 1))
        each.listen()
        return each

    with hosts.server.call(listen) as listener, hosts.client.call(socket.socket, socket.AF_INET) as client:
        client.settimeout(10)
        client.connect((ADDRESSES[4].server, PORT + 1))
        server, _ = listener.accept()
        with server:
            index = SocketIndex(list(diags))
            peer = index.peer(inode(client))
            assert peer is not None
            assert peer.entry.inode == inode(server)
            assert peer.entry.local == f"{ADDRESSES[4].server}:{PORT + 1}"
            sample = peer.diag.sample(None, peer.entry.local, peer.entry.remote, peer.entry.cookie)
            assert sample is not None
            assert sample.inode == inode(server)


def test_five_hundred_sockets_come_in_a_dump_of_many_parts(hosts: Pair[Namespace], diags: Pair[SocketDiag]) -> None:
    def listen_often() -> list[socket.socket]:
        return [socket.create_server((ADDRESSES[4].client, 0)) for _ in range(500)]

    many = hosts.client.call(listen_often)
    try:
        assert {inode(each) for each in many} <= {entry.inode for entry in diags.client.entries()}
    finally:
        for each in many:
            each.close()


def test_unix_sockets_tell_their_peers_and_who_accepts() -> None:
    diag = SocketDiag(Namespace.here())
    one, other = socket.socketpair()
    with one, other, socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")
        listener.listen()
        entries = {entry.inode: entry for entry in diag.unix_entries()}
        assert entries[inode(one)].peer == inode(other)
        assert entries[inode(other)].peer == inode(one)
        assert entries[inode(listener)].listens
        assert not entries[inode(one)].listens
    diag.close()


def test_an_inode_that_is_no_socket_of_these_namespaces_is_other() -> None:
    diag = SocketDiag(Namespace.here())
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        index = SocketIndex([diag])
        assert str(index.resource(inode(datagrams))) == f"other:socket-{inode(datagrams)}"
        assert index.peer(inode(datagrams)) is None
    diag.close()
