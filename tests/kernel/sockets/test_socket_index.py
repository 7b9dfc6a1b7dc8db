"""Sockets are found by their inode and by their peer, in the namespaces that are asked, and dumped again if need be."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lab.evidence import Resource, ResourceKind
from lab.kernel.place.netns import Namespace
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.kernel.sockets.socket_index import SocketIndex, is_socket, is_unlisted
from lab.spec import Pair, Role
from tests.kernel.hosts import ADDRESSES, PORT, connected
from tests.waiting import LIMIT_S


@pytest.fixture
def diags(hosts: Pair[Namespace]) -> Iterator[Pair[SocketDiag]]:
    both = Pair(*(SocketDiag(hosts[role]) for role in Role))
    yield both
    for role in Role:
        both[role].close()


def inode(each: socket.socket) -> int:
    return os.fstat(each.fileno()).st_ino


def test_a_v4_mapped_end_is_told_as_ipv4_and_finds_its_peer(hosts: Pair[Namespace], diags: Pair[SocketDiag]) -> None:
    def listen() -> socket.socket:
        each = socket.socket(socket.AF_INET6)
        each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        each.bind(("::", PORT + 1))
        each.listen()
        return each

    with hosts.server.call(listen) as listener, hosts.client.call(socket.socket, socket.AF_INET) as client:
        client.settimeout(LIMIT_S)
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


def test_an_inode_that_is_no_socket_of_these_namespaces_is_other() -> None:
    diag = SocketDiag(Namespace.here())
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        index = SocketIndex([diag])
        assert str(index.resource(inode(datagrams))) == f"other:socket-{inode(datagrams)}"
        assert index.peer(inode(datagrams)) is None
    diag.close()


def test_both_ends_of_a_connection_are_each_other_s_peers(hosts: Pair[Namespace], diags: Pair[SocketDiag]) -> None:
    with connected(hosts) as ends:
        index = SocketIndex(list(diags))
        assert index.resource(inode(ends.client)) == Resource.socket(inode(ends.client))
        for one, other in ((ends.client, ends.server), (ends.server, ends.client)):
            peer = index.peer(inode(one))
            assert peer is not None
            assert peer.entry.inode == inode(other)
        alone = SocketIndex([diags.client])
        assert alone.peer(inode(ends.client)) is None, "the other namespace was not asked"
        assert is_unlisted(alone.resource(inode(ends.server)))


def test_a_listener_and_a_unix_socket_are_told_by_their_kinds() -> None:
    with (
        closing(SocketDiag(Namespace.here())) as diag,
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        index = SocketIndex([diag])
        assert index.resource(inode(listener)) == Resource(ResourceKind.LISTENER, inode(listener))
        assert index.resource(inode(unix)) == Resource(ResourceKind.UNIX, inode(unix))
        assert index.tcp(inode(unix)) is None
        assert index.unix(inode(listener)) is None


def test_a_socket_that_came_after_the_dump_is_found_once_another_dump_is_allowed() -> None:
    with closing(SocketDiag(Namespace.here())) as diag:
        index = SocketIndex([diag])
        index.refresh()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            assert is_unlisted(index.resource(inode(listener)))
            index.begin()
            assert index.resource(inode(listener)).kind is ResourceKind.LISTENER


def test_a_unix_socket_of_another_namespace_is_known_as_the_peer_of_one_of_this(
    hosts: Pair[Namespace], diags: Pair[SocketDiag], tmp_path: Path
) -> None:
    """A path leads into every network namespace."""
    path = str(tmp_path / "socket")
    with (
        hosts.server.call(socket.socket, socket.AF_UNIX) as listener,
        hosts.client.call(socket.socket, socket.AF_UNIX) as client,
    ):
        listener.bind(path)
        listener.listen()
        client.connect(path)
        with listener.accept()[0] as server:
            index = SocketIndex([diags.client])
            entry = index.unix(inode(client))
            assert entry is not None
            assert entry.peer == inode(server)
            assert index.resource(inode(server)) == Resource(ResourceKind.UNIX, inode(server))


def test_what_is_a_socket_of_any_kind() -> None:
    sockets = ["socket:1", "listener:1", "unix:1", "other:socket-1"]
    assert all(is_socket(Resource.parse(text)) for text in sockets)
    assert not any(is_socket(Resource.parse(text)) for text in ["pipe:1", "other:/tmp/socket-1", "other:closed"])
    assert [is_unlisted(Resource.parse(text)) for text in sockets] == [False, False, False, True]
