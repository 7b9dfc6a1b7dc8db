"""The figures of the measurements, to the byte, and what must be true of every forecast."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.evidence import Settings
from lab.forecast import Forecast, Range, expected, forecast, in_words, tuned
from lab.spec import Answer, Buffers, Load, Outcome, Pair, Scenario, SocketOptions, Spec, Triple

CORE = {"rmem_max": "4194304", "wmem_max": "4194304"}
PUBLISHED = {"tcp_rmem": "4096\t87380\t4161536", "tcp_wmem": "4096\t16384\t4161536"}
TODAY = {"tcp_rmem": "4096 131072 6291456", "tcp_wmem": "4096 16384 4194304"}
FIXED = {"tcp_rmem": "4096 131072 131072", "tcp_wmem": "4096 131072 131072"}
NOTHING = Range(None, None, None)
PLAIN = SocketOptions()


def spec_of(
    client: SocketOptions = PLAIN,
    server: SocketOptions | None = None,
    *,
    send_size: int = 1024,
    block: int = 4096,
    payload: int = 1 << 30,
    freezes: bool = True,
    **more: object,
) -> Spec:
    load = Load(payload, send_size, 1024, block, Answer.ECHO)
    outcome = Outcome.DEADLOCK if freezes else Outcome.COMPLETED
    scenario = Scenario("echo", "", "echo", "write_then_read", 51423, load, outcome, freezes=freezes)
    spec = Spec(scenario, "netns", options=Pair(client, client if server is None else server))
    return replace(spec, **more)  # type: ignore[arg-type]


def both(sysctls: dict[str, str], mtu: int = 1500) -> Pair[Settings | None]:
    settings = Settings(sysctls, {}, mtu)
    return Pair(settings, settings)


def low_high(found: Range) -> tuple[int, int]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def initial_send_buffer(**more: object) -> int:
    """Read off the reason: it names where an autotuned send buffer starts."""
    mtu = more.pop("mtu", 1500)
    assert isinstance(mtu, int)
    reason = forecast(spec_of(**more), both(TODAY, mtu), CORE).reason  # type: ignore[arg-type]
    return int(reason.split("send buffers from ")[1].split()[0])


def test_socket_options_of_64_kib_give_the_measured_example() -> None:
    found = forecast(spec_of(SocketOptions(65536, 65536)), both({}), CORE)
    assert found.client_accepted == Range(232981, 501412, 659456)
    assert found.server_processed == Range(147764, 250706, 331776)
    assert "all four buffers are fixed" in found.reason


@pytest.mark.parametrize(
    ("congestion", "mtu", "bounds"),
    [
        ("cubic", 1500, (100882, 16781312)),
        ("bbr", 1500, (130475, 16781312)),
        ("cubic", 65536, (3415288, 16781312)),
        ("bbr", 65536, (5102084, 16781312)),
    ],
)
def test_the_published_echo_has_the_measured_bounds(congestion: str, mtu: int, bounds: tuple[int, int]) -> None:
    by_option = forecast(spec_of(SocketOptions(congestion=congestion)), both(PUBLISHED, mtu), CORE)
    by_sysctl = forecast(spec_of(), both(PUBLISHED | {"tcp_congestion_control": congestion}, mtu), CORE)
    assert low_high(by_option.client_accepted) == bounds
    assert by_sysctl == by_option
    assert by_option.client_accepted.point is None


@pytest.mark.parametrize(("mtu", "bounds"), [(1500, (76065, 21103616)), (65536, (3431508, 21103616))])
def test_the_published_upper_has_the_measured_bounds(mtu: int, bounds: tuple[int, int]) -> None:
    found = forecast(spec_of(send_size=16, block=1024), both(TODAY, mtu), CORE)
    assert low_high(found.client_accepted) == bounds
    assert "another stall" in found.reason


@pytest.mark.parametrize(
    ("mtu", "congestion", "initial"),
    [
        (1500, "cubic", 46080),
        (1500, "bbr", 69120),
        (9000, "reno", 332800),
        (9000, "bbr", 499200),
        (65536, "cubic", 2626560),
        (65536, "bbr", 3939840),
    ],
)
def test_the_first_send_buffer_is_not_the_sysctl(mtu: int, congestion: str, initial: int) -> None:
    assert initial_send_buffer(mtu=mtu, client=SocketOptions(congestion=congestion)) == initial


def test_the_first_send_buffer_is_the_same_over_ipv6() -> None:
    assert initial_send_buffer(ip=6) == 46080
    assert initial_send_buffer(ip=6, mtu=65536) == 2626560


def test_without_settings_loopback_has_its_own_mtu() -> None:
    known = forecast(spec_of(SocketOptions(1 << 20, 1 << 20)), both({}, 65536), CORE)
    guessed = forecast(spec_of(SocketOptions(1 << 20, 1 << 20), testbed="loopback"), Pair(None, None), CORE)
    assert guessed == known


def test_timestamps_change_how_full_a_segment_is() -> None:
    options = SocketOptions(1 << 20, 1 << 20)
    with_them = forecast(spec_of(options), both({}), CORE)
    without = forecast(spec_of(options), both({"tcp_timestamps": "0"}), CORE)
    assert without != with_them
    ratio = low_high(without.client_accepted)[0] / low_high(with_them.client_accepted)[0]
    assert 0.999 < ratio < 1.001


def test_a_point_needs_all_four_buffers_fixed() -> None:
    def point(sysctls: dict[str, str], options: SocketOptions = PLAIN) -> bool:
        return forecast(spec_of(options), both(sysctls), CORE).client_accepted.point is not None

    assert point(FIXED)
    assert point(TODAY | {"tcp_moderate_rcvbuf": "0", "tcp_wmem": FIXED["tcp_wmem"]})
    assert point({"tcp_wmem": FIXED["tcp_wmem"]}, SocketOptions(so_rcvbuf=8192))
    assert not point(TODAY)
    assert not point(TODAY | {"tcp_moderate_rcvbuf": "0"})
    assert not point(TODAY | {"tcp_wmem": FIXED["tcp_wmem"]})
    assert not point(TODAY, SocketOptions(so_rcvbuf=8192))


def test_the_reason_names_the_buffers_that_may_move() -> None:
    one_side: Pair[Settings | None] = Pair(Settings(TODAY, {}, 1500), Settings(FIXED, {}, 1500))
    reason = forecast(spec_of(SocketOptions(so_rcvbuf=65536)), one_side, CORE).reason
    assert reason == "no point, since not all four buffers are fixed: send buffers from 46080 up to 4194304 (tcp_wmem)"


def test_fixed_by_sysctl_is_as_good_as_by_option() -> None:
    by_sysctl = forecast(spec_of(), both(FIXED), CORE)
    by_option = forecast(spec_of(SocketOptions(65536, 65536)), both({}), CORE)
    assert by_sysctl == by_option


def test_the_cap_and_the_least_of_socket_options_are_the_kernels() -> None:
    def bounds(rcvbuf: int, sndbuf: int) -> Forecast:
        return forecast(spec_of(SocketOptions(rcvbuf, sndbuf)), both({}), CORE)

    assert bounds(0x7FFFFFFF, 0x7FFFFFFF) == bounds(4194304, 4194304)
    assert bounds(1, 1) == bounds(1152, 2304)
    assert bounds(1153, 2304) != bounds(1152, 2304)
    assert bounds(1152, 2305) != bounds(1152, 2304)
    assert bounds(4194304, 1).client_accepted.high == 2 * (2 * 4194304 + 4608 + 65536) + 4096


def test_an_unknown_cap_widens_the_bounds_and_takes_the_point() -> None:
    options = SocketOptions(65536, 65536)
    known, unknown = (forecast(spec_of(options), both({}), core) for core in (CORE, {}))
    for role in ("client_accepted", "server_processed"):
        sure, wide = getattr(known, role), getattr(unknown, role)
        assert wide.low < sure.low
        assert wide.high == sure.high
        assert wide.point is None
    assert "net.core.rmem_max is not known" in unknown.reason


def test_an_unknown_triple_leaves_no_bounds_and_is_named() -> None:
    client = Settings({"tcp_rmem": TODAY["tcp_rmem"]}, {}, 1500)
    found = forecast(spec_of(), Pair(client, None), CORE)
    assert found.client_accepted == found.server_processed == NOTHING
    assert found.reason == "no bounds without the server's tcp_rmem, the client's tcp_wmem, the server's tcp_wmem"
    assert in_words(found) == found.reason
    assert expected(spec_of(), found) == (Outcome.COMPLETED, Outcome.DEADLOCK)


def test_what_the_server_processes_depends_on_only_two_of_the_buffers() -> None:
    def server(client: SocketOptions, server: SocketOptions) -> Range:
        return forecast(spec_of(client, server), both({}), CORE).server_processed

    usual = server(SocketOptions(65536, 65536), SocketOptions(65536, 65536))
    assert server(SocketOptions(65536, 8192), SocketOptions(8192, 65536)) == usual
    assert server(SocketOptions(8192, 65536), SocketOptions(65536, 65536)) != usual
    assert server(SocketOptions(65536, 65536), SocketOptions(65536, 8192)) != usual


def test_descending_triples_of_the_kernel_are_read() -> None:
    found = forecast(spec_of(), both({"tcp_rmem": "4096 8192 512", "tcp_wmem": "4096 16384 8192"}), CORE)
    low, high = low_high(found.client_accepted)
    assert low < high


def test_a_scenario_that_cannot_freeze_has_no_bounds_and_its_own_outcome() -> None:
    spec = spec_of(freezes=False)
    found = forecast(spec, both(TODAY), CORE)
    assert found.client_accepted == found.server_processed == NOTHING
    assert expected(spec, found) == (Outcome.COMPLETED,)
    assert in_words(found) == "no amount of payload freezes scenario 'echo'"


@pytest.mark.parametrize(
    ("payload", "outcomes"),
    [
        (0, (Outcome.COMPLETED,)),
        (232448, (Outcome.COMPLETED,)),
        (232449, (Outcome.COMPLETED, Outcome.DEADLOCK)),
        (659456, (Outcome.COMPLETED, Outcome.DEADLOCK)),
        (659457, (Outcome.DEADLOCK,)),
    ],
)
def test_the_payload_in_whole_messages_decides_what_is_expected(payload: int, outcomes: tuple[Outcome, ...]) -> None:
    spec = spec_of(SocketOptions(65536, 65536), payload=payload)
    assert expected(spec, forecast(spec, both({}), CORE)) == outcomes


def test_in_words_gives_bounds_and_the_point_if_there_is_one() -> None:
    fixed = forecast(spec_of(SocketOptions(65536, 65536)), both({}), CORE)
    moving = forecast(spec_of(), both(PUBLISHED), CORE)
    assert in_words(fixed) == (
        "up to 232981 bytes this can never freeze; beyond 659456 it never completes; it should freeze near 501412"
    )
    assert in_words(moving) == "up to 100882 bytes this can never freeze; beyond 16781312 it never completes"


def test_buffers_are_forecast_like_the_settings_that_they_would_give() -> None:
    buffers = Buffers(Triple.parse("4096 128k 128k"), Triple.parse("4096 128k 128k"), {"tcp_timestamps": "1"})
    settings = tuned(Settings(TODAY, {}, 1500), buffers)
    assert settings.sysctls == FIXED | {"tcp_timestamps": "1"}
    assert tuned(settings, Buffers()) == settings


SIZES = st.integers(1, 1 << 24)
TRIPLES = st.lists(SIZES, min_size=3, max_size=3).map(lambda three: " ".join(str(size) for size in sorted(three)))
SYSCTLS = st.fixed_dictionaries(
    {"tcp_rmem": TRIPLES, "tcp_wmem": TRIPLES, "tcp_moderate_rcvbuf": st.sampled_from("01")}
)
OPTIONS = st.builds(
    SocketOptions,
    st.none() | SIZES,
    st.none() | SIZES,
    st.booleans(),
    st.sampled_from([None, "cubic", "bbr"]),
)


SIDES = st.builds(Settings, SYSCTLS, st.just({}), st.integers(1280, 65536))


@given(
    st.builds(Pair, OPTIONS, OPTIONS), st.builds(Pair, SIDES, SIDES), st.integers(1, 1 << 20), st.integers(1, 1 << 20)
)
def test_low_point_and_high_are_always_in_order(
    options: Pair[SocketOptions], settings: Pair[Settings | None], send_size: int, block: int
) -> None:
    spec = spec_of(options.client, options.server, send_size=send_size, block=block)
    found = forecast(spec, settings, CORE)
    for bounds in (found.client_accepted, found.server_processed):
        low, high = low_high(bounds)
        assert 0 <= low <= (low if bounds.point is None else bounds.point) <= high
    assert low_high(found.client_accepted)[0] >= low_high(found.server_processed)[0]
