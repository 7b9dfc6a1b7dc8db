"""Links and addresses inside namespaces, by rtnetlink (pyroute2)."""

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Any, ParamSpec, TypeVar

from lab.errors import EnvironmentLacksError, TestbedError
from lab.kernel.place.netns import Namespace
from lab.kernel.place.pyroute2_parts import import_parts_only
from lab.spec import Pair

P = ParamSpec("P")
R = TypeVar("R")

IFA_F_NODAD = 0x02
"""Without it an IPv6 address is tentative for a second and bind() to it fails (RFC 4862 section 5.4)."""

INTERFACE = "eth0"


@dataclass(frozen=True, slots=True)
class Interface:
    """One end of a link, as the kernel reports it."""

    name: str
    mtu: int
    """Bytes."""


def lay(client: Namespace, server: Namespace, addresses: tuple[str, str], mtu: int | None = None) -> Pair[Interface]:
    """Both ends of a cable between the two, with an address (`ip/prefix`) each, and up."""
    join(client, server, mtu)
    return Pair(*(bring_up(each, (address,)) for each, address in zip((client, server), addresses, strict=True)))


def join(client: Namespace, server: Namespace, mtu: int | None) -> None:
    """A veth pair from one namespace straight into the other: nothing of it is ever seen outside of the two."""
    try:
        client.call(_make_pair, server.fd, mtu)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        raise EnvironmentLacksError("no veth pair may be made here: needs CAP_NET_ADMIN, or a user namespace") from None


def _make_pair(peer_fd: int | None, mtu: int | None) -> None:
    size = {"mtu": mtu} if mtu else {}
    with _rtnetlink() as ip:
        ip.link("add", ifname=INTERFACE, kind="veth", peer={"ifname": INTERFACE, "net_ns_fd": peer_fd, **size}, **size)


@contextmanager
def _rtnetlink() -> Iterator[Any]:
    """pyroute2's IPRoute, in the namespace of the calling thread. What the kernel refuses is an OSError."""
    import_parts_only()
    from pyroute2.iproute.linux import IPRoute  # noqa: PLC0415 - 0.1 s to import
    from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415

    try:
        with IPRoute() as ip:
            yield ip
    except NetlinkError as error:
        raise OSError(*error.args) from None


def _ask(namespace: Namespace, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """`function`'s result in the namespace. Raises TestbedError when its link is not there any more."""
    try:
        return namespace.call(function, *args, **kwargs)
    except (ValueError, IndexError, OSError) as error:
        raise TestbedError(f"a link went away while the lab was looking ({error}): deleted by somebody?") from None


def bring_up(namespace: Namespace, addresses: tuple[str, ...]) -> Interface:
    """Give the interface its addresses (`ip/prefix`) and set it and `lo` up. One socket for all: each takes 2 ms."""
    return _ask(namespace, _bring_up, addresses)


def _bring_up(addresses: tuple[str, ...]) -> Interface:
    with _rtnetlink() as ip:
        (message,) = ip.link("get", ifname=INTERFACE)
        index, loopback = message["index"], socket.if_nametoindex("lo")
        for address in map(ip_interface, addresses):
            flags = {"flags": IFA_F_NODAD} if address.version == 6 else {}
            ip.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen, **flags)
        for each in (loopback, index):
            ip.link("set", index=each, state="up")
    return _seen(message)


def interface_of(namespace: Namespace, address: str) -> Interface:
    """The interface that has this address."""
    found = _ask(namespace, _interface_of, address)
    if found is None:
        raise TestbedError(f"no interface with the address {address} in the program's network namespace")
    return found


def _interface_of(address: str) -> Interface | None:
    wanted = ip_interface(address).ip
    with _rtnetlink() as ip:
        for message in ip.get_addr():
            own = message.get("local") or message.get("address")
            if own and ip_interface(own).ip == wanted:
                (link,) = ip.link("get", index=message["index"])
                return _seen(link)
    return None


def _seen(message: Any) -> Interface:  # noqa: ANN401 - pyroute2 has no types
    return Interface(message.get("ifname"), message.get("mtu"))
