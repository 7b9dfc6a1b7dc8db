"""Follows connections of which this host has one end, where a probe of the peer would decide (`lab.proof.one_end`)."""

import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from lab.evidence import SocketSample
from lab.proof.one_end import awaits_probe, peer_probes
from lab.spec import Role

if TYPE_CHECKING:
    from lab.watching.evidence import TwiceSampled

POLL_S = 0.02
"""Two probes of our own are never so close (TCP_RTO_MIN): what comes in between can be told from their answers."""
MAX_SAMPLES, MAX_ENDS = 64, 64
"""Kept of one end; and ends that are waited for."""


class LoneEnds:
    """Keeps samples of each end while nothing moves on it, from one round to the next."""

    def __init__(self) -> None:
        self._kept: dict[int, list[SocketSample]] = {}
        """By cookie, in their order: the first of the standstill, and those around each segment that came."""

    def follow(self, sampled: Iterable["TwiceSampled"], patience_s: float) -> None:
        """Take in one round; then wait for so long, or until each peer has probed or had to."""
        lone = [each for each in sampled if not all(each.connection.ends)]
        known, self._kept = self._kept, {}
        for each in lone:
            first, second = ([end for end in sockets if end] for sockets in (each.first, each.second))
            if first and second and awaits_probe(second[0]):
                self._kept[second[0].cookie] = _still([*known.get(second[0].cookie, []), *first, *second])
        end = time.monotonic() + patience_s
        waited_for = [each for each in lone if self._is_open(each)][:MAX_ENDS]
        while waited_for and time.monotonic() < end:
            time.sleep(POLL_S)
            for each in waited_for:
                self._sample(each)
            waited_for = [each for each in waited_for if self._is_open(each)]

    def before(self, sampled: "TwiceSampled") -> Sequence[SocketSample]:
        """All that is kept of the only end, the last sample included; nothing where no probe would decide."""
        last = next((end for end in sampled.second if end), None)
        return self._kept.get(last.cookie, ()) if last else ()

    def _is_open(self, sampled: "TwiceSampled") -> bool:
        kept = self.before(sampled)
        if not kept or not awaits_probe(kept[-1]):
            return False
        probes = peer_probes(kept)
        return not probes.count and probes.for_s < probes.next_within_s

    def _sample(self, sampled: "TwiceSampled") -> None:
        role, end = next((role, end) for role in Role if (end := sampled.connection.ends[role]))
        entry = end.entry
        now = end.diag.sample(role, entry.local, entry.remote, entry.cookie, entry.interface)
        if now:
            self._kept[entry.cookie] = _still([*self._kept[entry.cookie], now])


def _still(samples: Sequence[SocketSample]) -> list[SocketSample]:
    """Of samples in their order those of the present standstill that matter."""
    last = samples[-1]
    now = last.app_progress, last.tcp_progress
    since = [each for each in samples if (each.app_progress, each.tcp_progress) == now]
    kept = since[:1]
    for before, each in pairwise(since):
        if each.segs_in != before.segs_in:
            kept += [before, each]
    unique = {id(each): each for each in (*kept, last)}
    ordered = list(unique.values())
    return [ordered[0], *ordered[1:][-MAX_SAMPLES:]]
