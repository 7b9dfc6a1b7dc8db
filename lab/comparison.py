"""Plays a scenario without a remedy and then with each, and compares what became of it: `lab remedies`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lab import remedy
from lab.errors import SpecError
from lab.evidence import Evidence
from lab.experiment import play
from lab.forecast import Forecast, forecast
from lab.proof.account import fullest
from lab.proof.judge import judge
from lab.remedy import Remedy
from lab.remedy.trial import Trial, Tried, ladder
from lab.spec import Buffers, Limits, Outcome, Pair, Role, SocketOptions, Spec, Triple, Until
from lab.testbed import find

LIMITS = Limits(run_s=600.0)
"""A round trip a message makes a long run; a pair that stands still is judged as soon as ever."""

SIZES = Triple(4096, 131072, 131072)
ASKED = 48 << 10
"""Buffers where nobody asked for any: today's defaults grow to tens of MiB, and ten times that in 16-byte messages
would take an hour. All four are the same, and fixed; what the kernel makes of 48 KiB, 96, may grow fourfold under the
212992 bytes of rmem_max that most hosts have."""


@dataclass(frozen=True, slots=True)
class Plain:
    """The scenario without a remedy, as played."""

    spec: Spec
    trial: Trial
    forecast: Forecast


def bounded(spec: Spec) -> Spec:
    """With buffers of known sizes, unless there are some."""
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
    """Play it without a remedy. Raises SpecError where no forecast says what would freeze for certain."""
    played = replace(spec, until=Until.PROBES, limits=LIMITS)
    evidence = _played(played)
    seen = forecast(played, evidence.settings, evidence.core)
    if seen.client_accepted.high is None:
        raise SpecError(f"remedies are compared at a payload that must freeze, and it is not known: {seen.reason}")
    return Plain(played, _trial(evidence), seen)


def compared(without: Plain, names: Sequence[str] = ()) -> Iterator[Tried]:
    """Each remedy, or each of `names`: at a payload that must freeze, and at a much larger one if it does not."""
    for each in [remedy.find(name) for name in names] or remedy.catalogue().values():
        yield Tried(each, tuple(_trials(without, each)))


def _trials(without: Plain, each: Remedy) -> Iterator[Trial]:
    spec = each.to(without.spec)
    cliff = without.forecast.client_accepted.high
    assert cliff is not None
    moved = None
    for step in range(2):
        wanted = ladder(cliff, min(spec.scenario.load.payload, remedy.PAYLOAD), moved)[step]
        load = replace(spec.scenario.load, payload=wanted)
        evidence = _played(replace(spec, scenario=replace(spec.scenario, load=load)))
        moved = forecast(spec, evidence.settings, evidence.core).client_accepted.high
        trial = _trial(evidence)
        yield trial
        if trial.outcome is not Outcome.COMPLETED:
            return


def _played(spec: Spec) -> Evidence:
    with find(spec.testbed).site(spec) as site:
        *_, evidence = play(spec, site)
    return evidence


def _trial(evidence: Evidence) -> Trial:
    verdict = judge(evidence)
    began_ns = evidence.wire.began.time_ns if evidence.wire.began else evidence.started_ns
    ended = [end.time_ns for end in evidence.ended if end]
    until_ns = max(ended) if len(ended) == len(tuple(Role)) else evidence.seen_ns
    return Trial(
        payload=evidence.spec.scenario.load.payload,
        outcome=verdict.outcome,
        seconds=(until_ns - began_ns) / 1e9,
        memory=evidence.resident_growth,
        fullest=fullest(evidence),
        zero_windows=verdict.wire.zero_windows,
        errors=tuple(f"{end.role}: {end.error}" for end in evidence.ended if end and end.error),
        frozen=tuple(role for role in Role if not evidence.ended[role]),
    )
