"""The JSON contract: one document on stdout, every key always there, unknown is null."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from lab.evidence import Evidence, SocketSample
from lab.report.escape import encodable, escaped_json
from lab.spec import Outcome, Role
from lab.verdict import Verdict

if TYPE_CHECKING:  # of other commands than `run`, which is in a hurry
    from lab.remedy.trial import Trial, Tried
    from lab.wire.stalls import Judged

FURTHER = ("since_ns", "until_ns", "ended", "evidence", "marks", "chain")
"""Keys of `judge` beyond the verdict's: what of `Judged` is for the reader."""


def document(value: object) -> str:
    return escaped_json(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def run_json(verdict: Verdict, evidence: Evidence, run: Path, expected: tuple[Outcome, ...]) -> str:
    """The verdict with what a run adds to it."""
    values: dict[str, Any] = msgspec.to_builtins(verdict)
    assert evidence.spec is not None, "a run has a spec"
    return document(
        values
        | {
            "scenario": evidence.spec.scenario.name,
            "expected": expected,
            "testbed": evidence.spec.testbed,
            "run": encodable(str(run)),
            "buffers": {role: _buffers(evidence, role) for role in Role},
        }
    )


def _buffers(evidence: Evidence, role: Role) -> dict[str, int | None]:
    """The effective sizes: of the last sample, since autotuning moves them; else what the program said."""
    last: SocketSample | None = evidence.snapshots[-1].sockets[role] if evidence.snapshots else None
    said = last or evidence.connected[role]
    return {"rcvbuf": said.rcvbuf if said else None, "sndbuf": said.sndbuf if said else None}


def connections_json(
    verdicts: list[tuple[str | None, Verdict]], errors: list[tuple[str, str]], *, lines: bool = False
) -> str:
    """The contract of `watch`; with `lines` on one line, as a live watch prints them."""
    value = {
        "connections": [_path(path) | msgspec.to_builtins(verdict) for path, verdict in verdicts],
        "errors": _errors(errors),
    }
    return escaped_json(msgspec.json.encode(value).decode()) if lines else document(value)


def _path(path: str | None) -> dict[str, str | None]:
    return {"path": path and encodable(path)}


def _errors(errors: Sequence[tuple[str, str]]) -> list[dict[str, str | None]]:
    return [_path(path) | {"message": encodable(message)} for path, message in errors]


def remedies_json(without: "Trial", tried: "Sequence[Tried]") -> str:
    """The contract of `remedies`; each remedy is told by the run that decided, and `runs` has all."""
    return document({"without": _trial(without), "remedies": [_remedy(each, tried) for each in tried]})


def _remedy(each: "Tried", tried: "Sequence[Tried]") -> dict[str, Any]:
    from lab.remedy.trial import relative_speed  # noqa: PLC0415

    told = {
        "remedy": each.remedy.name,
        "class": each.effect,
        "expected_class": each.remedy.expected,
        "changes": each.remedy.changes,
        "relative_speed": relative_speed(each, tried),
        "cliff": None if each.last.outcome is Outcome.COMPLETED else each.last.fullest.client_accepted,
    }
    return told | _trial(each.last) | {"runs": [_trial(trial) for trial in each.trials]}


def _trial(trial: "Trial") -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(trial)
    return values | {"bytes_per_s": trial.bytes_per_s}


class Connections:
    """The contract of `judge`, written as it comes, a connection a line: there may be very many.

    From packets there is more to tell, in the further keys; they are null for a run.
    """

    def __init__(self) -> None:
        self._between = '{"connections": ['

    def add(self, path: str | None, verdict: Verdict, story: "Judged | None") -> None:
        further = {name: getattr(story, name, None) for name in FURTHER}
        pieces = (msgspec.json.encode(_path(path)), msgspec.json.encode(verdict), msgspec.json.encode(further))
        joined = ",".join(escaped_json(piece.decode())[1:-1] for piece in pieces)
        click.echo(f"{self._between}\n  {{{joined}}}", nl=False)
        self._between = ","

    def close(self, errors: list[tuple[str, str]]) -> None:
        told = escaped_json(msgspec.json.encode(_errors(errors)).decode())
        start = "" if self._between == "," else self._between
        click.echo(f'{start}\n], "errors": {told}}}')
