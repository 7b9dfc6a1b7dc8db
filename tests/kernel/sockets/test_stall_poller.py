"""The gate opens for a pair that stands with something to send at both ends, and for nothing else."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from lab.evidence import SocketSample
from lab.kernel.place.netns import Namespace
from lab.kernel.sockets.counters import Counters
from lab.kernel.sockets.sock_diag import TOGETHER, Located, SocketDiag
from lab.kernel.sockets.stall_poller import POLLS_AFTER_PACKET, SOCKETS, SocketQueries, StallPoller
from lab.spec import Pair, Role
from tests.kernel.hosts import connected, written
from tests.kernel.sockets.test_sock_diag import closed, fill, settled
from tests.waiting import seen, until


@pytest.fixture
def diags(hosts: Pair[Namespace]) -> Iterator[Pair[SocketDiag]]:
    with ExitStack() as stack:
        yield Pair(*(stack.enter_context(closing(SocketDiag(hosts[role]))) for role in Role))


def located(diags: Pair[SocketDiag], ends: Pair[socket.socket]) -> Pair[Located | None]:
    def one(role: Role) -> Located:
        local, remote = written(ends[role].getsockname()), written(ends[role].getpeername())
        (entry,) = [each for each in diags[role].entries() if (each.local, each.remote) == (local, remote)]
        return Located(diags[role], entry)

    return Pair(one(Role.CLIENT), one(Role.SERVER))


def full(hosts: Pair[Namespace], ends: Pair[socket.socket]) -> Pair[SocketSample]:
    """Both sides, once each has something to send behind the other's closed window: buffers grow as they are filled."""

    def look() -> Pair[SocketSample]:
        for role in Role:
            fill(ends[role])
        return settled(hosts, ends)

    return seen(look, lambda samples: all(each.wqueue and each.snd_wnd == 0 for each in samples))


def test_it_opens_for_a_pair_that_stands_with_both_queues_full_unless_it_was_judged_so(
    hosts: Pair[Namespace], diags: Pair[SocketDiag]
) -> None:
    with connected(hosts) as ends:
        pair = located(diags, ends)
        idle = StallPoller([pair])
        assert [idle.found_new_stall() for _ in range(3)] == [False] * 3, "nothing to send"
        closed(hosts, ends)
        assert [idle.found_new_stall() for _ in range(3)] == [False] * 3, "one end has nothing to send"
        samples = full(hosts, ends)
        gate = StallPoller([Pair(None, None), pair, Pair(pair.client, None)])
        assert [gate.found_new_stall() for _ in range(3)] == [False, True, True], "it takes two polls that are the same"
        queues = tuple((each.rqueue, each.wqueue) for each in samples)
        judged = StallPoller([pair], {0: queues})
        assert [judged.found_new_stall() for _ in range(3)] == [False] * 3
        before = StallPoller([pair], {0: (queues[0], (0, 0))})
        assert [before.found_new_stall() for _ in range(2)] == [False, True]


def test_it_stays_shut_while_the_queues_change_at_every_poll(hosts: Pair[Namespace], diags: Pair[SocketDiag]) -> None:
    with connected(hosts) as ends:
        full(hosts, ends)
        gate = StallPoller([located(diags, ends)])
        for _ in range(3):
            assert not gate.found_new_stall()
            assert ends.server.recv(1) != b""
        until(gate.found_new_stall, what="a stall, for nobody reads any more")


def test_one_that_is_gone_is_none_and_the_others_keep_their_own_answers(
    hosts: Pair[Namespace], diags: Pair[SocketDiag]
) -> None:
    """More than go into one datagram, each with another number of bytes that wait to be read."""
    with ExitStack() as stack:
        pairs = [stack.enter_context(connected(hosts, port=2000 + each)) for each in range(TOGETHER + 3)]
        sockets = {number: located(diags, ends).server for number, ends in enumerate(pairs)}
        asked = {number: each for number, each in sockets.items() if each}
        for number, ends in enumerate(pairs):
            ends.client.sendall(bytes(number))
        inodes = {number: os.fstat(ends.server.fileno()).st_ino for number, ends in enumerate(pairs)}
        expected = {number: (inode, (0, 0), (0, number)) for number, inode in inodes.items()}
        again = SocketQueries(asked, tell_motion=True)
        seen(again.motions, lambda now: now == expected)
        for end in pairs[1]:
            end.close()
        seen(again.motions, lambda now: now == expected | {1: None})


def any_sends(asked: SocketQueries) -> bool:
    return any(ask(questions, number) for ask, questions, number in asked.datagrams)


def test_whether_one_of_many_has_something_to_send(hosts: Pair[Namespace], diags: Pair[SocketDiag]) -> None:
    with ExitStack() as stack:
        pairs = [stack.enter_context(connected(hosts, port=2000 + each)) for each in range(TOGETHER + 3)]
        sockets = {number: located(diags, ends).client for number, ends in enumerate(pairs)}
        asked = SocketQueries({number: each for number, each in sockets.items() if each})
        assert not any_sends(asked)
        sample = closed(hosts, pairs[TOGETHER + 1])[1].client
        assert any_sends(asked)
        assert asked.queues() == dict.fromkeys(sockets, (0, 0)) | {TOGETHER + 1: (0, sample.wqueue)}
        pairs[TOGETHER + 1].client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        pairs[TOGETHER + 1].client.close()
        assert asked.queues()[TOGETHER + 1] is None


def talk(hosts: Pair[Namespace], stack: ExitStack) -> list[Pair[socket.socket]]:
    return [stack.enter_context(connected(hosts, port=2000 + each)) for each in range(SOCKETS)]


def test_while_no_packet_comes_or_goes_nobody_is_asked_for_long(
    hosts: Pair[Namespace], diags: Pair[SocketDiag]
) -> None:
    class Counted(Counters):
        silent = True

        def is_silent(self) -> bool:
            return self.silent

    with ExitStack() as stack:
        pairs = talk(hosts, stack)
        counters = stack.enter_context(closing(Counted(hosts.client)))
        gate = StallPoller([located(diags, ends) for ends in pairs], counters={diags.client: counters})
        assert not any(gate.found_new_stall() for _ in range(POLLS_AFTER_PACKET))
        full(hosts, pairs[0])
        assert not any(gate.found_new_stall() for _ in range(3))
        counters.silent = False
        assert [gate.found_new_stall() for _ in range(2)] == [False, True]
        counters.silent = True
        assert [gate.found_new_stall() for _ in range(POLLS_AFTER_PACKET + 1)] == [True] * (POLLS_AFTER_PACKET - 1) + [
            False
        ] * 2


def test_a_freeze_is_seen_by_the_packets_that_bring_it_about(hosts: Pair[Namespace], diags: Pair[SocketDiag]) -> None:
    with ExitStack() as stack:
        pairs = talk(hosts, stack)
        counters = stack.enter_context(closing(Counters(hosts.client)))
        gate = StallPoller([located(diags, ends) for ends in pairs], counters={diags.client: counters})
        until(counters.is_silent, pause_s=0.5)
        assert not any(gate.found_new_stall() for _ in range(POLLS_AFTER_PACKET + 1))
        full(hosts, pairs[-1])
        until(gate.found_new_stall, pause_s=0.02)


def test_few_sockets_are_asked_without_looking_at_the_counters(hosts: Pair[Namespace], diags: Pair[SocketDiag]) -> None:
    with connected(hosts) as ends, closing(Counters(hosts.client)) as counters:
        full(hosts, ends)
        gate = StallPoller([located(diags, ends)], counters={diags.client: counters})
        assert [gate.found_new_stall() for _ in range(POLLS_AFTER_PACKET + 3)] == [False] + [True] * (
            POLLS_AFTER_PACKET + 2
        )
