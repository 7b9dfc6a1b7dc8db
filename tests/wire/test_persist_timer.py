"""A persist timer is told from keep-alives by the gaps between its segments, and never on too few of them."""

import pytest

from lab.spec import Role
from lab.wire.packets import MAX_PROBES
from lab.wire.persist_timer import Probing, probing
from tests.wire.wire_flows import FROZEN, HANDSHAKE, exchange, stall


@pytest.mark.parametrize(
    ("times", "shows"),
    [
        ((), Probing.NONE),
        ((0.22,), Probing.UNSENT_DATA),
        ((3.0,), Probing.UNKNOWN),
        ((3.0, 6.1), Probing.UNKNOWN),
        ((1.03, 2.05, 3.07), Probing.KEEP_ALIVE),
        ((3.0, 6.1, 9.0), Probing.KEEP_ALIVE),
        ((3.0, 6.1, 12.3), Probing.UNSENT_DATA),
        ((3.0, 6.1, 9.0, 13.2), Probing.UNSENT_DATA),
        ((75.0, 150.0, 225.0), Probing.KEEP_ALIVE),
        ((120.0,), Probing.UNSENT_DATA),
    ],
    ids=str,
)
def test_what_probes_at_these_seconds_show(times: tuple[float, ...], shows: Probing) -> None:
    found = stall(FROZEN + exchange(*times))
    assert probing(found, Role.CLIENT) is shows
    assert probing(found, Role.SERVER) is shows


def test_data_sent_into_the_closed_window_shows_that_there_is_data() -> None:
    """At gaps at which 0 bytes would show nothing."""
    closed = f"{HANDSHAKE}0.010 > P. 1:401(400) ack 1 win 250\n0.011 < . 1:1(0) ack 1 win 0\n"
    again = closed + "3.0 > P. 1:401(400) ack 1 win 250\n3.1 < . 1:1(0) ack 1 win 0"
    assert probing(stall(again), Role.CLIENT) is Probing.UNSENT_DATA


def test_the_time_to_the_first_probe_counts_only_while_that_probe_is_kept() -> None:
    """After 20 keep-alives a minute apart, the first that is kept came 5 minutes after the last progress."""
    times = [60.0 * (1 + turn) for turn in range(MAX_PROBES + 4)]
    found = stall(FROZEN + exchange(*times))
    assert len(found.probes.client) == MAX_PROBES
    assert probing(found, Role.CLIENT) is Probing.KEEP_ALIVE
