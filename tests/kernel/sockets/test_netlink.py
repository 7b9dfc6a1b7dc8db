"""Netlink sockets have a time limit; errors and attributes are read as the kernel lays them out."""

import errno
import socket
import struct
from contextlib import closing

import pytest

from lab.kernel.place.netns import Namespace
from lab.kernel.sockets import netlink
from lab.kernel.sockets.netlink import NLM_F_REQUEST, NLMSG, NLMSG_ERROR, attributes_of, error_of, opened
from lab.spec import Pair

NETLINK_ROUTE, RTM_GETLINK, IFLA_IFNAME = 0, 18, 3
SO_NETNS_COOKIE = 71
INTERFACE = struct.Struct("=BxHiII")


def asked(opened_socket: socket.socket, kind: int, request: bytes) -> bytes:
    opened_socket.send(NLMSG.pack(NLMSG.size + len(request), kind, NLM_F_REQUEST, 7, 0) + request)
    return opened_socket.recv(1 << 16)


def test_the_attributes_of_an_answer_are_found_behind_its_header(hosts: Pair[Namespace]) -> None:
    """The loopback interface has number 1 in every namespace."""
    with closing(opened(hosts.client, NETLINK_ROUTE)) as route:
        answer = asked(route, RTM_GETLINK, INTERFACE.pack(0, 0, 1, 0, 0))
    assert NLMSG.unpack_from(answer)[3] == 7
    found = dict(attributes_of(answer, NLMSG.size + INTERFACE.size))
    assert found[IFLA_IFNAME] == b"lo\0"


def test_a_refusal_tells_its_errno() -> None:
    with closing(opened(Namespace.here(), NETLINK_ROUTE)) as route:
        answer = asked(route, RTM_GETLINK, INTERFACE.pack(0, 0, 1 << 30, 0, 0))
    assert NLMSG.unpack_from(answer)[1] == NLMSG_ERROR
    assert error_of(answer) == errno.ENODEV


def test_it_stays_in_its_namespace(hosts: Pair[Namespace]) -> None:
    cookies = []
    for namespace in (Namespace.here(), hosts.client):
        with closing(opened(namespace, NETLINK_ROUTE)) as route:
            cookies.append(route.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8))
    assert len(set(cookies)) == 2


def test_it_does_not_wait_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "ANSWER_S", 1)
    with closing(opened(Namespace.here(), NETLINK_ROUTE)) as route, pytest.raises(BlockingIOError) as raised:
        route.recv(1)
    assert raised.value.errno == errno.EAGAIN


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def test_values_that_are_padded_come_without_their_padding() -> None:
    values = [(1, b""), (2, b"a"), (3 | 0x8000, b"abcd"), (2, b"abcdefg")]
    assert list(attributes_of(b"".join(attribute(*each) for each in values))) == values
