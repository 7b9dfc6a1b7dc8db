"""Ends whose peer is on another host: samples are kept while nothing moves, and a probe is waited for."""

from dataclasses import replace
from typing import Any

from lab.evidence import SocketSample
from lab.kernel.sockets.sock_diag import Located, TcpEntry
from lab.proof.one_end import peer_probes
from lab.spec import Pair, Role
from lab.watching.connections import WatchedConnection
from lab.watching.evidence import TwiceSampled
from lab.watching.lone_ends import MAX_SAMPLES, LoneEnds
from tests.proof.frozen_pair import EMPTY, MS, client

FIRST = client(segs_in=40, last_data_recv_ms=60_000, last_ack_recv_ms=900)


class Answers:
    """Each sample is 20 ms later; with the third a segment comes."""

    def __init__(self, comes_with: int = 3) -> None:
        self.asked, self._comes_with = 0, comes_with

    def sample(self, *_: object) -> SocketSample:
        self.asked += 1
        return after(310 + 20 * self.asked, came=self.asked >= self._comes_with)


def after(ms: int, **facts: Any) -> SocketSample:  # noqa: ANN401
    came = facts.pop("came", False)
    at = {"time_ns": FIRST.time_ns + ms * MS, "last_ack_recv_ms": 900 + ms, "segs_in": 40 + came}
    return replace(FIRST, **at, **facts)


def sampled(diag: Any, first: SocketSample, second: SocketSample) -> TwiceSampled:  # noqa: ANN401
    end = Located(diag, TcpEntry(first.inode, first.cookie, first.local, first.remote, listens=False))
    return TwiceSampled(WatchedConnection(Pair(end, None), "guessed"), Pair(first, None), Pair(second, None))


def test_a_probe_is_waited_for_and_no_longer() -> None:
    diag, ends = Answers(), LoneEnds()
    one = sampled(diag, FIRST, after(310))
    ends.follow([one], patience_s=60)
    assert diag.asked == 3
    assert peer_probes(ends.before(one)).count == 1


def test_without_patience_nobody_waits() -> None:
    diag, ends = Answers(), LoneEnds()
    ends.follow([sampled(diag, FIRST, after(310))], patience_s=0)
    assert diag.asked == 0


def test_nobody_waits_for_a_probe_that_decides_nothing() -> None:
    diag, ends = Answers(), LoneEnds()
    one = sampled(diag, replace(FIRST, **EMPTY), after(310, **EMPTY))
    ends.follow([one], patience_s=60)
    assert (diag.asked, ends.before(one)) == (0, ())


def test_a_standstill_is_followed_from_round_to_round() -> None:
    ends = LoneEnds()
    ends.follow([sampled(None, FIRST, after(310))], patience_s=0)
    one = sampled(None, after(9000), after(9310, came=True))
    ends.follow([one], patience_s=0)
    kept = ends.before(one)
    assert kept[0] == FIRST
    assert kept[-1] == after(9310, came=True)
    assert peer_probes(kept).count == 1


def test_what_moves_begins_anew() -> None:
    ends = LoneEnds()
    ends.follow([sampled(None, FIRST, after(310))], patience_s=0)
    moved = {"bytes_acked": FIRST.bytes_acked + 1}
    one = sampled(None, after(9000, **moved), after(9310, **moved))
    ends.follow([one], patience_s=0)
    assert [each.time_ns for each in ends.before(one)] == [FIRST.time_ns + ms * MS for ms in (9000, 9310)]


def test_little_is_kept_however_long_it_stands() -> None:
    ends, one = LoneEnds(), sampled(None, FIRST, after(310))
    for number in range(1, 3 * MAX_SAMPLES):
        here, there = (replace(after(1000 * number + ms), segs_in=40 + number) for ms in (0, 310))
        one = sampled(None, here, there)
        ends.follow([one], patience_s=0)
    assert len(ends.before(one)) <= MAX_SAMPLES + 1
    assert [each.role for each in ends.before(one)] == [Role.CLIENT] * len(ends.before(one))
