"""Plays one point on the netns testbed, judges it, and makes a row of the verdict and the forecast."""

import json
import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import fields, replace
from typing import Any

from lab.errors import LabError
from lab.evidence import Evidence
from lab.forecast import most_buffered
from lab.playing import Played, play_and_judge
from lab.spec import Outcome, Role, Spec
from lab.sweep.grid import Point
from lab.sweep.row import Row
from lab.testbed import Site, find, netns

TICK_S = 0.04
"""Between two samples, forty times that of `lab run`: samples are most of a point's cost, and nobody waits for it."""


class Player:
    """Plays one point after the other between the same two hosts, which die with the thread that made it."""

    def __init__(self) -> None:
        self._hosts = ExitStack()
        self._warm: Callable[[Spec], AbstractContextManager[Site]] | None = None

    def __enter__(self) -> "Player":
        return self

    def __exit__(self, *_: object) -> None:
        self._hosts.close()

    def play(self, point: Point) -> Row:
        """The row of the point. An error stands in the row, and is never raised."""
        started_ns, began = time.time_ns(), time.monotonic()
        known: dict[str, Any] = {}
        try:
            known = _of_run(self._played(point))
        except LabError as error:
            known["error"] = str(error)
        except Exception as error:  # noqa: BLE001 - a point that fails is a row with its reason, never a crash
            known["error"] = f"a defect of the lab: {type(error).__name__}: {error}"
        if "error" in known:
            self._renew_hosts()
        return _row(point, started_ns, known | {"seconds": time.monotonic() - began})

    def _played(self, point: Point) -> Played:
        spec = replace(point.spec, limits=replace(point.spec.limits, tick_s=TICK_S))
        with self._site(point, spec) as site:
            return play_and_judge(spec, site=site)

    def _site(self, point: Point, spec: Spec) -> AbstractContextManager[Site]:
        if point.host_global:
            return find("netns").site(spec)  # it takes the lock on the host's settings
        if self._warm is None:
            self._warm = self._hosts.enter_context(netns.warm())
        return self._warm(spec)

    def _renew_hosts(self) -> None:
        """Take new hosts for the next point: one of these may have failed."""
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
    """The columns that are known before the point is played."""
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


def _of_run(played: Played) -> dict[str, Any]:
    """The columns of the verdict, the forecast and the last sample."""
    spec, evidence, verdict, foretold = played.spec, played.evidence, played.verdict, played.verdict.forecast
    known: dict[str, Any] = {
        "outcome": verdict.outcome.value,
        "grade": verdict.grade and verdict.grade.value,
        "expected": " or ".join(played.expected),
        "as_expected": verdict.outcome in played.expected if _is_foretold(spec, verdict.outcome) else None,
        "client_accepted": verdict.account.client_accepted,
        "server_processed": verdict.account.server_processed,
        "seal_ns": verdict.seal_ns,
        "proved_ns": verdict.proved_ns,
        "buffers_most": most_buffered(spec, evidence.settings, evidence.core),
    }
    for name, bounds in (
        ("client_accepted", foretold.client_accepted),
        ("server_processed", foretold.server_processed),
    ):
        known |= {f"{name}_low": bounds.low, f"{name}_point": bounds.point, f"{name}_high": bounds.high}
    for role in Role:
        known |= _of_side(spec, evidence, role)
    return known


def _is_foretold(spec: Spec, outcome: Outcome) -> bool:
    """Whether the forecast speaks of this outcome: for a scenario that freezes it knows only two."""
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
