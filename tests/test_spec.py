"""An impossible value is refused where it is made, with its value, the limit and a good example."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import scenario
from lab.errors import SpecError
from lab.spec import (
    MAX_BUFFER,
    MAX_PAYLOAD,
    Answer,
    Buffers,
    Load,
    Pair,
    Role,
    SocketOptions,
    Spec,
    Triple,
    parse_duration,
    parse_size,
)

LOAD = Load(payload=1, send_size=16, recv_size=42, server_block=1024, answer=Answer.UPPER)
SPEC = Spec(scenario=scenario.find("upper"), testbed="netns")


def test_a_pair_is_the_same_fact_for_both_sides() -> None:
    pair = Pair("a", "b")
    assert (pair[Role.CLIENT], pair[Role.SERVER]) == tuple(pair) == ("a", "b")
    assert Role.CLIENT.peer is Role.SERVER
    assert Role.SERVER.peer is Role.CLIENT


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("64k", 65536),
        ("64K", 65536),
        ("64KiB", 65536),
        ("64 kb", 65536),
        ("10MiB", 10485760),
        ("1.5m", 1572864),
        ("0.5g", 1 << 29),
        ("1g", 1 << 30),
        ("1t", 1 << 40),
        (" 7b ", 7),
    ],
)
def test_a_size_is_bytes_and_its_units_are_powers_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k",
        "-1",
        "+1",
        "1e3",
        "0x10",
        "10q",
        "10 Mi Bytes",
        "1,5m",
        "1.3",
        "0.0001k",
        "٣",
        "9" * 400,
        "9" * 5000,
        "1k1k",
        "inf",
        "nan",
    ],
)
def test_a_nonsense_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SpecError, match="for example 4096, 64k or 10MiB") as raised:
        parse_size(text)
    assert len(str(raised.value)) < 300


@given(st.integers(0, 10**15 - 1), st.sampled_from(["", "k", "m", "g", "t"]))
def test_a_whole_size_is_exact(number: int, unit: str) -> None:
    assert parse_size(f"{number}{unit}") == number << {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}[unit]


@given(st.text(max_size=12))
def test_whatever_is_typed_is_a_size_or_a_spec_error(text: str) -> None:
    try:
        assert parse_size(text) >= 0
    except SpecError:
        return


@pytest.mark.parametrize(
    ("text", "seconds"), [("3ms", 0.003), ("200us", 0.0002), ("2s", 2.0), ("2", 2.0), ("0.5", 0.5)]
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "ms", "-3ms", "3m", "3 hours", "soon", "nan"])
def test_a_nonsense_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SpecError, match="for example 3ms"):
        parse_duration(text)


def test_a_triple_reads_as_it_is_written() -> None:
    assert str(Triple.parse("4096 131072 6291456")) == "4096 131072 6291456"
    assert Triple.parse("4k\t128k  6m") == Triple(4096, 131072, 6291456)
    assert Triple.parse("1 1 1") == Triple(1, 1, 1)


@pytest.mark.parametrize(
    "text", ["", "1", "1 2", "1 2 3 4", "3 2 1", "1 3 2", "0 1 2", "a b c", "1,2,3", "-1 2 3", f"1 2 {MAX_BUFFER + 1}"]
)
def test_a_bad_triple_is_refused_with_a_good_one(text: str) -> None:
    with pytest.raises(
        SpecError, match="three ascending integers from 1 to 2147483647, for example '4096 131072 6291456'"
    ):
        Triple.parse(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": -1},
        {"payload": MAX_PAYLOAD + 1},
        {"send_size": 0},
        {"send_size": (1 << 24) + 1},
        {"recv_size": 0},
        {"server_block": -5},
        {"paced_s": -0.1},
        {"paced_s": 61.0},
        {"paced_s": float("nan")},
        {"paced_s": float("inf")},
    ],
)
def test_an_impossible_load_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(SpecError, match=r"needs .* for example"):
        replace(LOAD, **changes)  # type: ignore[arg-type]


def test_the_extremes_of_a_load_are_possible() -> None:
    for payload in (0, MAX_PAYLOAD):
        assert replace(LOAD, payload=payload).payload == payload
    assert replace(LOAD, payload=MAX_PAYLOAD - 1, whole_messages=True).payload == MAX_PAYLOAD


@pytest.mark.parametrize("size", [0, -1, MAX_BUFFER + 1])
@pytest.mark.parametrize("name", ["so_rcvbuf", "so_sndbuf"])
def test_an_impossible_socket_option_is_refused(name: str, size: int) -> None:
    with pytest.raises(SpecError, match=rf"{name.upper()} {size}: needs 1 to 2147483647 bytes, for example"):
        SocketOptions(**{name: size})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "key", ["net.core.rmem_max", "ip_forward", "tcp_rmem/../../x", "tcp_", "TCP_SACK", "", "tcp_a b"]
)
def test_a_sysctl_that_is_not_the_namespaces_own_is_refused(key: str) -> None:
    with pytest.raises(SpecError, match=r"only keys net\.ipv4\.tcp_\* are per namespace"):
        Buffers(other={key: "1"})


@pytest.mark.parametrize(
    "changes",
    [
        {"net": "198.18"},
        {"net": "198.18.20.0"},
        {"net": "198.18.256"},
        {"net": "198.18.x"},
        {"net": "198.18.020"},
        {"net": ""},
        {"net": "198.18.20\n"},
        {"ip": 5},
        {"port": 0},
        {"port": 65536},
        {"port": -1},
        {"mtu": 1279},
        {"mtu": 65536},
        {"snaplen": 95},
        {"snaplen": 65536},
        {"until": 0.0},
        {"until": 3601.0},
        {"until": float("nan")},
    ],
)
def test_an_impossible_spec_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(SpecError, match="needs"):
        replace(SPEC, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings", [{"rmem_max": 2303}, {"wmem_default": 4607}, {"rmem_default": 1 << 31}, {"somaxconn": 1}]
)
def test_an_impossible_setting_of_the_host_is_refused_with_a_good_one(settings: dict[str, int]) -> None:
    with pytest.raises(SpecError, match=r"for example (net\.core\.rmem_max=)?131071"):
        replace(SPEC, host_sysctls=settings)
    assert replace(SPEC, host_sysctls={"rmem_max": 2304, "wmem_max": MAX_BUFFER}).host_sysctls["rmem_max"] == 2304


@pytest.mark.parametrize(
    ("testbed", "ip", "client", "server"),
    [
        ("netns", 4, "198.18.20.20", "198.18.20.10"),
        ("netns", 6, "2001:2::c612:1414", "2001:2::c612:140a"),
        ("loopback", 4, "127.0.0.1", "127.0.0.1"),
        ("loopback", 6, "::1", "::1"),
    ],
)
def test_addresses(testbed: str, ip: int, client: str, server: str) -> None:
    spec = replace(SPEC, testbed=testbed, ip=ip)
    assert (spec.address(Role.CLIENT), spec.address(Role.SERVER)) == (client, server)


def test_two_nets_have_no_address_in_common() -> None:
    for ip in (4, 6):
        addresses = {
            replace(SPEC, net=net, ip=ip).address(role) for net in ("10.0.0", "10.0.1", "10.1.0") for role in Role
        }
        assert len(addresses) == 6
