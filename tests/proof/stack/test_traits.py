"""What the kernel beside the sockets decides."""

import pytest

from lab.proof.stack import could_write
from lab.proof.stack.ruling import Ends
from lab.proof.stack.traits import KernelTraits, gives_up
from tests.proof.frozen_pair import client, server


@pytest.mark.parametrize(
    ("ends", "early"),
    [
        ([], False), ([{}, {}], False), ([{}, {"tcp_retries2": "1"}], True), ([{"tcp_retries2": "2"}, {}], False),
        ([{"tcp_retries2": "5"}, {"tcp_invalid_ratelimit": "60000"}], True),
        ([{"tcp_retries2": "15"}, {"tcp_invalid_ratelimit": "60000"}], False),
        ([{"tcp_invalid_ratelimit": "3000", "tcp_rto_max_ms": "1000"}, {}], True),
    ],
)  # fmt: skip
def test_few_retries_may_be_over_before_a_probe_is_answered(ends: list[dict[str, str]], early: bool) -> None:
    assert gives_up(*ends) is early
    assert could_write(client(), server(), KernelTraits(gives_up=early)).ends is (
        Ends.BY_TCP_RETRIES2 if early else Ends.NEVER
    )
