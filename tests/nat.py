"""A client, a router with NAT and a server, each in a namespace of its own: what a published port is made of.

    client 198.18.81.20 --- 198.18.81.1 router 198.18.82.1 --- 198.18.82.10 server
    client 2001:2:81::20 --- 2001:2:81::1 router 2001:2:82::1 --- 2001:2:82::10 server

The client connects to port 8080 of the router, which leads it to port 80 of the server.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from lab.kernel.place.netns import Namespace

PUBLISHED, SERVED = 8080, 80
CLIENT = {4: "198.18.81.20", 6: "2001:2:81::20"}
ROUTER = {4: "198.18.81.1", 6: "2001:2:81::1"}
SERVER = {4: "198.18.82.10", 6: "2001:2:82::10"}
BEHIND = {4: "198.18.82.1", 6: "2001:2:82::1"}
PREFIX = {4: 24, 6: 64}


@dataclass(frozen=True, slots=True)
class Hosts:
    client: Namespace
    router: Namespace
    server: Namespace


def run(namespace: Namespace, *words: str) -> None:
    namespace.call(subprocess.run, words, check=True, capture_output=True)


@contextmanager
def routed(*, masquerade: bool = False) -> Iterator[Hosts]:
    """`masquerade`: the server sees the router's address instead of the client's."""
    with ExitStack() as stack:
        hosts = Hosts(*(stack.enter_context(Namespace.create()) for _ in range(3)))
        for host, name, near, far in (
            (hosts.client, "toclient", CLIENT, ROUTER),
            (hosts.server, "toserver", SERVER, BEHIND),
        ):
            _cable(hosts.router, name, host)
            for namespace, interface, addresses in ((host, "eth0", near), (hosts.router, name, far)):
                for ip, address in addresses.items():
                    nodad = ("nodad",) if ip == 6 else ()
                    run(namespace, "ip", "address", "add", f"{address}/{PREFIX[ip]}", "dev", interface, *nodad)
                for each in (interface, "lo"):
                    run(namespace, "ip", "link", "set", each, "up")
            for ip, address in far.items():
                run(host, "ip", f"-{ip}", "route", "add", "default", "via", address)
        run(hosts.router, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for ip, iptables in (4, "iptables"), (6, "ip6tables"):
            to = f"{SERVER[4]}:{SERVED}" if ip == 4 else f"[{SERVER[6]}]:{SERVED}"
            rule = (iptables, "-w", "-t", "nat", "-A")
            arrives = ("-d", ROUTER[ip], "-p", "tcp", "--dport", str(PUBLISHED))
            run(hosts.router, *rule, "PREROUTING", *arrives, "-j", "DNAT", "--to-destination", to)
            if masquerade:
                run(hosts.router, *rule, "POSTROUTING", "-o", "toserver", "-j", "MASQUERADE")
        yield hosts


def _cable(router: Namespace, name: str, host: Namespace) -> None:
    """From the router's interface of this name to `eth0` of the host."""

    def lay() -> None:
        words = ("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", f"/proc/self/fd/{host.fd}")
        assert host.fd is not None
        subprocess.run(words, check=True, capture_output=True, pass_fds=(host.fd,))

    router.call(lay)
