"""Asks a network namespace how its NAT translates the packets of one TCP connection: an exact lookup, in 20 us.

The connection tracking keeps two tuples of each connection, original and reply, as the packets of each direction come
in. So the packets of one direction leave with the reverse of the other tuple. pyroute2's NFCTSocket asks the same in
1 ms, with an event loop for each namespace. Layouts: linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h. Attributes
are in network byte order.
"""

import errno
import os
import socket
import struct
from pathlib import Path

from lab.errors import EnvironmentLacksError
from lab.kernel.place.netns import Namespace
from lab.kernel.sockets.netlink import NLM_F_REQUEST, NLMSG, NLMSG_ERROR, attributes_of, error_of, opened
from lab.kernel.sockets.sock_diag import join_address, split_address

NETLINK_NETFILTER = 12
GET = 1 << 8 | 1
"""NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET."""
NESTED, KIND = 0x8000, 0x3FFF
CTA_TUPLE_ORIG, CTA_TUPLE_REPLY = 1, 2
CTA_TUPLE_IP, CTA_TUPLE_PROTO = 1, 2
CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT = 1, 2, 3
CTA_IP = {4: (1, 2), 16: (3, 4)}
"""Source and destination, by the size of an address."""
COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")

_NFGENMSG = struct.Struct("=BBH")

Way = tuple[str, str]
"""Source and destination of packets, `ip:port`."""


class Conntrack:
    """The connection tracking of one namespace. Close it."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._netlink: socket.socket | None = None

    def close(self) -> None:
        if self._netlink:
            self._netlink.close()

    def tracks(self) -> bool:
        """Whether it tracks any connection. Without the kernel module nf_conntrack there is no NAT."""
        try:
            return int(self._namespace.call(COUNT.read_text)) > 0
        except OSError:
            return False

    def translated(self, way: Way) -> Way | None:
        """The addresses with which packets leave that come in with these; None if they are not translated.

        Raises EnvironmentLacksError if that may not be asked.
        """
        reply = self._ask(way)
        if reply is None:
            return None
        attributes = _attributes(reply[NLMSG.size + _NFGENMSG.size :])
        original, answer = (_parsed(attributes[kind]) for kind in (CTA_TUPLE_ORIG, CTA_TUPLE_REPLY))
        if way not in (original, answer):
            return None  # a late answer to an earlier question
        source, destination = answer if way == original else original
        return None if (destination, source) == way else (destination, source)

    def _ask(self, way: Way) -> bytes | None:
        family = socket.AF_INET6 if way[0].startswith("[") else socket.AF_INET
        request = _NFGENMSG.pack(family, 0, 0) + _tuple(way)
        try:
            if self._netlink is None:
                self._netlink = opened(self._namespace, NETLINK_NETFILTER)
            self._netlink.send(NLMSG.pack(NLMSG.size + len(request), GET, NLM_F_REQUEST, 0, 0) + request)
            reply = self._netlink.recv(8192)
        except OSError as error:
            raise _lacking(error.errno) from None
        if NLMSG.unpack_from(reply)[1] != NLMSG_ERROR:
            return reply
        code = error_of(reply)
        if code == errno.ENOENT:
            return None
        raise _lacking(code)


def _lacking(code: int | None) -> EnvironmentLacksError:
    if code == errno.EPERM:
        return EnvironmentLacksError("what NAT makes of it is told to CAP_NET_ADMIN alone, such as root's")
    why = os.strerror(code) if code else "no answer"
    return EnvironmentLacksError(f"what NAT makes of it needs the kernel's module nf_conntrack_netlink ({why})")


def _tuple(way: Way) -> bytes:
    (source, sport), (destination, dport) = (split_address(each) for each in way)
    of_source, of_destination = CTA_IP[len(source)]
    addresses = _attribute(of_source, source) + _attribute(of_destination, destination)
    protocol = _attribute(CTA_PROTO_NUM, bytes([socket.IPPROTO_TCP]))
    for kind, port in (CTA_PROTO_SRC_PORT, sport), (CTA_PROTO_DST_PORT, dport):
        protocol += _attribute(kind, struct.pack(">H", port))
    inside = _attribute(NESTED | CTA_TUPLE_IP, addresses) + _attribute(NESTED | CTA_TUPLE_PROTO, protocol)
    return _attribute(NESTED | CTA_TUPLE_ORIG, inside)


def _parsed(nested: bytes) -> Way:
    parts = _attributes(nested)
    addresses, protocol = _attributes(parts[CTA_TUPLE_IP]), _attributes(parts[CTA_TUPLE_PROTO])
    ports = (struct.unpack(">H", protocol[kind])[0] for kind in (CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT))
    source, destination = (
        join_address(addresses[kind], port) for kind, port in zip(sorted(addresses), ports, strict=True)
    )
    return source, destination


def _attribute(kind: int, value: bytes) -> bytes:
    """Padded to four bytes (netlink(7))."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(block: bytes) -> dict[int, bytes]:
    return {kind & KIND: value for kind, value in attributes_of(block)}
