"""Sockets become connections by their addresses; those that fit the targets are found, and found to come and go."""

import ctypes
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lab.kernel.place.netns import Namespace
from lab.kernel.procfs import children_of
from lab.kernel.sockets.peers import PeerLookup
from lab.kernel.sockets.sock_diag import Located, SocketDiag, TcpEntry
from lab.spec import Pair
from lab.watching.connections import Choice, ConnectionFinder, Listing, WatchedConnection, connections_among
from lab.watching.namespaces import Containers, Namespaces, Targets, named
from tests import nat
from tests.waiting import until
from tests.watching.watched import connected, crowd, loopback, port, program

NOTHING = Choice(everything=False, diags=frozenset(), inodes=frozenset(), ports=frozenset())
ALL = replace(NOTHING, everything=True)
CLIENT, SERVER = "198.18.20.20:35834", "198.18.20.10:1060"


@pytest.fixture(scope="module")
def diag() -> Iterator[SocketDiag]:
    with closing(SocketDiag(Namespace.here())) as here:
        yield here


@pytest.fixture(scope="module")
def other() -> Iterator[SocketDiag]:
    with closing(SocketDiag(Namespace.here())) as elsewhere:
        yield elsewhere


def entry(number: int, local: str, remote: str, *, accepted: bool = True, listens: bool = False) -> TcpEntry:
    return TcpEntry(10 + number if accepted else 0, number, local, remote, listens)


def found(*ends: Located, choice: Choice = ALL) -> list[WatchedConnection]:
    return connections_among(ends, choice, PeerLookup(ends))


def test_the_end_whose_port_is_listened_on_is_the_server(diag: SocketDiag) -> None:
    """Whatever the numbers are."""
    high = Located(diag, entry(1, "10.0.0.1:50000", "10.0.0.1:80"))
    low = Located(diag, entry(2, "10.0.0.1:80", "10.0.0.1:50000"))
    for number, client, server in (50000, low, high), (80, high, low):
        listener = Located(diag, entry(3, f"0.0.0.0:{number}", "0.0.0.0:0", listens=True))
        assert found(low, high, listener) == [WatchedConnection(Pair(client, server), "seen")]


def test_where_nobody_listens_the_lower_port_is_guessed_to_be_the_server_s(diag: SocketDiag, other: SocketDiag) -> None:
    client, server = Located(diag, entry(1, CLIENT, SERVER)), Located(diag, entry(2, SERVER, CLIENT))
    elsewhere = Located(other, entry(3, CLIENT, "0.0.0.0:0", listens=True))
    both = [Located(diag, entry(4 + i, end, "0.0.0.0:0", listens=True)) for i, end in enumerate((CLIENT, SERVER))]
    for listeners in [], [elsewhere], both:
        assert found(server, client, *listeners) == [WatchedConnection(Pair(client, server), "guessed")]


def test_an_end_without_a_peer_on_this_host_is_a_connection_with_one_end(diag: SocketDiag) -> None:
    client = Located(diag, entry(1, CLIENT, SERVER))
    assert found(client) == [WatchedConnection(Pair(client, None), "guessed")]
    server = Located(diag, entry(2, SERVER, CLIENT))
    listener = Located(diag, entry(3, SERVER, "0.0.0.0:0", listens=True))
    assert found(server, listener) == [WatchedConnection(Pair(None, server), "seen")]


def test_what_no_program_has_accepted_is_no_connection_of_its_own(diag: SocketDiag) -> None:
    client, server = entry(1, CLIENT, SERVER), entry(2, SERVER, CLIENT, accepted=False)
    assert found(Located(diag, server)) == []
    (only,) = found(Located(diag, client), Located(diag, server))
    assert only.ends.server == Located(diag, server), "it is the peer of one"


def test_a_peer_that_fits_brings_its_connection_though_no_program_has_accepted_it(
    diag: SocketDiag, other: SocketDiag
) -> None:
    client, server = Located(diag, entry(1, CLIENT, SERVER)), Located(other, entry(2, SERVER, CLIENT, accepted=False))
    (one,) = found(client, server, choice=replace(NOTHING, diags=frozenset({other})))
    assert one.ends == Pair(client, server)


def test_a_connection_fits_if_one_of_its_ends_does(diag: SocketDiag, other: SocketDiag) -> None:
    client, server = Located(diag, entry(1, CLIENT, SERVER)), Located(other, entry(2, SERVER, CLIENT))
    one = [WatchedConnection(Pair(client, server), "guessed")]
    for end in (client, server):
        assert found(client, server, choice=replace(NOTHING, inodes=frozenset({end.entry.inode}))) == one
        assert found(client, server, choice=replace(NOTHING, diags=frozenset({end.diag}))) == one
    for number in (35834, 1060):
        assert found(client, server, choice=replace(NOTHING, ports=frozenset({number}))) == one
    assert found(client, server, choice=replace(NOTHING, ports=frozenset({106}), inodes=frozenset({13}))) == []


def test_of_ipv6_the_port_is_the_last_number(diag: SocketDiag) -> None:
    end = Located(diag, entry(1, "[2001:2::20]:1060", "[2001:2::10]:80"))
    assert all(replace(NOTHING, ports=frozenset({number})).fits(end) for number in (1060, 80))
    assert not replace(NOTHING, ports=frozenset({20, 10, 2001})).fits(end)


def test_what_nat_could_not_be_asked_is_said_of_the_connection(diag: SocketDiag) -> None:
    end = Located(diag, entry(1, CLIENT, SERVER))
    peers = PeerLookup([end])
    peers.lacking = "CAP_NET_ADMIN"
    (one,) = connections_among([end], ALL, peers)
    assert one.lacking == "CAP_NET_ADMIN"


@contextmanager
def finding(targets: Targets) -> Iterator[tuple[ConnectionFinder, Namespaces]]:
    with closing(Namespaces()) as namespaces:
        yield ConnectionFinder(targets, namespaces, lambda _: None), namespaces


def inside(namespace: Namespace) -> Targets:
    return Targets(namespaces=(f"/proc/self/fd/{namespace.fd}",))


def ports(connections: list[WatchedConnection]) -> list[set[int]]:
    """Of both ends of each."""
    return [{int(end.entry.local.rpartition(":")[2]) for end in each.ends if end} for each in connections]


def test_a_connection_comes_and_goes() -> None:
    with loopback() as namespace, finding(inside(namespace)) as (finder, _):
        before = finder.find()
        assert before == []
        assert not finder.changed_since(before)
        with connected(namespace) as ends:
            assert finder.changed_since(before)
            found = finder.find()
            assert ports(found) == [{port(end) for end in ends}]
            assert {finder.homes[os.fstat(end.fileno()).st_ino] for end in ends} == {
                end.diag for end in found[0].ends if end
            }
            assert not finder.changed_since(found)
            with connected(namespace):
                assert finder.changed_since(found)
            assert not finder.changed_since(found), "it has gone again"


def test_a_namespace_that_opened_no_connection_is_not_listed_again() -> None:
    with loopback() as namespace, closing(Namespaces()) as namespaces, connected(namespace):
        place = namespaces.keep(named(f"/proc/self/fd/{namespace.fd}"))
        listing = Listing.of(place)
        assert len(listing.entries) == 2
        assert listing.renewed(place) is listing
        with connected(namespace):
            later = listing.renewed(place)
            assert len(later.entries) == 4
            assert later.renewed(place) is later


def test_one_in_which_a_connection_is_not_yet_accepted_is_listed_again() -> None:
    """No connection is opened when the program accepts it, and only then it has an inode."""
    with loopback() as namespace, closing(Namespaces()) as namespaces:
        place = namespaces.keep(named(f"/proc/self/fd/{namespace.fd}"))
        listener = namespace.call(socket.create_server, ("127.0.0.1", 0))
        with listener, namespace.call(socket.create_connection, listener.getsockname()):
            waiting = Listing.of(place)
            assert 0 in {each.inode for each in waiting.entries}
            with listener.accept()[0] as server:
                accepted = waiting.renewed(place)
                assert accepted.opened == waiting.opened
                assert os.fstat(server.fileno()).st_ino in {each.inode for each in accepted.entries}


def test_a_socket_that_a_target_process_gets_brings_its_connection_though_none_was_opened() -> None:
    with crowd(1, frozen=False) as (folder, pid, *_), finding(Targets(pids=(os.getpid(),))) as (finder, namespaces):
        theirs = namespaces.keep(named(folder)).diag
        before = finder.find()
        assert theirs not in {end.diag for each in before for end in each.ends if end}
        inode = next(each.inode for each in theirs.entries() if not each.listens)
        taken = _taken(pid, inode)
        assert finder.changed_since(before)
        (came,) = [each for each in finder.find() if each.ends.client and each.ends.client.diag is theirs]
        assert inode in [end.entry.inode for end in came.ends if end]
        os.close(taken)
        assert finder.changed_since([*before, came])


def _taken(pid: int, inode: int) -> int:
    """A descriptor of our own for a socket of another process: pidfd_getfd(2)."""
    (fd,) = [int(each) for each in os.listdir(f"/proc/{pid}/fd") if _link(pid, each) == f"socket:[{inode}]"]
    process = os.pidfd_open(pid)
    try:
        return int(ctypes.CDLL(None).syscall(438, process, fd, 0))
    finally:
        os.close(process)


def _link(pid: int, descriptor: str) -> str:
    return os.readlink(f"/proc/{pid}/fd/{descriptor}")


def test_a_container_that_runs_elsewhere_brings_the_connections_that_are_there() -> None:
    """Both namespaces are looked into all the time, and no connection is opened."""
    with (
        loopback() as first,
        loopback() as second,
        connected(second),
        program(first),
        program(first) as main,
        program(second) as restarted,
        closing(Namespaces()) as namespaces,
    ):
        containers = Containers({"one": main.pid}, lambda: {"one": restarted.pid})
        finder = ConnectionFinder(Targets(containers=containers), namespaces, lambda _: None)
        namespaces.find()
        before = finder.find()
        assert before == []
        main.kill()
        main.wait()
        assert finder.changed_since(before)
        assert len(finder.find()) == 1


def test_a_namespace_that_was_let_go_takes_its_connections_along() -> None:
    """Its last process ended, with the connection, since the last look; nobody may be asked about its sockets."""
    with closing(Namespaces()) as namespaces, crowd(0, frozen=True) as (_, pid, number, _):
        finder = ConnectionFinder(Targets(ports=(number,)), namespaces, lambda _: None)
        namespaces.find()
        (frozen,) = finder.find()
        assert frozen.ends.client is not None
        all_of_them = (*children_of(pid), pid)
        for each in all_of_them:
            os.kill(each, signal.SIGKILL)
        until(lambda: not any(Path(f"/proc/{each}/ns/net").exists() for each in all_of_them))
        with program(Namespace.here()):  # a new thread: /proc is walked through again
            assert finder.changed_since([frozen])
        assert frozen.ends.client.diag not in namespaces.diags


@pytest.mark.xdist_group("nat")
def test_beyond_nat_the_peer_of_one_that_fits_is_found() -> None:
    """By the port that the router publishes, or by the one behind it."""
    with nat.routed() as hosts, closing(Namespaces()) as namespaces:
        for host in (hosts.client, hosts.router, hosts.server):
            namespaces.keep(named(f"/proc/self/fd/{host.fd}"))
        listener = hosts.server.call(socket.create_server, (nat.SERVER[4], nat.SERVED))
        client = hosts.client.call(socket.create_connection, (nat.ROUTER[4], nat.PUBLISHED))
        with listener, client, listener.accept()[0] as server:
            for number in (nat.PUBLISHED, nat.SERVED):
                finder = ConnectionFinder(Targets(ports=(number,)), namespaces, lambda _: None)
                (one,) = finder.find()
                inodes = [end and end.entry.inode for end in one.ends]
                assert inodes == [os.fstat(end.fileno()).st_ino for end in (client, server)]
                assert (one.roles, one.lacking) == ("seen", None)
