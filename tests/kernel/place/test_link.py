"""A veth pair goes straight from one namespace into the other, with addresses that may be used at once."""

import pytest

from lab import errors
from lab.kernel.place import link
from lab.kernel.place.link import Interface
from lab.kernel.place.netns import Namespace
from lab.spec import Pair, Role
from tests.kernel.hosts import ADDRESSES, cabled, connected, links


@pytest.mark.parametrize("ip", [4, 6])
def test_a_byte_goes_from_one_host_to_the_other(hosts: Pair[Namespace], ip: int) -> None:
    """At once: an IPv6 address that is still tentative could not be bound."""
    with connected(hosts, ip) as (client, server):
        client.sendall(b"upper")
        assert server.recv(5) == b"upper"


def test_nothing_of_it_is_seen_outside() -> None:
    before = links()
    with cabled():
        assert links() == before
    assert links() == before


def test_an_address_names_its_interface(hosts: Pair[Namespace]) -> None:
    for ip in (4, 6):
        assert link.interface_of(hosts.client, ADDRESSES[ip].client) == Interface("eth0", 1500)
        assert link.interface_of(hosts.server, ADDRESSES[ip].server) == Interface("eth0", 1500)
    assert link.interface_of(hosts.client, "127.0.0.1").name == "lo"


def test_an_address_that_nobody_has_is_said_to_be_missing(hosts: Pair[Namespace]) -> None:
    with pytest.raises(errors.TestbedError, match=r"no interface with the address 203\.0\.113\.9"):
        link.interface_of(hosts.client, "203.0.113.9")


@pytest.mark.parametrize(("asked", "got"), [(None, 1500), (1280, 1280), (9000, 9000), (65535, 65535)])
def test_both_ends_have_the_mtu_that_was_asked_for(asked: int | None, got: int) -> None:
    with cabled(asked) as hosts:
        ends = (link.interface_of(hosts[role], ADDRESSES[4][role]) for role in Role)
        assert [end.mtu for end in ends] == [got, got]


def test_a_cable_that_is_laid_names_both_its_ends() -> None:
    with Namespace.create() as client, Namespace.create() as server:
        ends = link.lay(client, server, ("198.18.131.20/24", "198.18.131.10/24"), 1400)
        assert ends == Pair(Interface("eth0", 1400), Interface("eth0", 1400))
        assert link.interface_of(server, "198.18.131.10") == ends.server


def test_a_link_that_somebody_has_deleted_is_told_in_one_line() -> None:
    with Namespace.create() as without, pytest.raises(errors.TestbedError, match="a link went away"):
        link.bring_up(without, ("198.18.131.10/24",))


def test_what_the_kernel_refuses_is_told_in_its_own_words() -> None:
    with Namespace.create() as client, Namespace.create() as server:
        link.join(client, server, None)
        with pytest.raises(OSError, match="File exists"):
            link.join(client, server, None)
