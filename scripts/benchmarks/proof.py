"""How long after the seal the proof stands, beside the anchor in the same runs: one probe of each side on the wire."""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from lab import store
from lab.evidence import Event
from lab.spec import Role
from lab.tcp.connection import PROBES

ROOT = Path(__file__).resolve().parent.parent.parent
SQUEEZED = ["--tcp-rmem", "4096 8192 8192", "--tcp-wmem", "4096 8192 8192"]
CASES = {
    "upper": ["upper"],
    "upper, squeezed": ["upper", *SQUEEZED],
    "echo": ["echo"],
    "echo, squeezed": ["echo", *SQUEEZED],
}


def main(arguments: list[str]) -> int:
    """`scripts/bench proof [TIMES]`: milliseconds from the seal, of TIMES (20) runs; 1 if one was not proven."""
    times = int(arguments[0]) if arguments else 20
    print(f"{'ms after the seal':18}{'proof: median':>14}{'least':>8}{'most':>8}{'probes: median':>16}{'x':>8}  proven")
    unproven = 0
    for name, flags in CASES.items():
        runs = [_milliseconds(flags) for _ in range(times)]
        proofs = [proof for proof, _ in runs if proof is not None]
        probes = [probe for _, probe in runs if probe is not None]
        unproven += times - len(proofs)
        proof, probe = statistics.median(proofs), statistics.median(probes)
        figures = f"{proof:14.1f}{min(proofs):8.1f}{max(proofs):8.1f}{probe:16.1f}{probe / max(proof, 0.1):8.1f}"
        print(f"{name:18}{figures}  {len(proofs)} of {times}", flush=True)
    return 1 if unproven else 0


def _milliseconds(flags: list[str]) -> tuple[float | None, float | None]:
    """From the seal to the proof, and to the later of both sides' first probes."""
    with TemporaryDirectory() as folder:
        command = [str(ROOT / "scripts/lab"), "run", "--format", "json", "--runs", folder, *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            print(*command, done.returncode, done.stdout, done.stderr, sep="\n", file=sys.stderr)
            return None, None
        verdict = json.loads(done.stdout)
        evidence = store.load(Path(verdict["run"]))
    seal_ns = verdict["seal_ns"]
    first = [_first_probe_ns(evidence.wire.events, role, seal_ns) for role in Role]
    probed = [each for each in first if each is not None]
    proved_ns = verdict["proved_ns"]
    return (
        None if proved_ns is None else (proved_ns - seal_ns) / 1e6,
        (max(probed) - seal_ns) / 1e6 if len(probed) == len(first) else None,
    )


def _first_probe_ns(events: Iterable[Event], role: Role, seal_ns: int) -> int | None:
    times = (e.moment.time_ns for e in events if e.role is role and e.kind in PROBES and e.moment.time_ns > seal_ns)
    return next(times, None)
