"""127.0.0.1, where namespaces are forbidden: the host's sysctls are not touched, and the fallback is reported."""

import os
import sys
from pathlib import Path

import pytest

from lab.kernel.place import sysctl
from lab.kernel.place.link import Interface
from lab.kernel.place.netns import Namespace
from lab.spec import Pair
from lab.testbed import catalogue
from tests.commanded import ending, endpoints, is_one_line, lab, started
from tests.played import played, specified

FORBIDDING = """
import ctypes, os, struct, sys
machine = {"x86_64": (0xC000003E, 272), "aarch64": (0xC00000B7, 97)}[os.uname().machine]
code = [(0x20, 0, 0, 4), (0x15, 0, 3, machine[0]), (0x20, 0, 0, 0), (0x15, 0, 1, machine[1]),
        (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in code))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, struct.pack("@HP", len(code), ctypes.addressof(program)), 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""
"""A seccomp filter that answers EPERM to unshare(2), as an ordinary container's does."""


def test_the_hosts_sysctls_are_as_before() -> None:
    keys = ("tcp_rmem", "tcp_wmem")
    before = sysctl.read(Namespace.here(), keys)
    evidence = played("echo", "loopback")
    assert sysctl.read(Namespace.here(), keys) == before
    assert [side.sysctls == side.before for side in evidence.settings if side] == [True, True]


def test_a_site_is_this_host_with_two_programs_that_end_with_it() -> None:
    with catalogue()["loopback"].site(specified("upper", "loopback")) as site:
        pids = {site.programs.client.host_pid, site.programs.server.host_pid}
        assert pids <= endpoints()
        assert {os.readlink(f"/proc/{pid}/ns/net") for pid in pids} == {os.readlink("/proc/self/ns/net")}
        lo = Interface("lo", int(Path("/sys/class/net/lo/mtu").read_text()))
        assert (site.interfaces, site.private_sysctls) == (Pair(lo, lo), False)
    assert not pids & endpoints()


def test_the_port_is_an_ephemeral_one_unless_asked_for() -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    evidence = played("idle", "loopback")
    assert evidence.connected.client is not None
    assert low <= int(evidence.connected.client.remote.rpartition(":")[2]) <= high


@pytest.mark.parametrize(
    ("flag", "value", "use"),
    [
        ("--tcp-rmem", "4096 8192 8192", "--so-rcvbuf"),
        ("--tcp-wmem", "client=4096 8192 8192", "--so-rcvbuf"),
        ("--sysctl", "tcp_sack=0", "netns"),
        ("--mtu", "9000", "netns"),
    ],
)
def test_what_would_touch_the_host_is_refused(flag: str, value: str, use: str) -> None:
    said = lab("run", "--testbed", "loopback", flag, value)
    assert said.code == 2
    assert is_one_line(said)
    assert flag in said.err
    assert use in said.err


def test_where_namespaces_are_forbidden_it_plays_on_loopback_and_says_so(tmp_path: Path) -> None:
    process = started("run", "--format", "json", "--runs", tmp_path, before=[sys.executable, "-c", FORBIDDING])
    said = ending(process)
    assert said.code == 0, said.err
    assert (said.json["outcome"], said.json["testbed"]) == ("deadlock", "loopback")
    assert set(said.json["witnesses"].values()) == {"agrees"}
    assert said.err.startswith("lab: user and network namespaces are forbidden here: playing on loopback")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "wish", [["--testbed", "netns"], ["--tcp-rmem", "4096 8192 8192"], ["--mtu", "9000"], ["--sysctl", "tcp_sack=0"]]
)
def test_where_they_are_forbidden_a_wish_that_needs_them_is_one_line_and_exit_4(wish: list[str]) -> None:
    """The options are right, so this is not a usage error."""
    said = ending(started("run", *wish, before=[sys.executable, "-c", FORBIDDING]))
    assert said.code == 4
    assert is_one_line(said)
    assert "namespace" in said.err
