"""A sysctl is written in one namespace only, and read back; what the kernel refuses is refused."""

import pytest

from lab.errors import SpecError
from lab.kernel.place import sysctl
from lab.kernel.place.netns import Namespace
from lab.spec import HOST_SYSCTLS, Pair

KEYS = ("tcp_rmem", "tcp_wmem", "tcp_sack")


def test_what_is_written_in_one_namespace_is_read_there_and_nowhere_else(hosts: Pair[Namespace]) -> None:
    before = sysctl.read(hosts.server, KEYS), sysctl.read(Namespace.here(), KEYS)
    values = {"tcp_rmem": "4096 8192 16384", "tcp_wmem": "4096\t9000   9001", "tcp_sack": "0"}
    with Namespace.create() as made:
        sysctl.write(made, values)
        assert sysctl.read(made, KEYS) == {
            "tcp_rmem": "4096 8192 16384",
            "tcp_wmem": "4096 9000 9001",
            "tcp_sack": "0",
        }
    assert (sysctl.read(hosts.server, KEYS), sysctl.read(Namespace.here(), KEYS)) == before


def test_a_key_that_this_kernel_lacks_is_not_read() -> None:
    assert set(sysctl.read(Namespace.here(), ("tcp_rmem", "tcp_no_such_key"))) == {"tcp_rmem"}


def test_an_unknown_key_is_a_wish_that_is_refused() -> None:
    with Namespace.create() as made, pytest.raises(SpecError, match=r"net\.ipv4\.tcp_no_such_key: this kernel has no"):
        sysctl.write(made, {"tcp_no_such_key": "1"})


@pytest.mark.parametrize(("key", "value"), [("tcp_rmem", "much"), ("tcp_rmem", "0 0 0"), ("tcp_sack", "9999999999999")])
def test_a_value_that_the_kernel_refuses_changes_nothing(key: str, value: str) -> None:
    with Namespace.create() as made:
        before = sysctl.read(made, KEYS)
        with pytest.raises(SpecError, match=rf"net\.ipv4\.{key}={value}: the kernel refuses it"):
            sysctl.write(made, {key: value})
        assert sysctl.read(made, KEYS) == before


def test_the_caps_of_socket_options_are_read_from_the_host() -> None:
    core = sysctl.read_core()
    assert set(core) == set(HOST_SYSCTLS)
    assert all(int(value) > 0 for value in core.values())
