"""Two network namespaces with a cable between them, and TCP sockets in them: nothing of it is seen outside."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab.kernel.place import link
from lab.kernel.place.netns import Namespace
from lab.spec import Pair, Role
from tests.waiting import LIMIT_S

ADDRESSES = {4: Pair("198.18.77.20", "198.18.77.10"), 6: Pair("2001:2::77:20", "2001:2::77:10")}
PREFIX = {4: 24, 6: 120}
PORT = 1060


@contextmanager
def cabled(mtu: int | None = None) -> Iterator[Pair[Namespace]]:
    """Both ends have an address of each family."""
    with ExitStack() as stack:
        both = Pair(*(stack.enter_context(Namespace.create()) for _ in Role))
        link.join(both.client, both.server, mtu)
        for role in Role:
            link.bring_up(both[role], tuple(f"{ADDRESSES[ip][role]}/{PREFIX[ip]}" for ip in (4, 6)))
        yield both


@contextmanager
def connected(
    hosts: Pair[Namespace], ip: int = 4, port: int = PORT, client_port: int = 0
) -> Iterator[Pair[socket.socket]]:
    """A TCP connection from the client's host to the server's."""
    family = socket.AF_INET if ip == 4 else socket.AF_INET6
    with ExitStack() as stack:
        listener = stack.enter_context(hosts.server.call(socket.socket, family, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.settimeout(LIMIT_S)
        listener.bind((ADDRESSES[ip].server, port))
        listener.listen()
        client = stack.enter_context(hosts.client.call(socket.socket, family, socket.SOCK_STREAM))
        client.settimeout(LIMIT_S)
        client.bind((ADDRESSES[ip].client, client_port))
        client.connect((ADDRESSES[ip].server, port))
        server, _ = listener.accept()
        server.settimeout(LIMIT_S)
        yield Pair(client, stack.enter_context(server))


def written(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def links() -> set[str]:
    return {line.partition(":")[0].strip() for line in Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]}
