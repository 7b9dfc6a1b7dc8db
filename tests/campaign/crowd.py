"""Several labs at once on one machine: each sees its own pair only, and judges it correctly."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import store
from lab.evidence import Evidence
from lab.pcap.connections import judge_capture
from tests.commanded import ROOT, environment

END_S = 120.0
SQUEEZED = ("--tcp-rmem", "4096 8192 8192", "--tcp-wmem", "4096 8192 8192", "--send-size", "1024")
OPTIONS = ("--so-rcvbuf", "8192", "--so-sndbuf", "8192", "--send-size", "1024")
PLAYS = {"upper": "deadlock", "echo": "deadlock", "read-read": "read-read", "one-sided-stall": "one-sided-stall"}
"""What is played in turn, and its only correct outcome."""


@dataclass(frozen=True, slots=True)
class Lab:
    testbed: str
    scenario: str
    net: str

    def command(self, runs: Path) -> list[str]:
        buffers = OPTIONS if self.testbed == "loopback" else SQUEEZED
        words = [sys.executable, "-m", "lab", "run", self.scenario, "--testbed", self.testbed, "--net", self.net]
        return [*words, *buffers, "--until", "probes", "--format", "json", "--runs", str(runs)]


def crowd(testbeds: Sequence[str], net: str) -> list[Lab]:
    """One lab for each testbed, with the scenarios in turn. Each has a LAB_NET of its own, from `net` upwards."""
    head, _, last = net.rpartition(".")
    scenarios = list(PLAYS)
    return [
        Lab(testbed, scenarios[number % len(scenarios)], f"{head}.{int(last) + number}")
        for number, testbed in enumerate(testbeds)
    ]


def played_together(labs: Sequence[Lab], runs: Path) -> list[dict[str, Any]]:
    """The document of each lab, all started at once. Raises AssertionError if one has none."""
    started = [
        subprocess.Popen(
            lab.command(runs),
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for lab in labs
    ]
    try:
        said = [each.communicate(timeout=END_S) for each in started]
    finally:
        for each in started:
            if each.poll() is None:
                each.kill()
                each.wait()
    for lab, process, (out, err) in zip(labs, started, said, strict=True):
        assert out, (lab, process.returncode, err)
    return [json.loads(out) for out, _ in said]


def wrong(labs: Sequence[Lab], told: Sequence[dict[str, Any]]) -> list[str]:
    """Every wrong verdict, and every sign that one lab saw another's pair."""
    found = []
    programs: Counter[int] = Counter()
    for lab, verdict in zip(labs, told, strict=True):
        if verdict["outcome"] != PLAYS[lab.scenario] or verdict["contradictions"]:
            found.append(f"{lab}: {verdict['outcome']} ({verdict['grade']}), {verdict['contradictions']}")
        evidence = store.load(Path(verdict["run"]))
        programs.update(_programs(evidence))
        found += [f"{lab}: has captured {each}" for each in _strangers(evidence, Path(verdict["run"], store.WIRE))]
    found += [f"process {pid} is in the evidence of {times} labs" for pid, times in programs.items() if times > 1]
    return found


def _programs(evidence: Evidence) -> set[int]:
    return {thread.pid for snapshot in evidence.snapshots for thread in snapshot.threads_after}


def _strangers(evidence: Evidence, capture: Path) -> set[str]:
    """Captured connections other than the pair's, as `client > server`."""
    ends = evidence.connected.client
    assert ends is not None
    ours = {(ends.local, ends.remote), (ends.remote, ends.local)}
    judged = judge_capture(capture, lambda *_: None)
    seen = {(each.verdict.client, each.verdict.server) for each in (*judged.stalled, *judged.others)}
    return {f"{source} > {destination}" for source, destination in seen - ours}
