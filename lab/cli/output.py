"""The JSON contract: one document on standard output; every key is present, and unknown is null."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from lab.evidence import Evidence, SocketSample
from lab.report.contract import as_contract
from lab.report.escape import encodable, escaped_json
from lab.report.knots import numbered
from lab.spec import Outcome, Role
from lab.verdict import Verdict

if TYPE_CHECKING:  # only for other commands than `run`, whose start is timed
    from lab.remedy.trial import RemedyResult, Trial
    from lab.wire.judge import PacketJudgement

FURTHER = ("since_ns", "until_ns", "ended", "evidence", "marks", "chain")
"""Further keys of `lab judge`, for captures: fields of `PacketJudgement`."""


def document(value: object) -> str:
    return escaped_json(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _line(value: object) -> str:
    return escaped_json(msgspec.json.encode(value).decode())


def run_json(verdict: Verdict, evidence: Evidence, run: Path, expected: tuple[Outcome, ...]) -> str:
    """The verdict with what a run adds to it."""
    assert evidence.spec is not None, "a run has a spec"
    return document(
        as_contract(verdict)
        | {
            "scenario": evidence.spec.scenario.name,
            "expected": expected,
            "testbed": evidence.spec.testbed,
            "run": encodable(str(run)),
            "buffers": {role: _buffers(evidence, role) for role in Role},
        }
    )


def _buffers(evidence: Evidence, role: Role) -> dict[str, int | None]:
    """The effective sizes: of the last sample, since autotuning changes them; else what the program reported."""
    last: SocketSample | None = evidence.snapshots[-1].sockets[role] if evidence.snapshots else None
    said = last or evidence.connected[role]
    return {"rcvbuf": said.rcvbuf if said else None, "sndbuf": said.sndbuf if said else None}


def connections_json(
    verdicts: list[tuple[str | None, Verdict]], errors: list[tuple[str, str]], *, lines: bool = False
) -> str:
    """The contract of `watch`. With `lines` the document is one line, as a live watch prints it."""
    value = _connections(verdicts, errors)
    return _line(value) if lines else document(value)


def log_line(verdicts: Sequence[Verdict]) -> str:
    """The document of a live watch, with the time of writing."""
    return _line({"time_ns": time.time_ns()} | _connections([(None, verdict) for verdict in verdicts], []))


def _connections(verdicts: list[tuple[str | None, Verdict]], errors: list[tuple[str, str]]) -> dict[str, Any]:
    ids, knots = numbered([verdict for _, verdict in verdicts])
    return {
        "connections": [
            _path(path) | as_contract(verdict) | {"knot": knot}
            for (path, verdict), knot in zip(verdicts, ids, strict=True)
        ],
        "knots": knots,
        "errors": _errors(errors),
    }


def _path(path: str | None) -> dict[str, str | None]:
    return {"path": path and encodable(path)}


def _errors(errors: Sequence[tuple[str, str]]) -> list[dict[str, str | None]]:
    return [_path(path) | {"message": encodable(message)} for path, message in errors]


def remedies_json(without: "Trial", tried: "Sequence[RemedyResult]") -> str:
    """The contract of `remedies`. The keys of a remedy are those of its deciding run; `runs` has all of them."""
    return document({"without": _trial(without), "remedies": [_remedy(each, tried) for each in tried]})


def _remedy(each: "RemedyResult", tried: "Sequence[RemedyResult]") -> dict[str, Any]:
    from lab.remedy.trial import relative_speed  # noqa: PLC0415

    values = {
        "remedy": each.remedy.name,
        "class": each.effect,
        "expected_class": each.remedy.expected,
        "changes": each.remedy.changes,
        "relative_speed": relative_speed(each, tried),
        "cliff": None if each.last.outcome is Outcome.COMPLETED else each.last.fullest.client_accepted,
    }
    return values | _trial(each.last) | {"runs": [_trial(trial) for trial in each.trials]}


def _trial(trial: "Trial") -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(trial)
    return values | {"bytes_per_s": trial.bytes_per_s}


class Connections:
    """The contract of `judge`, written one connection a line as each is judged: there may be very many.

    The further keys are for captures; for a run they are null.
    """

    def __init__(self) -> None:
        self._between = '{"connections": ['

    def add(self, path: str | None, verdict: Verdict, story: "PacketJudgement | None") -> None:
        further = {name: getattr(story, name, None) for name in FURTHER}
        pieces = (
            msgspec.json.encode(_path(path)),
            msgspec.json.encode(as_contract(verdict)),
            msgspec.json.encode(further),
        )
        joined = ",".join(escaped_json(piece.decode())[1:-1] for piece in pieces)
        click.echo(f"{self._between}\n  {{{joined}}}", nl=False)
        self._between = ","

    def close(self, errors: list[tuple[str, str]]) -> None:
        listed = escaped_json(msgspec.json.encode(_errors(errors)).decode())
        start = "" if self._between == "," else self._between
        click.echo(f'{start}\n], "errors": {listed}}}')
