"""Plays on every testbed and with every option that bears on it: the outcome, the sums and the bounds must be right."""

import io
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lab import errors, forecast
from lab.evidence import CaptureCount, Evidence, Snapshot
from lab.experiment import play
from lab.kernel.capture.ring import LARGE_RING_SIZE
from lab.observer import Observer
from lab.proof.account import imbalances
from lab.proof.judge import judge
from lab.report import text
from lab.spec import CaptureMode, Limits, Outcome, Pair, Role, Spec, Until
from lab.tcp.segment import ControlBits
from lab.testbed import Site, catalogue
from lab.verdict import Verdict
from tests.commanded import lab
from tests.played import SQUEEZED, played, playing, segments, spec_of, specified, yielded
from tests.waiting import until

EXPECTED = {
    "upper": "deadlock",
    "echo": "deadlock",
    "healthy": "completed",
    "idle": "idle",
    "one-sided-stall": "one-sided-stall",
    "read-read": "read-read",
    "slow-reader": "slow-reader",
}


@pytest.mark.parametrize("testbed", ["netns", "loopback"])
@pytest.mark.parametrize("name", EXPECTED)
def test_every_scenario_has_its_own_outcome_on_both_places(name: str, testbed: str, tmp_path: Path) -> None:
    said = lab("run", name, "--testbed", testbed, "--format", "json", "--runs", tmp_path)
    assert said.code == 0, said.err
    assert said.json["outcome"] == EXPECTED[name]
    assert said.json["scenario"] == name
    assert said.json["testbed"] == testbed
    assert EXPECTED[name] in said.json["expected"]
    assert said.json["wire"]["dropped"] == 0
    assert said.json["missing"] == said.json["contradictions"] == []
    assert Path(said.json["run"]).is_dir()


def test_a_cut_in_whose_midst_a_probe_comes_in_is_not_the_last_one_of_a_proven_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that is awake for an instant could make it a pair that moves."""
    take = Observer.take
    spoilt: list[Snapshot] = []

    def disturbed(observer: Observer) -> Snapshot | None:
        snapshot = take(observer)
        if snapshot is not None and observer.probed() and len(spoilt) < 5:
            awake = tuple(replace(thread, state="R") for thread in snapshot.threads_after)
            snapshot = observer._latest = replace(snapshot, threads_after=awake)
            spoilt.append(snapshot)
        return snapshot

    monkeypatch.setattr(Observer, "take", disturbed)
    spec = specified("upper", **SQUEEZED)
    with catalogue()["netns"].site(spec) as site:
        *_, last = play(spec, site)
    assert len(spoilt) == 5
    frozen_well(last)


def frozen_well(evidence: Evidence) -> Verdict:
    """A deadlock on which the three witnesses agree, whose sums hold and whose figures the forecast foretold."""
    verdict = judge(evidence)
    assert verdict.outcome is Outcome.DEADLOCK, (verdict.missing, verdict.contradictions)
    assert (verdict.witnesses.program, verdict.witnesses.kernel) == ("agrees", "agrees")
    assert verdict.witnesses.wire in ("agrees", "silent"), "a starved side has its window open"
    figures = verdict.account
    assert imbalances(figures) == ()
    assert None not in (figures.client_accepted, figures.server_processed, figures.in_hand)
    spec, foretold = spec_of(evidence), verdict.forecast
    for seen, range_ in (
        (figures.client_accepted, foretold.client_accepted),
        (figures.server_processed, foretold.server_processed),
    ):
        assert range_.low is not None
        assert range_.high is not None
        assert seen is not None
        assert range_.low <= seen <= range_.high
    assert forecast.expected(spec, forecast.forecast(spec, evidence.settings, evidence.core)) == (Outcome.DEADLOCK,)
    assert all(verdict.wire.zero_windows[role] for role in Role)
    assert verdict.wire.dropped == 0
    return verdict


OPTIONS: dict[str, dict[str, Any]] = {
    "as published": {},
    "squeezed": SQUEEZED,
    "IPv6": {"ip": "6", **SQUEEZED},
    "jumbo frames": {"mtu": 9000},
    "an IPv6 link at its least": {"ip": "6", "mtu": 1280, **SQUEEZED},
    "socket options": {"so_rcvbuf": ("16k",), "so_sndbuf": ("16k",), "send_size": "512"},
    "one side's options": {"so_rcvbuf": ("client=8k", "server=32k"), "so_sndbuf": ("server=8k",), "send_size": "512"},
    "one side's sysctls": {
        "tcp_rmem": ("server=4096 16384 16384",),
        "tcp_wmem": ("client=4096 8192 8192",),
        "send_size": "512",
    },
    "nodelay": {"nodelay": ("1",), **SQUEEZED},
    "another port": {"port": 7, **SQUEEZED},
    "another net": {"net": "10.9.8", **SQUEEZED},
    "no timestamps, no sack": {"sysctl": ("tcp_timestamps=0", "tcp_sack=0"), **SQUEEZED},
    "until the proof": {"until": "proof", **SQUEEZED},
    "a full capture": {"capture": "full", **SQUEEZED},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_freeze_is_a_deadlock_whatever_the_options(name: str) -> None:
    frozen_well(played("upper", **OPTIONS[name]))


@pytest.mark.parametrize("name", ["upper", "echo"])
def test_on_loopback_the_sums_and_the_bounds_hold_too(name: str) -> None:
    frozen_well(played(name, "loopback"))


@pytest.mark.parametrize("options", [{}, {"ip": "6"}, {"so_rcvbuf": ("8k",), "so_sndbuf": ("8k",), "send_size": "512"}])
def test_loopback_takes_the_options_that_are_the_sockets_own(options: dict[str, Any]) -> None:
    frozen_well(played("upper", "loopback", **options))


def test_the_options_arrive() -> None:
    """Not only does it freeze: it does so with what was asked for."""
    tuned = played("upper", **OPTIONS["one side's sysctls"])
    client, server = tuned.settings
    assert client is not None
    assert server is not None
    assert server.sysctls["tcp_rmem"] == "4096 16384 16384"
    assert server.before["tcp_rmem"] == client.sysctls["tcp_rmem"] == client.before["tcp_rmem"]
    assert client.sysctls["tcp_wmem"] == "4096 8192 8192"
    asked = played("upper", **OPTIONS["one side's options"])
    assert [end.rcvbuf for end in asked.connected if end] == [2 * 8192, 2 * 32768]
    assert [end.sndbuf for end in asked.connected if end][1] == 2 * 8192
    jumbo = played("upper", **OPTIONS["jumbo frames"])
    assert [side.mtu for side in jumbo.settings if side] == [9000, 9000]
    sent = jumbo.snapshots[-1].sockets.client
    assert any(segment.length > 1500 for segment in segments(jumbo)) or (sent and sent.snd_mss > 8000)
    ported = played("upper", **OPTIONS["another port"])
    assert ported.connected.client is not None
    assert ported.connected.client.remote == "198.18.20.10:7"
    netted = played("upper", **OPTIONS["another net"])
    assert netted.connected.client is not None
    assert netted.connected.client.remote == "10.9.8.10:1060"


def test_the_first_frame_of_a_capture_is_the_first_syn() -> None:
    for evidence in (played("upper"), played("upper", "loopback"), played("upper", **OPTIONS["IPv6"])):
        first = segments(evidence)[0]
        assert first.bits & (ControlBits.SYN | ControlBits.ACK) == ControlBits.SYN
        assert evidence.connected.client is not None
        assert first.source == evidence.connected.client.local


def test_a_full_capture_has_the_data_that_a_proof_leaves_out() -> None:
    full, proof = played("upper", **OPTIONS["a full capture"]), played("upper", **SQUEEZED)
    assert spec_of(full).capture is CaptureMode.FULL
    data = [sum(s.length > 0 and s.wnd > 0 for s in segments(evidence)) for evidence in (full, proof)]
    assert data[0] > 0
    assert data[1] == 0


def test_a_capture_that_nobody_reads_loses_packets_and_the_verdict_says_so() -> None:
    """Two times the ring goes by; the pair is judged without the wire, which has seen the rest only."""
    spec = specified("healthy", payload="1t", capture="full", snaplen=65535)
    with catalogue()[spec.testbed].site(spec) as site, closing(play(spec, site)) as evidences:
        assert (next(evidences).capture or CaptureCount("", 0, 1)).dropped == 0
        until(lambda: (now := site.programs.server.progress()) and now.received >= 3 * LARGE_RING_SIZE)
        evidence = next(each for each in evidences if each.capture and each.capture.dropped)
    verdict = judge(evidence)
    assert verdict.outcome in (Outcome.MOVING, Outcome.SLOW_READER)
    assert verdict.witnesses.wire == "missing"
    assert evidence.capture is not None
    assert verdict.wire.dropped == evidence.capture.dropped
    shown = io.StringIO()
    text.show(verdict, evidence, None, (), stream=shown)
    assert f"not observed: {evidence.capture.dropped:,} packets that the capture dropped" in shown.getvalue()


def test_the_wire_shows_a_probe_of_each_side_unless_only_the_proof_was_asked_for() -> None:
    probes = judge(played("upper", **SQUEEZED)).wire.probes
    assert (probes.client or 0) > 0
    assert (probes.server or 0) > 0


@pytest.mark.parametrize("testbed", ["netns", "loopback"])
@pytest.mark.parametrize("name", ["upper", "echo"])
def test_a_payload_that_the_buffers_hold_completes(name: str, testbed: str) -> None:
    evidence = played(name, testbed, payload="32")
    assert judge(evidence).outcome is Outcome.COMPLETED
    assert [(end.sent, end.received, end.error) for end in evidence.ended if end] == [(32, 32, None)] * 2


def test_nothing_at_all_completes_too() -> None:
    assert judge(played("upper", payload="0")).outcome is Outcome.COMPLETED


def test_until_seconds_judges_then_whatever_it_does() -> None:
    evidence = played("healthy", until="0.2", payload="1g")
    assert evidence.ended == Pair(None, None)
    assert judge(evidence).outcome in (Outcome.MOVING, Outcome.SLOW_READER)
    assert 0.15e9 < evidence.seen_ns - evidence.started_ns < 2e9


def test_a_paced_client_is_slow_and_completes() -> None:
    evidence = played("upper", payload="160", paced="20ms")
    assert judge(evidence).outcome is Outcome.COMPLETED
    assert evidence.seen_ns - evidence.started_ns > 9 * 20e6


def test_a_run_that_moves_longer_than_its_limit_is_judged_as_it_is() -> None:
    spec = replace(specified("healthy", payload="1t"), limits=Limits(run_s=0.3))
    *_, last = playing(spec)
    assert judge(last).outcome in (Outcome.MOVING, Outcome.SLOW_READER)


def test_the_evidence_grows_and_the_last_is_the_whole() -> None:
    evidences = yielded("slow-reader")
    assert len(evidences) > 5
    for earlier, later in pairwise(evidences):
        assert earlier.wire.segments <= later.wire.segments
        assert earlier.wire.began == later.wire.began
        assert earlier.seen_ns < later.seen_ns
        numbers = [snapshot.number for snapshot in later.snapshots]
        assert numbers == sorted(set(numbers))


def test_two_at_once_do_not_see_each_other(tmp_path: Path) -> None:
    """On one loopback as well: nothing but their names tells them apart."""
    runs = [("upper", "netns"), ("read-read", "netns"), ("upper", "loopback"), ("idle", "loopback")]

    def run(which: tuple[str, str]) -> str:
        said = lab("run", which[0], "--testbed", which[1], "--format", "json", "--runs", tmp_path)
        assert said.code == 0, said.err
        assert said.json["missing"] == []
        return str(said.json["outcome"])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, runs)) == ["deadlock", "read-read", "deadlock", "idle"]


def child(site: Site, role: Role) -> int:
    host = site.programs[role].host_pid
    (child,) = Path(f"/proc/{host}/task/{host}/children").read_text().split()
    return int(child)


def interfered(spec: Spec, role: Role, number: signal.Signals, *, host: bool = False) -> Evidence:
    """The last evidence, after the program (or its host) has got a signal as soon as it is connected."""
    with catalogue()[spec.testbed].site(spec) as site:
        evidences = play(spec, site)
        last = next(evidences)
        os.kill(site.programs[role].host_pid if host else child(site, role), number)
        for evidence in evidences:
            last = evidence
    return last


@pytest.mark.parametrize("role", Role)
def test_a_stopped_program_is_suspended_and_no_deadlock(role: Role) -> None:
    spec = specified("healthy", payload="1t", until=Until.PROOF)
    verdict = judge(interfered(spec, role, signal.SIGSTOP))
    assert (verdict.outcome, verdict.grade) == (Outcome.SUSPENDED, None)


@pytest.mark.parametrize("testbed", ["netns", "loopback"])
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("host", [False, True])
def test_a_killed_program_breaks_the_run_off_and_is_named(testbed: str, role: Role, host: bool) -> None:
    spec = specified("upper", testbed)
    with pytest.raises(errors.TestbedError, match=rf"the {role}'s program (was killed by SIGKILL|went away)"):
        interfered(spec, role, signal.SIGKILL, host=host)


def test_a_port_that_is_taken_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(errors.TestbedError, match=f"EADDRINUSE: cannot bind to 127.0.0.1 port {port}"):
            list(playing(specified("upper", "loopback", port=port)))


def test_a_client_that_cannot_begin_is_said_at_once() -> None:
    with pytest.raises(errors.TestbedError, match=r"the client's program ended: ENOENT: cannot set congestion control"):
        list(playing(specified("upper", congestion=("client=nosuch",))))


def test_descriptors_and_threads_are_as_before() -> None:
    def once() -> None:
        list(playing(specified("upper", payload="32")))

    once()
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(5):
        once()
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before
