"""An end of a connection is one text, made from bytes and taken apart again."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.tcp.address import endpoint, guess_client, host, port


@given(st.ip_addresses(), st.integers(0, 65535))
def test_host_and_port_are_what_the_text_was_made_from(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, number: int
) -> None:
    end = endpoint(address.packed, number)
    assert ipaddress.ip_address(host(end)) == address
    assert port(end) == number
    assert end.startswith("[") == (address.version == 6)


def test_a_mapped_address_has_a_dotted_quad() -> None:
    assert endpoint(ipaddress.IPv6Address("::ffff:192.0.2.1").packed, 20) == "[::ffff:192.0.2.1]:20"


@pytest.mark.parametrize(
    ("one", "other", "client"),
    [
        ("10.0.0.1:40000", "10.0.0.2:80", "10.0.0.1:40000"),
        ("10.0.0.1:80", "10.0.0.2:40000", "10.0.0.2:40000"),
        ("[2001:2::1]:9", "[2001:2::2]:10", "[2001:2::2]:10"),
        ("10.0.0.1:7", "10.0.0.2:7", "10.0.0.1:7"),
    ],
)
def test_the_client_has_the_higher_port(one: str, other: str, client: str) -> None:
    assert guess_client(one, other) == client
