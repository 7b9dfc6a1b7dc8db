"""Plays a scenario without a remedy and then with each remedy, and compares the outcomes: `lab remedies`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lab import remedy
from lab.errors import SpecError
from lab.forecast import Forecast
from lab.playing import Played, play_and_judge
from lab.proof.account import fullest
from lab.remedy import Remedy
from lab.remedy.trial import RemedyResult, Trial, ladder
from lab.spec import Buffers, Limits, Outcome, Pair, Role, SocketOptions, Spec, Triple, Until

LIMITS = Limits(run_s=600.0)
"""One round trip per message makes a long run. A pair that stands still is judged as soon as in other runs."""

SIZES = Triple(4096, 131072, 131072)
ASKED = 48 << 10
"""Buffers if none were asked for. Today's defaults grow to tens of MiB, and ten times that in 16-byte messages would
take an hour. All four are the same, and fixed. The kernel makes 96 KiB of 48; four times 48 still fits under the 212992
bytes of rmem_max that most hosts have."""


@dataclass(frozen=True, slots=True)
class Plain:
    """The run without a remedy."""

    spec: Spec
    trial: Trial
    forecast: Forecast


def bounded(spec: Spec) -> Spec:
    """The spec with buffers of known sizes, where it has none."""
    if spec.testbed == "loopback":
        asked = SocketOptions(so_rcvbuf=ASKED, so_sndbuf=ASKED)
        return replace(spec, options=Pair(*(_fill(options, asked) for options in spec.options)))
    return replace(spec, buffers=Pair(*(_sized(spec.buffers[role], spec.options[role]) for role in Role)))


def _fill(options: SocketOptions, asked: SocketOptions) -> SocketOptions:
    return replace(
        options, so_rcvbuf=options.so_rcvbuf or asked.so_rcvbuf, so_sndbuf=options.so_sndbuf or asked.so_sndbuf
    )


def _sized(buffers: Buffers, options: SocketOptions) -> Buffers:
    return replace(
        buffers,
        tcp_rmem=buffers.tcp_rmem or (None if options.so_rcvbuf else SIZES),
        tcp_wmem=buffers.tcp_wmem or (None if options.so_sndbuf else SIZES),
    )


def plain(spec: Spec) -> Plain:
    """Play it without a remedy. Raises SpecError if no forecast says which payload must freeze."""
    played = play_and_judge(replace(spec, until=Until.PROBES, limits=LIMITS))
    foretold = played.verdict.forecast
    if foretold.client_accepted.high is None:
        raise SpecError(f"remedies are compared at a payload that must freeze, and it is not known: {foretold.reason}")
    return Plain(played.spec, _trial(played), foretold)


def compared(without: Plain, names: Sequence[str] = ()) -> Iterator[RemedyResult]:
    """Play each remedy, or each of `names`: at a payload that must freeze, and if it completes at a much larger one."""
    for each in [remedy.find(name) for name in names] or remedy.catalogue().values():
        yield RemedyResult(each, tuple(_trials(without, each)))


def _trials(without: Plain, each: Remedy) -> Iterator[Trial]:
    spec = each.to(without.spec)
    cliff = without.forecast.client_accepted.high
    assert cliff is not None
    moved = None
    for step in range(2):
        wanted = ladder(cliff, min(spec.scenario.load.payload, remedy.PAYLOAD), moved)[step]
        load = replace(spec.scenario.load, payload=wanted)
        played = play_and_judge(replace(spec, scenario=replace(spec.scenario, load=load)))
        moved = played.verdict.forecast.client_accepted.high
        trial = _trial(played)
        yield trial
        if trial.outcome is not Outcome.COMPLETED:
            return


def _trial(played: Played) -> Trial:
    evidence, verdict = played.evidence, played.verdict
    began_ns = evidence.wire.began.time_ns if evidence.wire.began else evidence.started_ns
    ended = [end.time_ns for end in evidence.ended if end]
    until_ns = max(ended) if len(ended) == len(tuple(Role)) else evidence.seen_ns
    return Trial(
        payload=played.spec.scenario.load.payload,
        outcome=verdict.outcome,
        seconds=(until_ns - began_ns) / 1e9,
        memory=evidence.resident_growth,
        fullest=fullest(evidence),
        zero_windows=verdict.wire.zero_windows,
        errors=tuple(f"{end.role}: {end.error}" for end in evidence.ended if end and end.error),
        frozen=tuple(role for role in Role if not evidence.ended[role]),
    )
