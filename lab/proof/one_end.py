"""What one end of a connection shows, where nobody on this host can look at the other: never a proof.

The peer's program is unseen, its kernel is not: it acknowledges, advertises a window, and probes a closed window while
it has data to send. A probe raises tcpi_segs_in and leaves tcpi_last_ack_recv as it is, for it lies below RCV.NXT and
never reaches tcp_ack(); an answer to a probe of our own resets it (measured on Linux 5.10, 6.1, 6.12, 6.18 and
7.2).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab.evidence import SocketSample
from lab.proof.stack import is_silent
from lab.proof.stack.traits import RTO_MIN_MS
from lab.reason import Reason, Why, because
from lab.spec import Outcome
from lab.tcp.address import port
from lab.verdict import Diagnosis, PeerProbes

RTO_MAX_MS = 120_000
"""TCP_RTO_MAX: probes are never further apart."""

TIMESTAMPS_AND_IP = 24
"""From an MSS to the payload of a ping that fills the same packet: timestamps, TCP and IP headers, less ICMP's."""


@dataclass(frozen=True, slots=True)
class OneEnd:
    """An outcome, what shows it, and the fact that is missing for another."""

    outcome: Outcome
    diagnosis: Diagnosis | None = None
    missing: tuple[Reason, ...] = ()


def kind_of_one_end(end: SocketSample, probes: PeerProbes) -> OneEnd:
    """Of an end that stands still, by its last sample and by the `probes` of its peer."""
    if is_silent(end) and end.rcv_wnd == 0 and end.state != "SYN-SENT":
        return _undecided(Reason(Why.LOST_OR_DROPPED))
    if is_silent(end):
        summary, further = silence(end)
        return OneEnd(Outcome.BLACKHOLE, _there(end, summary, *further))
    if end.state == "SYN-SENT":
        return _undecided(because(Why.SYN_UNDER_WAY, end.remote))
    if end.wqueue and end.snd_wnd != 0:
        return _undecided(because(Why.NOT_YET_ANSWERED, end.wqueue, end.remote))
    if end.wqueue:
        return _held(end, probes)
    return _silent_reader(end, probes) if may_be_closed(end) else OneEnd(Outcome.IDLE)


def may_be_closed(end: SocketSample) -> bool:
    """Whether it may offer no window. Below Linux 6.2 nothing tells, but that an empty buffer is open."""
    return end.rqueue > 0 and not end.rcv_wnd


def awaits_probe(end: SocketSample) -> bool:
    """Whether it matters if the peer probes: then both windows are closed, or its data waits for our program."""
    return may_be_closed(end) and not is_silent(end) and (end.wqueue == 0 or end.snd_wnd == 0)


def peer_probes(samples: Sequence[SocketSample]) -> PeerProbes:
    """Counted over samples of one end, in their order."""
    first, last = samples[0], samples[-1]
    since_ms = RTO_MAX_MS if first.last_data_recv_ms is None else min(first.last_data_recv_ms, RTO_MAX_MS)
    return PeerProbes(
        count=sum(_unasked(*each) for each in pairwise(samples)),
        for_s=(last.time_ns - first.time_ns) / 1e9,
        next_within_s=since_ms / 1000 + first.rto_us / 1e6,
    )


def _unasked(before: SocketSample, after: SocketSample) -> int:
    """Segments between two samples that were no answer. At most one was, if no two probes of ours fit in between."""
    if before.segs_in is None or after.segs_in is None:
        return 0
    came = after.segs_in - before.segs_in
    answered = _heard_ms(after) - _heard_ms(before) > CLOCK_MS
    one_answer = after.time_ns - before.time_ns < RTO_MIN_MS * 1_000_000
    return came - (1 if one_answer else came) if answered else came


def _heard_ms(sample: SocketSample) -> int:
    """When the last acknowledgment came, on the clock of the samples."""
    return sample.time_ns // 1_000_000 - sample.last_ack_recv_ms


CLOCK_MS = 20
"""What two samples say of one instant may differ by so much: tcpi_last_ack_recv counts jiffies, of 10 ms at HZ=100."""


def _held(end: SocketSample, probes: PeerProbes) -> OneEnd:
    """It has data to send, and the peer's window is closed: by the last acknowledgment that came."""
    if may_be_closed(end) and probes.count:
        summary = because(Why.BOTH_KERNELS_STUCK, end.rqueue, end.wqueue, probes.count)
        return OneEnd(Outcome.DEADLOCK, _there(end, summary))
    if may_be_closed(end) and not _is_overdue(probes):
        return _undecided(because(Why.PROBE_NOT_DUE, probes.next_within_s - probes.for_s, end.remote))
    return OneEnd(Outcome.ONE_SIDED_STALL, _there(end, because(Why.FAR_DOES_NOT_READ, end.remote, end.wqueue)))


def _silent_reader(end: SocketSample, probes: PeerProbes) -> OneEnd:
    """It has nothing to send, unread data and perhaps a closed window."""
    if probes.count:
        summary = because(Why.NEAR_DOES_NOT_READ, end.rqueue, end.local, probes.count)
        return OneEnd(Outcome.ONE_SIDED_STALL, Diagnosis(summary, (because(Why.SEE_ITS_PROGRAM, port(end.local)),)))
    if not _is_overdue(probes):
        return _undecided(because(Why.PROBE_NOT_DUE, probes.next_within_s - probes.for_s, end.remote))
    return OneEnd(Outcome.IDLE)


def _is_overdue(probes: PeerProbes) -> bool:
    return probes.for_s >= probes.next_within_s


def silence(end: SocketSample) -> tuple[Reason, tuple[Reason, ...]]:
    """Of an end whose segments are not answered: what is known of them, and how to find out where they are lost."""
    tries = max(end.backoff, end.probes)
    if end.state == "SYN-SENT":
        return because(Why.SYN_NOT_ANSWERED, end.remote, tries), ()
    lost = because(Why.NOTHING_ANSWERED, end.remote, end.wqueue, tries, end.last_ack_recv_ms / 1000)
    if end.wqueue >= end.snd_mss > end.bytes_acked:
        host = end.remote.rpartition(":")[0].strip("[]")
        return because(Why.FULL_SEGMENTS_LOST, lost, end.snd_mss), (
            because(Why.TRY_PING, end.snd_mss + TIMESTAMPS_AND_IP, host),
        )
    return lost, ()


def _undecided(missing: Reason) -> OneEnd:
    return OneEnd(Outcome.INCONCLUSIVE, missing=(missing,))


def _there(end: SocketSample, summary: Reason, *further: Reason) -> Diagnosis:
    return Diagnosis(summary, (*further, because(Why.LOOK_THERE, end.remote, port(end.remote), port(end.local))))


def ends_seen(sockets: Iterable[SocketSample | None]) -> str | None:
    """`both`, or the role of the only one; None if there is none."""
    seen = [each for each in sockets if each]
    if len(seen) == 1:
        return str(seen[0].role)
    return "both" if seen else None
