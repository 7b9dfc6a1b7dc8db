"""Every remedy is found, names programs that there are, and is a pure function from scenario to scenario."""

import re
from dataclasses import replace

import pytest

from lab import remedy, scenario
from lab.endpoint import job
from lab.errors import SpecError
from lab.remedy import Effect, Remedy
from lab.spec import Buffers, Outcome, Pair, SocketOptions, Spec, Triple

ALL = remedy.catalogue()
FREEZING = [each for each in scenario.catalogue().values() if each.freezes]
UPPER = scenario.find("upper")


def test_the_catalogue_has_the_twelve() -> None:
    assert list(ALL) == [
        "alternate",
        "asyncio-streams",
        "bigger-buffers",
        "credit",
        "half-close-first",
        "nonblocking-naive",
        "selectors",
        "send-less",
        "send-timeout",
        "server-spools",
        "threads",
        "user-timeout",
    ]


def test_every_behaviour_is_named_by_a_scenario_or_a_remedy() -> None:
    plays = [*scenario.catalogue().values(), *(each.on(frozen) for each in ALL.values() for frozen in FREEZING)]
    assert {play.server for play in plays} == set(job.behaviours("server"))
    assert {play.client for play in plays} == set(job.behaviours("client"))


@pytest.mark.parametrize("each", ALL.values(), ids=ALL)
def test_a_remedy_names_programs_that_exist_and_keeps_the_load(each: Remedy) -> None:
    for frozen in FREEZING:
        played = each.on(frozen)
        assert played.server in job.behaviours("server")
        assert played.client in job.behaviours("client")
        assert played.load == frozen.load
        assert each.on(frozen) == played, "pure"


@pytest.mark.parametrize("each", ALL.values(), ids=ALL)
def test_a_remedy_changes_one_thing(each: Remedy) -> None:
    played = each.on(UPPER)
    changed = {"client", "server", "buffers"} & {
        name for name in ("client", "server", "buffers") if getattr(played, name) != getattr(UPPER, name)
    }
    assert len(changed) == 1


@pytest.mark.parametrize("each", ALL.values(), ids=ALL)
def test_what_is_expected_of_a_run_follows_from_the_class(each: Remedy) -> None:
    may_be = {
        Effect.CURES: Outcome.COMPLETED,
        Effect.MOVES: Outcome.DEADLOCK,
        Effect.ABORTS: Outcome.ABORTED,
        Effect.HIDES: Outcome.LIVELOCK,
    }
    played = each.on(UPPER)
    assert played.expected is may_be[each.expected]
    assert played.freezes is (each.expected is not Effect.CURES)


@pytest.mark.parametrize("each", ALL.values(), ids=ALL)
def test_a_remedy_fits_a_list_of_one_line_each(each: Remedy) -> None:
    assert re.fullmatch("[a-z]+(-[a-z]+)*", each.name)
    assert 20 < len(each.summary) < 90
    assert each.changes
    assert "\n" not in each.summary + each.changes


def test_there_is_nothing_to_cure_where_nothing_freezes() -> None:
    with pytest.raises(SpecError, match="'idle' does not freeze"):
        ALL["threads"].on(scenario.find("idle"))


def test_an_unknown_name_is_told_what_there_is() -> None:
    with pytest.raises(SpecError, match="there are alternate, asyncio-streams, bigger-buffers"):
        remedy.find("prayer")


def test_bigger_buffers_start_from_what_was_asked_for_on_each_side() -> None:
    small, large = Triple(4096, 8192, 16384), Triple(4096, 65536, 65536)
    asked = Pair(Buffers(tcp_rmem=small), Buffers(tcp_rmem=large, other={"tcp_sack": "0"}))
    spec = ALL["bigger-buffers"].to(Spec(UPPER, "netns", buffers=asked))
    assert spec.buffers.client.tcp_rmem == Triple(4096, 65536, 65536)
    assert spec.buffers.server.tcp_rmem == Triple(4096, 262144, 262144)
    assert spec.buffers.client.tcp_wmem == Triple(4096, 16 << 20, 16 << 20)
    assert spec.buffers.server.other == {"tcp_sack": "0"}
    assert spec.remedy == "bigger-buffers"


def test_bigger_buffers_multiply_socket_options_and_never_touch_the_sysctls_of_loopback() -> None:
    both = SocketOptions(so_rcvbuf=10_000, so_sndbuf=20_000)
    spec = ALL["bigger-buffers"].to(Spec(UPPER, "loopback", options=Pair(both, replace(both, nodelay=True))))
    assert spec.options.client == SocketOptions(so_rcvbuf=40_000, so_sndbuf=80_000)
    assert spec.options.server.nodelay
    assert spec.buffers == Pair(Buffers(), Buffers())
    with pytest.raises(SpecError, match="--so-rcvbuf 48KiB"):
        ALL["bigger-buffers"].to(Spec(UPPER, "loopback"))


def test_other_remedies_leave_the_buffers_alone() -> None:
    asked = Pair(Buffers(tcp_rmem=Triple(4096, 8192, 8192)), Buffers())
    assert ALL["threads"].to(Spec(UPPER, "netns", buffers=asked)).buffers == asked
