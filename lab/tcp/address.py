"""The address of one end of a connection as text: `ip:port`, or `[ip]:port` for IPv6."""

from functools import lru_cache
from ipaddress import IPv6Address


@lru_cache(maxsize=4096)
def endpoint(address: bytes, port: int) -> str:
    """The text of 4 or 16 bytes of address, in network order, and a port."""
    if len(address) == 4:
        return "%d.%d.%d.%d:%d" % (*address, port)  # noqa: UP031 - a fifth of the time of IPv4Address
    ip = IPv6Address(address)
    # RFC 5952 section 5 writes a mapped address with a dotted quad; Python does so from 3.13 on only.
    return f"[::ffff:{ip.ipv4_mapped}]:{port}" if ip.ipv4_mapped else f"[{ip}]:{port}"


def host(end: str) -> str:
    """The IP address alone, without brackets."""
    return end.rpartition(":")[0].strip("[]")


def port(end: str) -> int:
    return int(end.rpartition(":")[2])


def guess_client(one: str, other: str) -> str:
    """The end with the higher port: servers listen on low ones. `one` if they are equal."""
    return max(one, other, key=port)
