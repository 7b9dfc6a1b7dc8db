"""Links and addresses inside namespaces, by rtnetlink (pyroute2); what one system call answers is asked by that."""

import errno
import fcntl
import socket
import struct
from collections.abc import Callable
from ipaddress import ip_interface
from typing import ParamSpec, TypeVar

from lab.errors import EnvironmentLacksError, TestbedError
from lab.kernel.place.netns import Namespace

P = ParamSpec("P")
R = TypeVar("R")

IFA_F_NODAD = 0x02
"""Without it an IPv6 address is tentative for a second and bind() to it fails (RFC 4862 section 5.4)."""

INTERFACE = "eth0"

SIOCGIFMTU = 0x8921
"""netdevice(7)"""


def lay(client: Namespace, server: Namespace, addresses: tuple[str, str], mtu: int | None = None) -> None:
    """A cable between the two, with an address (`ip/prefix`) of each, and up."""
    join(client, server, mtu)
    for namespace, address in zip((client, server), addresses, strict=True):
        bring_up(namespace, (address,))


def join(client: Namespace, server: Namespace, mtu: int | None) -> None:
    """A veth pair from one namespace straight into the other: nothing of it is ever seen outside of the two."""
    from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415 - 0.2 s to import

    try:
        client.call(_make_pair, server.fd, mtu)
    except NetlinkError as error:
        if error.code != errno.EPERM:
            raise
        raise EnvironmentLacksError("no veth pair may be made here: needs CAP_NET_ADMIN, or a user namespace") from None


def _make_pair(peer_fd: int | None, mtu: int | None) -> None:
    from pyroute2.iproute.linux import IPRoute  # noqa: PLC0415 - 0.2 s to import

    size = {"mtu": mtu} if mtu else {}
    with IPRoute() as ip:
        ip.link("add", ifname=INTERFACE, kind="veth", peer={"ifname": INTERFACE, "net_ns_fd": peer_fd, **size}, **size)


def _ask(namespace: Namespace, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """`function`'s result in the namespace. Raises TestbedError when its link is not there any more."""
    from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415

    try:
        return namespace.call(function, *args, **kwargs)
    except (ValueError, IndexError, OSError, NetlinkError) as error:
        raise _gone(error) from None


def _gone(error: Exception) -> TestbedError:
    return TestbedError(f"a link went away while the lab was looking ({error}): deleted by somebody?")


def bring_up(namespace: Namespace, addresses: tuple[str, ...]) -> None:
    """Give the interface its addresses (`ip/prefix`) and set it and `lo` up."""
    _ask(namespace, _bring_up, addresses)


def _bring_up(addresses: tuple[str, ...]) -> None:
    from pyroute2.iproute.linux import IPRoute  # noqa: PLC0415

    index, loopback = socket.if_nametoindex(INTERFACE), socket.if_nametoindex("lo")
    with IPRoute() as ip:
        for address in map(ip_interface, addresses):
            flags = {"flags": IFA_F_NODAD} if address.version == 6 else {}
            ip.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen, **flags)
        for each in (loopback, index):
            ip.link("set", index=each, state="up")


def interface_of(namespace: Namespace, address: str) -> str:
    """The name of the interface that has this address."""
    name = _ask(namespace, _interface_of, address)
    if name is None:
        raise TestbedError(f"no interface with the address {address} in the program's network namespace")
    return name


def _interface_of(address: str) -> str | None:
    from pyroute2.iproute.linux import IPRoute  # noqa: PLC0415

    wanted = ip_interface(address).ip
    with IPRoute() as ip:
        for message in ip.get_addr():
            own = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            if own and ip_interface(own).ip == wanted:
                return socket.if_indextoname(message["index"])
    return None


def mtu_of(namespace: Namespace, interface: str) -> int:
    """Bytes. /sys/class/net would show the namespace of whoever mounted /sys."""
    try:
        return namespace.call(_mtu_of, interface)
    except OSError as error:
        raise _gone(error) from None


def _mtu_of(interface: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, SIOCGIFMTU, struct.pack("16si12x", interface.encode(), 0))
    return int(struct.unpack("16si12x", answer)[1])
