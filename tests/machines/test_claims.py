"""Each rule that calls a window closed makes a claim of its own, and a rule without one condition claims more."""

from dataclasses import replace

import pytest

from lab.evidence import SocketSample
from lab.proof.stack.traits import KernelTraits
from machines.inside.claims import closed_by, closed_if_blind
from tests.proof.frozen_pair import client, earlier, server

BY_SCALE = KernelTraits(adv_win_scale_of={22: 1})
UNSEEN = server(rcv_wnd=None, window_clamp=4096, last_data_sent_ms=900)
ROOMY = replace(UNSEEN, rmem_alloc=4000)
"""Half of its buffer is free: every rule but that of an answered probe says that it may open."""
ASKED = client(backoff=1, last_data_sent_ms=900, last_ack_recv_ms=60)


def test_each_rule_that_holds_makes_its_claim() -> None:
    assert closed_by(client(), UNSEEN, KernelTraits()) == ("window-selection",)
    assert closed_by(client(), UNSEEN, BY_SCALE) == ("window-selection", "window-selection-by-scale")
    seen = replace(UNSEEN, earlier=earlier(UNSEEN, unchanged_ms=300))
    assert closed_by(ASKED, seen, BY_SCALE)[-1] == "answered-probe"
    assert closed_by(ASKED, replace(ROOMY, earlier=earlier(ROOMY, unchanged_ms=300)), BY_SCALE) == ("answered-probe",)


def test_a_window_that_is_told_is_claimed_by_its_own_rule() -> None:
    assert closed_by(client(), server(), KernelTraits()) == ("window-selection",)


@pytest.mark.parametrize(
    ("condition", "sender", "peer"),
    [
        ("what is free", client(), ROOMY),
        ("what is in flight", client(unacked=1, notsent_bytes=7264), UNSEEN),
        ("what is acknowledged", client(), replace(UNSEEN, bytes_received=9500)),
        ("the window heard of", client(snd_wnd=512), UNSEEN),
        ("the window heard of", client(snd_wnd=512), server(rcv_wnd=512)),
        ("a change of the buffer", ASKED, ROOMY),
        ("what is sent again", ASKED, replace(ROOMY, earlier=earlier(ROOMY, unchanged_ms=300), last_data_sent_ms=70)),
    ],
)
def test_without_one_condition_more_is_claimed(condition: str, sender: SocketSample, peer: SocketSample) -> None:
    assert closed_by(sender, peer, BY_SCALE) == ()
    assert closed_if_blind(condition, sender, peer, BY_SCALE)
