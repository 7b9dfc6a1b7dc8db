"""Who moves is sampled only; of those that stand a snapshot shows what bears on each; what is missing is said."""

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from lab.evidence import Evidence, Snapshot
from lab.kernel.place import sysctl
from lab.kernel.place.netns import Namespace
from lab.kernel.sockets.earlier import EarlierSamples
from lab.proof.judge import judge
from lab.proof.stack.traits import GIVING_UP
from lab.spec import Outcome, Pair, Role
from lab.watching.connections import ConnectionFinder, WatchedConnection
from lab.watching.evidence import (
    MAX_AT_REST,
    MAX_STUCK,
    BothSamples,
    EvidenceGatherer,
    Gathered,
    NamespaceSettings,
    TwiceSampled,
    may_be_stuck,
    parts,
    samples_of,
    standing,
)
from lab.watching.namespaces import Namespaces, Targets
from tests.kernel.hosts import cabled
from tests.kernel.hosts import connected as over_a_cable
from tests.proof.frozen_pair import client, process, reads, sends, server, snapshot, thread
from tests.watching.watched import connected, crowd, loopback

NOBODY = WatchedConnection(Pair(None, None), "guessed")
FULL: BothSamples = Pair(client(), server())
IDLE: BothSamples = Pair(client(wqueue=0, rqueue=0), server(wqueue=0, rqueue=0))


def twice(first: BothSamples, **later: Any) -> TwiceSampled:  # noqa: ANN401 - whatever the fact is
    """`later`: what the server's second sample shows."""
    assert first.server is not None
    return TwiceSampled(NOBODY, first, Pair(first.client, replace(first.server, **later)))


@pytest.mark.parametrize("fact", ["bytes_acked", "bytes_received", "rqueue", "wqueue", "inode"])
def test_a_connection_stands_unless_a_byte_moved_or_a_program_left(fact: str) -> None:
    assert not twice(FULL, **{fact: 0}).stands


def test_a_window_a_probe_and_time_may_change_while_it_stands() -> None:
    assert twice(FULL, time_ns=5, snd_wnd=9, probes=3, backoff=2, expires_ms=1, last_ack_recv_ms=7).stands


def test_a_connection_with_one_end_does_not_stand() -> None:
    one: BothSamples = Pair(client(), None)
    assert not TwiceSampled(NOBODY, one, one).stands


def test_a_pair_with_something_to_send_may_be_stuck_if_both_ends_are_seen() -> None:
    """At one end alone, too: each connection of a ring has one that writes."""
    assert may_be_stuck(FULL)
    assert may_be_stuck(Pair(client(), server(wqueue=0)))
    others: list[BothSamples] = [IDLE, Pair(client(), None), Pair(None, None)]
    assert not any(map(may_be_stuck, others))


def test_of_many_that_stand_those_that_may_be_stuck_are_looked_at_first() -> None:
    moves, stuck, idle = twice(FULL, wqueue=1), twice(FULL), twice(IDLE)
    assert standing([moves, idle, stuck, idle, moves, stuck]) == [2, 5, 1, 3]
    many = standing([*[idle] * (MAX_AT_REST + 1), stuck])
    assert (many[0], len(many)) == (MAX_AT_REST + 1, MAX_AT_REST + 1)
    assert len(standing([stuck] * (MAX_STUCK + 1))) == MAX_STUCK


def test_of_a_stuck_pair_all_is_kept_and_the_other_stuck_ones_beside() -> None:
    """The same processes may wait for each other over several connections."""
    here, there = (client(), server()), (client(inode=31), server(inode=32))
    taken = [snapshot(), snapshot(sockets=Pair(*there)), snapshot(sockets=IDLE)]
    first, second, _ = parts(taken)
    assert first == replace(taken[0], number=3, others=there)
    assert second == replace(taken[1], number=3, others=here)


def test_of_a_pair_that_cannot_be_stuck_its_calls_are_kept_and_who_is_stopped() -> None:
    in_a_call = thread(1, reads(11), socket_inode=11)
    stopped, elsewhere = thread(2, None, suspended="stopped"), thread(3, sends(99), socket_inode=99)
    held = [process(1, "socket:11"), process(2, "socket:22"), process(3, "socket:99")]
    (kept,) = parts([snapshot([in_a_call, stopped, elsewhere], held, sockets=IDLE)])
    expected = (replace(in_a_call, role=Role.CLIENT), replace(stopped, role=Role.SERVER))
    assert kept == Snapshot(3, expected, IDLE, expected, Pair(None, None))


@contextmanager
def gathering(*namespaces: Namespace) -> Iterator[tuple[Namespaces, ConnectionFinder]]:
    """In these namespaces alone."""
    paths = tuple(f"/proc/self/fd/{each.fd}" for each in namespaces)
    with closing(Namespaces()) as opened:
        yield opened, ConnectionFinder(Targets(namespaces=paths), opened, lambda _: None)


def gathered(gatherer: EvidenceGatherer, finder: ConnectionFinder) -> list[Gathered]:
    return gatherer.gather(finder.find(), finder.homes)


def evidence_in(*namespaces: Namespace) -> Evidence:
    """Of the only connection."""
    with gathering(*namespaces) as (opened, finder):
        (one,) = gathered(EvidenceGatherer(opened), finder)
    assert one.evidence is not None
    return one.evidence


def test_each_end_is_sampled_by_its_role_and_has_its_peer_s_own_address() -> None:
    with loopback() as namespace, connected(namespace) as ends, gathering(namespace) as (_, finder):
        (connection,) = finder.find()
        (pair,) = samples_of([connection], EarlierSamples())
        assert [sample and sample.role for sample in pair] == list(Role)
        assert pair.client is not None
        assert pair.server is not None
        assert (pair.client.remote, pair.server.remote) == (pair.server.local, pair.client.local)
        assert pair.client.earlier is not None, "the history was told"
        assert connection.ends.server is not None
        behind_nat = replace(connection.ends.server, entry=replace(connection.ends.server.entry, local="192.0.2.1:80"))
        (pair,) = samples_of([replace(connection, ends=replace(connection.ends, server=behind_nat))], EarlierSamples())
        assert pair.client is not None
        assert pair.client.remote == "192.0.2.1:80"
        reset(ends)
        assert samples_of([connection], EarlierSamples()) == [Pair(None, None)]


def reset(ends: Pair[socket.socket]) -> None:
    """Both ends are gone at once."""
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()


def test_the_evidence_of_an_idle_pair_is_two_samples_and_a_snapshot() -> None:
    with loopback() as namespace, connected(namespace):
        evidence = evidence_in(namespace)
    assert evidence.spec is None
    assert [each.number for each in evidence.snapshots] == [1, 2, 3]
    assert all(all(each.sockets) for each in evidence.snapshots)
    last = evidence.snapshots[-1].sockets.client
    assert evidence.connected.client is not None
    assert last is not None
    assert (evidence.connected.client.local, evidence.connected.client.remote) == (last.local, last.remote)
    assert (evidence.roles, evidence.missing) == ("guessed", ())
    assert judge(evidence).outcome is Outcome.IDLE


def test_of_a_pair_that_moves_there_is_no_snapshot() -> None:
    with loopback() as namespace, connected(namespace) as ends:
        over = threading.Event()

        def talk() -> None:
            while not over.is_set():
                ends.client.sendall(b"x")
                ends.server.recv(1)

        talker = threading.Thread(target=talk)
        talker.start()
        try:
            evidence = evidence_in(namespace)
        finally:
            over.set()
            talker.join()
    assert [each.number for each in evidence.snapshots] == [1, 2]
    assert judge(evidence).outcome is Outcome.MOVING


def test_of_a_frozen_pair_the_snapshot_has_every_process_with_its_container() -> None:
    with crowd(0, frozen=True) as (folder, *_), closing(Namespaces()) as namespaces:
        finder = ConnectionFinder(Targets(namespaces=(folder,)), namespaces, lambda _: None)
        (one,) = gathered(EvidenceGatherer(namespaces, lambda pids: dict.fromkeys(pids, "box")), finder)
    assert one.evidence is not None
    processes = one.evidence.snapshots[-1].processes
    assert processes
    assert {each.container for each in processes} == {"box"}
    assert judge(one.evidence).outcome is Outcome.DEADLOCK


def test_an_end_on_another_host_is_missing_and_so_is_what_could_not_be_asked() -> None:
    with cabled() as hosts, over_a_cable(hosts), gathering(hosts.client) as (opened, finder):
        (connection,) = finder.find()
        says = "one end only: no socket of this host has the reversed addresses (another host, or NAT in between"
        for lacking, rest in ((None, ")"), ("needs CAP_NET_ADMIN", "; needs CAP_NET_ADMIN)")):
            asked = replace(connection, lacking=lacking)
            (one,) = EvidenceGatherer(opened).gather([asked], finder.homes)
            assert one.evidence is not None
            assert one.evidence.missing == (says + rest,)
            assert [each.number for each in one.evidence.snapshots] == [1, 2], "it does not stand"
            assert [each is None for each in one.evidence.settings] == [False, True]


def test_a_connection_that_ends_while_it_is_looked_at_has_no_evidence() -> None:
    with loopback() as namespace, connected(namespace) as ends, gathering(namespace) as (opened, finder):

        class Late(EvidenceGatherer):
            def _snapshots(self, chosen: Sequence[TwiceSampled], history: EarlierSamples) -> list[Snapshot]:
                assert len(chosen) == 1
                reset(ends)
                return super()._snapshots(chosen, history)

        (one,) = gathered(Late(opened), finder)
        assert one.evidence is None
        assert all(one.sockets), "they were sampled before"


def test_without_a_connection_nothing_is_gathered() -> None:
    with loopback() as namespace, gathering(namespace) as (opened, finder):
        assert gathered(EvidenceGatherer(opened), finder) == []


def test_the_settings_are_those_of_each_end_s_namespace_and_are_read_once_a_round() -> None:
    with cabled() as hosts, over_a_cable(hosts), gathering(*hosts) as (opened, finder):
        (connection,) = finder.find()
        settings = NamespaceSettings(opened, finder.homes)
        inodes = Pair(*(end.entry.inode for end in connection.ends if end))
        for most in 50_000, 60_000:
            sysctl.write(hosts.server, {"tcp_wmem": f"4096 16384 {most}", "tcp_adv_win_scale": str(most // 10_000)})
            found = settings.of(connection.ends.server)
            assert settings.of_each([inodes.server, 0]) == {inodes.server: found, 0: None}
            assert found is not None
            assert (found.wmem_max, found.adv_win_scale) == (50_000, 5)
            assert set(GIVING_UP) <= found.sysctls.keys()
        later = NamespaceSettings(opened, finder.homes).of_each(inodes)
        assert [each and each.wmem_max == 60_000 for each in later.values()] == [False, True]
        assert settings.of(None) is None
        evidence = evidence_in(*hosts)
        assert evidence.settings_of == later
        assert list(evidence.settings) == list(later.values())
