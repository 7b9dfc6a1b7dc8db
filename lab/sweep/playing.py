"""Plays one point: an experiment of its own on the netns testbed, judged, with its forecast, as a row."""

import json
import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import fields, replace
from typing import Any

from lab.errors import LabError
from lab.evidence import Evidence
from lab.experiment import play
from lab.forecast import expected, forecast, most_buffered
from lab.proof.judge import judge
from lab.spec import Outcome, Role, Spec
from lab.sweep.grid import Point
from lab.sweep.row import Row
from lab.testbed import Site, find, netns

TICK_S = 0.04
"""Between two looks. Forty times the tick of `lab run`: the looks are what a point costs, and nobody waits for it."""


class Player:
    """Plays one point after the other between warm hosts. Belongs to the thread that made it: its hosts die with it."""

    def __init__(self) -> None:
        self._hosts = ExitStack()
        self._warm: Callable[[Spec], AbstractContextManager[Site]] | None = None

    def __enter__(self) -> "Player":
        return self

    def __exit__(self, *_: object) -> None:
        self._hosts.close()

    def play(self, point: Point) -> Row:
        """What became of it. Whatever goes wrong is in the row's `error`, and never raised."""
        started_ns, began = time.time_ns(), time.monotonic()
        known: dict[str, Any] = {}
        try:
            known = _of_evidence(point.spec, self._played(point))
        except LabError as error:
            known["error"] = str(error)
        except Exception as error:  # noqa: BLE001 - a point that fails is a row with its reason, never a crash
            known["error"] = f"a defect of the lab: {type(error).__name__}: {error}"
        if "error" in known:
            self._start_anew()
        return _row(point, started_ns, known | {"seconds": time.monotonic() - began})

    def _played(self, point: Point) -> Evidence:
        spec = replace(point.spec, limits=replace(point.spec.limits, tick_s=TICK_S))
        with self._site(point, spec) as site:
            *_, evidence = play(spec, site)
        return evidence

    def _site(self, point: Point, spec: Spec) -> AbstractContextManager[Site]:
        if point.host_global:
            return find("netns").site(spec)  # which takes the host's lock
        if self._warm is None:
            self._warm = self._hosts.enter_context(netns.warm())
        return self._warm(spec)

    def _start_anew(self) -> None:
        """A host may be what failed."""
        self._hosts.close()
        self._warm = None


def failed(point: Point, why: str) -> Row:
    """The row of a point that could not be played."""
    return _row(point, time.time_ns(), {"error": why})


def _row(point: Point, started_ns: int, known: dict[str, Any]) -> Row:
    columns: dict[str, Any] = dict.fromkeys(_COLUMNS) | _of_spec(point.spec) | known
    columns |= {
        "key": point.key,
        "settings": json.dumps(dict(point.settings)),
        "repetition": point.repetition,
        "started_ns": started_ns,
        "kernel": platform.release(),
        "host": platform.node(),
    }
    return Row(**columns)


_COLUMNS = [field.name for field in fields(Row)]


def _of_spec(spec: Spec) -> dict[str, Any]:
    """What is known of a point before it is played."""
    load = spec.scenario.load
    known: dict[str, Any] = {
        "scenario": spec.scenario.name,
        "remedy": spec.remedy,
        "payload": load.payload,
        "send_size": load.send_size,
        "recv_size": load.recv_size,
        "server_block": load.server_block,
        "paced_s": load.paced_s,
        "ip": spec.ip,
        "mtu": spec.mtu,
    }
    for role in Role:
        options, buffers = spec.options[role], spec.buffers[role]
        known |= {
            f"{role}_nodelay": options.nodelay,
            f"{role}_congestion": options.congestion,
            f"{role}_so_rcvbuf": options.so_rcvbuf,
            f"{role}_so_sndbuf": options.so_sndbuf,
            f"{role}_tcp_rmem": str(buffers.tcp_rmem) if buffers.tcp_rmem else None,
            f"{role}_tcp_wmem": str(buffers.tcp_wmem) if buffers.tcp_wmem else None,
        }
    return known


def _of_evidence(spec: Spec, evidence: Evidence) -> dict[str, Any]:
    """What was seen, the verdict on it, and what the forecast had said."""
    verdict = judge(evidence)
    seen = forecast(spec, evidence.settings, evidence.core)
    may_be = expected(spec, seen)
    known: dict[str, Any] = {
        "outcome": verdict.outcome.value,
        "grade": verdict.grade and verdict.grade.value,
        "expected": " or ".join(may_be),
        "as_expected": verdict.outcome in may_be if _is_foretold(spec, verdict.outcome) else None,
        "client_accepted": verdict.account.client_accepted,
        "server_processed": verdict.account.server_processed,
        "seal_ns": verdict.seal_ns,
        "proved_ns": verdict.proved_ns,
        "buffers_most": most_buffered(spec, evidence.settings, evidence.core),
    }
    for name, bounds in (("client_accepted", seen.client_accepted), ("server_processed", seen.server_processed)):
        known |= {f"{name}_low": bounds.low, f"{name}_point": bounds.point, f"{name}_high": bounds.high}
    for role in Role:
        known |= _of_side(spec, evidence, role)
    return known


def _is_foretold(spec: Spec, outcome: Outcome) -> bool:
    """Whether the forecast says yes or no to it: of scenarios that freeze it knows no other end than these two."""
    ends = (Outcome.COMPLETED, spec.scenario.expected)
    return outcome in ends if spec.scenario.freezes else outcome is not Outcome.INCONCLUSIVE


def _of_side(spec: Spec, evidence: Evidence, role: Role) -> dict[str, Any]:
    settings = evidence.settings[role]
    last = evidence.snapshots[-1].sockets[role] if evidence.snapshots else None
    said = last or evidence.connected[role]
    known: dict[str, Any] = {f"{role}_rcvbuf": said and said.rcvbuf, f"{role}_sndbuf": said and said.sndbuf}
    if settings is not None:
        sysctls = settings.sysctls
        own = spec.options[role].congestion
        known |= {f"{role}_{key}": sysctls.get(key) for key in ("tcp_rmem", "tcp_wmem")}
        known |= {f"{role}_congestion": own or sysctls.get("tcp_congestion_control"), "mtu": settings.mtu}
    return known
