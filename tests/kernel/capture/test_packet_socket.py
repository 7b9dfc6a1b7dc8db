"""A packet socket is opened by scapy in the namespace of the interface, and sees nothing before it is bound."""

import socket
import subprocess
import sys

import pytest

from lab.errors import EnvironmentLacksError
from lab.kernel.capture import packet_socket
from lab.kernel.place import link
from lab.kernel.place.netns import Namespace
from lab.spec import Pair
from tests.commanded import ROOT
from tests.kernel.hosts import descriptors
from tests.waiting import LIMIT_S

ETH_P_ALL = 3
FRAME = b"\xff" * 6 + b"\x02\0\0\0\0\x01" + b"\x88\xb5" + b"upper".ljust(46, b"\0")
"""A broadcast of a protocol for experiments (IEEE 802)."""


def sent(host: Namespace) -> None:
    """Onto the cable."""
    with host.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0) as cable:
        cable.bind((link.INTERFACE, 0))
        cable.send(FRAME)


def received(packets: socket.socket) -> bytes:
    """The first frame of ours; IPv6 has some of its own on a cable."""
    packets.settimeout(LIMIT_S)
    return next(frame for frame in iter(lambda: packets.recv(2048), b"") if frame[12:14] == FRAME[12:14])


def test_it_sees_no_frame_until_it_is_bound_and_then_those_of_its_namespace(hosts: Pair[Namespace]) -> None:
    with (
        packet_socket.opened(hosts.client, link.INTERFACE) as opened,
        packet_socket.opened(hosts.client, link.INTERFACE) as bound,
    ):
        bound.bind((link.INTERFACE, ETH_P_ALL))
        sent(hosts.server)
        assert received(bound) == FRAME
        opened.setblocking(False)
        with pytest.raises(BlockingIOError):
            opened.recv(1)
        opened.bind((link.INTERFACE, ETH_P_ALL))
        sent(hosts.server)
        assert received(opened) == FRAME


def test_it_is_one_descriptor_and_scapy_keeps_none(hosts: Pair[Namespace]) -> None:
    packet_socket.opened(hosts.client, link.INTERFACE).close()
    before = descriptors()
    with packet_socket.opened(hosts.client, link.INTERFACE) as opened:
        assert (opened.family, opened.type & socket.SOCK_RAW) == (socket.AF_PACKET, socket.SOCK_RAW)
        assert descriptors() == before + 1
    assert descriptors() == before


def test_an_interface_that_is_not_there_is_told_in_one_line(hosts: Pair[Namespace]) -> None:
    with pytest.raises(EnvironmentLacksError, match=r"^cannot capture on eth7: No such device$"):
        packet_socket.opened(hosts.client, "eth7").bind(("eth7", ETH_P_ALL))


def test_without_the_privilege_it_says_which_one() -> None:
    code = (
        "from lab.kernel.capture import packet_socket; from lab.kernel.place.netns import Namespace\n"
        "packet_socket.opened(Namespace.here(), 'lo')"
    )
    less = ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", sys.executable, "-c", code]
    done = subprocess.run(less, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr.splitlines()[-1].endswith("EnvironmentLacksError: cannot capture on lo: needs CAP_NET_RAW")
