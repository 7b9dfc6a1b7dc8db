"""A ruling: only a `NO` excludes, and only what excludes has an argument and premises."""

from collections.abc import Callable

import pytest

from lab.evidence import SocketSample
from lab.proof.premises import BY_ID
from lab.proof.stack import could_read, could_receive_data, could_signal_writable, could_write
from lab.proof.stack.ruling import Possible, Ruling, end_of, unknown, yes
from lab.reason import Reason, Why
from tests.proof.frozen_pair import EMPTY, client, server
from tests.proof.stack.test_silly_window import FRAGMENT, TAKER


def test_what_is_possible_and_what_is_unknown_exclude_nothing() -> None:
    reason = Reason(Why.WINDOW_OPEN, ("it", 1))
    assert yes(Why.WINDOW_OPEN, "it", 1) == Ruling(Possible.YES, reason)
    assert unknown(Why.WINDOW_OPEN, "it", 1) == Ruling(Possible.UNKNOWN, reason)
    assert [Ruling(each, reason).excluded for each in Possible] == [True, False, False]


def test_an_end_is_called_by_its_address_and_its_inode() -> None:
    assert end_of(server()) == "198.18.20.10:1060 (socket:22)"


PAIRS = [
    (client(), server()),
    (client(**EMPTY), server(**EMPTY)),
    (client(rcv_wnd=None), server(rcv_wnd=None)),
    (client(snd_wnd=None), server()),
    (client(), server(rmem_alloc=4000)),
    (client(wmem_queued=5568), server()),
    (client(state="FIN-WAIT-1"), server()),
    (client(**FRAGMENT | {"sndbuf": 2_000_000, "wmem_queued": 2_000_000}), server(**TAKER)),
]


@pytest.mark.parametrize(("here", "there"), PAIRS)
@pytest.mark.parametrize("rule", [could_write, could_read, could_receive_data, could_signal_writable])
def test_only_what_excludes_has_an_argument_and_premises_of_the_table(
    rule: Callable[[SocketSample, SocketSample], Ruling], here: SocketSample, there: SocketSample
) -> None:
    found = rule(here, there)
    assert (found.argument is not None) is found.excluded
    assert set(found.premises) <= BY_ID.keys()
    if not found.excluded:
        assert (found.premises, found.qualifiers, found.queue_full) == ((), (), False)
