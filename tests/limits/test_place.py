"""Where the limits are measured: two hosts whose buffers fill, grow, and have their sysctls back afterwards."""

import select
import socket
import time

import pytest

from lab.errors import EnvironmentLacksError
from lab.kernel.place import sysctl
from lab.kernel.place.netns import Namespace
from lab.limits.place import SERVER, fill, place_of, pumped
from lab.spec import Triple
from tests.waiting import until

SMALL = Triple(4096, 8192, 8192)
KEYS = ("tcp_rmem", "tcp_wmem", "tcp_moderate_rcvbuf")


@pytest.mark.root
def test_a_connection_has_the_triples_that_were_asked_for_and_no_later_one_has() -> None:
    with place_of(Namespace.here()) as place:
        assert place.pair is not None
        with place.pair.connection(SMALL, SMALL) as (client, server):
            assert server.getsockname()[0] == SERVER
            for end in (client, server):
                assert end.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 8192
                assert end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 8192
        for host in (place.pair.client, place.pair.server):
            assert sysctl.read(host, KEYS) == sysctl.read(Namespace.here(), KEYS)


@pytest.mark.root
def test_a_receive_buffer_that_was_asked_for_is_the_servers() -> None:
    with place_of(Namespace.here()) as place:
        assert place.pair is not None
        with place.pair.connection(rcvbuf=4096) as (client, server):
            assert server.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 8192
            assert client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == place.default("tcp_rmem")


@pytest.mark.root
def test_a_filled_buffer_has_no_room_for_another_send() -> None:
    """As poll(2) says it: a third of the send buffer is free. The receiver may make room once more when it is full."""
    with place_of(Namespace.here()) as place:
        assert place.pair is not None
        with place.pair.connection(SMALL, SMALL) as (client, _):

            def has_room() -> bool:
                fill(client)
                return bool(select.select([], [client], [], 0)[1])

            until(lambda: not has_room(), what="no room")


@pytest.mark.root
def test_pumping_ends_as_soon_as_the_buffer_has_grown_enough() -> None:
    with place_of(Namespace.here()) as place:
        assert place.pair is not None
        start = place.default("tcp_rmem")
        with place.pair.connection(wmem=Triple(4096, 4 << 20, 4 << 20)) as (client, server):
            assert start < pumped(client, server, enough=start + 1, limit_s=60.0) <= place.maximum("tcp_rmem")


@pytest.mark.root
def test_pumping_ends_at_its_limit_where_nothing_grows() -> None:
    with place_of(Namespace.here()) as place:
        assert place.pair is not None
        with place.pair.connection(SMALL, SMALL) as (client, server):
            began = time.monotonic()
            assert pumped(client, server, enough=1 << 40, limit_s=0.1) == 8192
            assert time.monotonic() - began >= 0.1


def test_the_numbers_of_a_triple_are_those_of_the_namespace() -> None:
    least, default, most = map(int, sysctl.read(Namespace.here(), ("tcp_wmem",))["tcp_wmem"].split())
    with place_of(Namespace.here()) as place:
        assert least < place.default("tcp_wmem") == default
        assert place.maximum("tcp_wmem") == most
        assert place.known("no_such_key") is None
        assert place.asked(socket.SO_RCVBUF, 8192) == 2 * 8192
        assert place.asked(socket.SO_RCVBUF, None) == place.default("tcp_rmem")


def test_without_namespaces_there_is_no_pair_and_the_reason_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden() -> Namespace:
        raise EnvironmentLacksError("cannot make a network namespace")

    monkeypatch.setattr(Namespace, "create", forbidden)
    with place_of(Namespace.here()) as place:
        assert (place.pair, place.why_no_pair) == (None, "cannot make a network namespace")
