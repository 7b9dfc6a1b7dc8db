"""Plays a spec on its testbed and judges what was seen: the one way from a spec to a verdict."""

import importlib.util
import os
import platform
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from lab.errors import StoreError
from lab.evidence import Evidence
from lab.experiment import play
from lab.forecast import expected
from lab.proof.judge import judge
from lab.report.contract import as_contract
from lab.spec import Outcome, Spec
from lab.store import Run
from lab.testbed import Site, find
from lab.verdict import Verdict

PACKAGES = ("scapy", "pyroute2", "docker", "msgspec")
"""A run's manifest has their versions."""


@dataclass(frozen=True, slots=True)
class Played:
    """One run: what was seen, the verdict on it, and what the forecast allowed."""

    spec: Spec
    evidence: Evidence
    verdict: Verdict
    expected: tuple[Outcome, ...]
    """The outcomes that the forecast allows: one, or two if the payload lies between its bounds."""
    run: Path | None
    """The run directory, if one was asked for."""
    unkept: StoreError | None
    """What the run directory lacks, if the disk was full. The verdict was made from memory, of all that was seen."""


def play_and_judge(
    spec: Spec,
    *,
    site: Site | None = None,
    runs: Path | None = None,
    on_progress: Callable[[Evidence], object] | None = None,
) -> Played:
    """Play the spec on its testbed, or on `site`, which the caller has set up and takes down.

    A run directory is written into the folder `runs`, if one is given. `on_progress` gets the evidence so far, about
    ten times a second.
    """
    with nullcontext(site) if site else find(spec.testbed).site(spec) as place:
        run = Run.create(runs, spec) if runs else None
        evidence = _observed(spec, place, run, on_progress)
        verdict = judge(evidence)
        unkept = None
        try:
            if run:
                run.finish(evidence, as_contract(verdict), _host(place.notes))
        except StoreError as error:
            unkept = error
    return Played(spec, evidence, verdict, expected(spec, verdict.forecast), run.path if run else None, unkept)


def _observed(spec: Spec, site: Site, run: Run | None, on_progress: Callable[[Evidence], object] | None) -> Evidence:
    """The whole evidence of one run."""
    evidence = None
    try:
        for evidence in play(spec, site, run.record if run else None):
            if on_progress:
                on_progress(evidence)
            if run:
                run.extend(evidence)
    except BaseException:
        # Interrupted, or the testbed broke away: what was seen until then can still be judged.
        if run and evidence is None:
            run.discard()
        elif run and evidence:
            run.finish(evidence, None, _host(site.notes))
        raise
    assert evidence is not None, "the last evidence is always yielded"
    return evidence


def _host(notes: Mapping[str, str]) -> dict[str, str]:
    """What a reader of the manifest asks: which kernel, which versions."""
    found = {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "system": platform.version(),
        "python": platform.python_version(),
        "clock": "CLOCK_REALTIME, nanoseconds since the epoch",
        "uid": str(os.getuid()),
    }
    return found | _versions() | dict(notes)


def _versions() -> dict[str, str]:
    """Read from the names of the .dist-info folders: importlib.metadata takes 40 ms for it."""
    package = importlib.util.find_spec("msgspec")
    assert package is not None
    assert package.origin is not None
    folders = os.listdir(Path(package.origin).parent.parent)
    named = (folder.removesuffix(".dist-info").partition("-") for folder in folders if folder.endswith(".dist-info"))
    return {name.lower(): number for name, _, number in named if name.lower() in PACKAGES}
