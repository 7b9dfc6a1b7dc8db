"""One side of the last snapshot."""

from dataclasses import replace

from lab.report.side import sides
from lab.spec import Pair, Role
from tests.report.report_samples import FROZEN_SOCKETS, READ_READ, evidence, snapshot, thread


def test_a_thread_in_a_send_on_the_connection_sends() -> None:
    assert all(side.sends and not side.receives for side in sides(evidence()))
    assert all(side.receives and not side.sends for side in sides(READ_READ[1]))


def test_a_thread_in_a_send_on_another_socket_does_not() -> None:
    threads = (thread(Role.CLIENT, "sendto", inode=7), thread(Role.SERVER, "sendto", inode=None))
    assert not any(side.sends for side in sides(evidence(snapshots=(snapshot(threads=threads),))))


def test_the_foremost_thread_is_the_one_on_the_connection() -> None:
    threads = (thread(Role.CLIENT, "futex", inode=None), thread(Role.CLIENT, "sendto"))
    client = sides(evidence(snapshots=(snapshot(threads=threads),))).client
    assert client.foremost is threads[1]


def test_the_cut_is_the_one_that_the_account_is_drawn_from() -> None:
    closed = Pair(FROZEN_SOCKETS.client, None)
    snapshots = (replace(snapshot(), number=1), replace(snapshot(closed), number=2))
    assert sides(evidence(snapshots=snapshots)).server.socket == snapshots[0].sockets.server


def test_a_run_without_a_cut_has_two_sides_all_the_same() -> None:
    client, server = sides(evidence(snapshots=()))
    assert (client.socket, server.socket, client.foremost) == (None, None, None)
