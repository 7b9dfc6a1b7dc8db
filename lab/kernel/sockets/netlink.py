"""What all requests over netlink(7) have in common: the socket, the header, errors and attributes."""

import socket
import struct
from collections.abc import Iterator

from lab.kernel.place.netns import Namespace

NLM_F_REQUEST, NLMSG_ERROR = 1, 2
ANSWER_S = 5
NLMSG = struct.Struct("=IHHII")
"""Length, kind, flags, sequence, port."""


def opened(namespace: Namespace, protocol: int) -> socket.socket:
    """A netlink socket in the namespace. It waits at most ANSWER_S for an answer, then fails with EAGAIN."""
    netlink = namespace.call(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    for limit in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # settimeout() would poll(2) before every call
        netlink.setsockopt(socket.SOL_SOCKET, limit, struct.pack("@2l", ANSWER_S, 0))
    return netlink


def error_of(reply: bytes) -> int:
    """The errno in an answer of the kind NLMSG_ERROR."""
    return -int(struct.unpack_from("=i", reply, NLMSG.size)[0])


def attributes_of(block: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """The kind, flags included, and the value of each attribute in the block."""
    while offset + 4 <= len(block):
        size, kind = struct.unpack_from("=HH", block, offset)
        yield kind, block[offset + 4 : offset + size]
        offset += (size + 3) & ~3
