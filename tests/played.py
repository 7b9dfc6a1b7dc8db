"""Runs that were really played, once each for all tests that look at them: what the experiment yielded, as it did."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lab.cli.options import specify
from lab.evidence import Evidence
from lab.experiment import play
from lab.observer import Record
from lab.proof.judge import judge
from lab.report.contract import as_contract
from lab.spec import Spec
from lab.store import Run
from lab.tcp.frame import Frame, dissect
from lab.tcp.segment import Segment
from lab.testbed import catalogue

SQUEEZED: dict[str, Any] = {"tcp_rmem": ("4096 8192 8192",), "tcp_wmem": ("4096 8192 8192",), "send_size": "1024"}
"""Buffers that fill at once. Messages of 128 bytes and more: with smaller ones another stall comes now and then."""


def specified(scenario: str = "upper", testbed: str = "netns", **flags: Any) -> Spec:  # noqa: ANN401 - texts
    """A spec, made as the command line makes it."""
    texts = {name: ";".join(value) if isinstance(value, tuple) else str(value) for name, value in flags.items()}
    return specify({"scenario": scenario} | texts, testbed)


def playing(spec: Spec, record: Record | None = None) -> Iterator[Evidence]:
    with catalogue()[spec.testbed].site(spec) as site:
        yield from play(spec, site, record)


Taped = tuple[str, Sequence[Frame], Mapping[int, str]]

_TAPES: dict[int, list[Taped]] = {}
"""What was captured in each play, by the instant at which it started."""


def taped(playing: Callable[[Record], Iterable[Evidence]]) -> tuple[Evidence, ...]:
    """All that a play yields; what is captured meanwhile is kept for `recorded`."""
    tape: list[Taped] = []
    evidences = tuple(playing(lambda *each: tape.append(each)))
    _TAPES[evidences[-1].started_ns] = tape
    return evidences


@cache
def _yielded(scenario: str, testbed: str, flags: tuple[tuple[str, Any], ...]) -> tuple[Evidence, ...]:
    return taped(lambda record: playing(specified(scenario, testbed, **dict(flags)), record))


def yielded(scenario: str = "upper", testbed: str = "netns", **flags: Any) -> tuple[Evidence, ...]:  # noqa: ANN401
    """All that the experiment yielded; the last is the whole."""
    return _yielded(scenario, testbed, tuple(sorted(flags.items())))


def played(scenario: str = "upper", testbed: str = "netns", **flags: Any) -> Evidence:  # noqa: ANN401
    return yielded(scenario, testbed, **flags)[-1]


def frozen() -> Evidence:
    """The published freeze, with small buffers, looked at for so long that it is still as well as proven."""
    return played("upper", until="1.5", **SQUEEZED)


def spec_of(evidence: Evidence) -> Spec:
    """What was planned: every run that was played has it."""
    assert evidence.spec is not None
    return evidence.spec


def frames(evidence: Evidence) -> list[Frame]:
    """All that were captured of it."""
    return [frame for _, some, _ in _TAPES[evidence.started_ns] for frame in some]


def segments(evidence: Evidence) -> list[Segment]:
    return [segment for segment in map(dissect, frames(evidence)) if segment]


def keep(run: Run, evidences: tuple[Evidence, ...]) -> None:
    """What `lab run` gives to the run directory while it plays; all that was captured, first of all.

    Evidence that was made by hand has an empty file.
    """
    for each in _TAPES.get(evidences[0].started_ns, [("eth0", (), {})]):
        run.record(*each)
    for evidence in evidences:
        run.extend(evidence)


def recorded(runs: Path, evidences: tuple[Evidence, ...]) -> Path:
    """The run directory of it, written as `lab run` writes it."""
    run = Run.create(runs, spec_of(evidences[-1]))
    keep(run, evidences)
    run.finish(evidences[-1], as_contract(judge(evidences[-1])), {})
    return run.path
