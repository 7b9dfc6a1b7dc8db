"""Runs that were really played, once each for all tests that look at them: what the experiment yielded, as it did."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from lab.cli.wishes import Wish
from lab.evidence import Evidence
from lab.experiment import play
from lab.proof.verdict import judge
from lab.spec import Spec
from lab.store import Run
from lab.testbed import catalogue

SQUEEZED: dict[str, Any] = {"tcp_rmem": ("4096 8192 8192",), "tcp_wmem": ("4096 8192 8192",), "send_size": "1024"}
"""Buffers that fill at once. Messages of 128 bytes and more: with smaller ones another stall comes now and then."""


def wished(scenario: str = "upper", testbed: str = "netns", **flags: Any) -> Spec:  # noqa: ANN401 - those of `Wish`
    """A spec, made as the command line makes it."""
    return Wish(scenario=scenario, testbed=testbed, **flags).spec(testbed)


def playing(spec: Spec) -> Iterator[Evidence]:
    with catalogue()[spec.testbed].site(spec) as site:
        yield from play(spec, site)


@cache
def _yielded(scenario: str, testbed: str, flags: tuple[tuple[str, Any], ...]) -> tuple[Evidence, ...]:
    return tuple(playing(wished(scenario, testbed, **dict(flags))))


def yielded(scenario: str = "upper", testbed: str = "netns", **flags: Any) -> tuple[Evidence, ...]:  # noqa: ANN401
    """All that the experiment yielded; the last is the whole."""
    return _yielded(scenario, testbed, tuple(sorted(flags.items())))


def played(scenario: str = "upper", testbed: str = "netns", **flags: Any) -> Evidence:  # noqa: ANN401
    return yielded(scenario, testbed, **flags)[-1]


def frozen() -> Evidence:
    """The published freeze, with small buffers, looked at for so long that it is still as well as proven."""
    return played("upper", until="1.5", **SQUEEZED)


def recorded(runs: Path, evidences: tuple[Evidence, ...]) -> Path:
    """The run directory of it, written as `lab run` writes it."""
    run = Run.create(runs, evidences[-1].spec)
    for evidence in evidences:
        run.extend(evidence)
    verdict = judge(evidences[-1])
    run.finish(evidences[-1], verdict.seal_ns, {})
    run.write_verdict(verdict)
    return run.path
