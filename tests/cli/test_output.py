"""The JSON contract from values: every key, null for what is unknown, and buffers as they last were."""

import json
from dataclasses import replace
from pathlib import Path

from lab.cli.output import connections_json, document, run_json
from lab.evidence import WireFacts
from lab.proof.judge import judge
from lab.spec import Outcome, Pair
from tests.played import SQUEEZED, frozen, played


def test_a_document_is_json_that_a_person_can_read() -> None:
    assert (
        document({"a": [1], "b": None, "c": Outcome.IDLE}) == '{\n  "a": [\n    1\n  ],\n  "b": null,\n  "c": "idle"\n}'
    )


def test_the_buffers_are_those_of_the_last_sample_else_those_that_the_program_told() -> None:
    evidence = frozen()
    said = json.loads(run_json(judge(evidence), evidence, Path("runs/x"), (Outcome.DEADLOCK, Outcome.COMPLETED)))
    assert said["buffers"] == {"client": {"rcvbuf": 8192, "sndbuf": 8192}, "server": {"rcvbuf": 8192, "sndbuf": 8192}}
    assert said["expected"] == ["deadlock", "completed"]
    assert said["run"] == "runs/x"
    early = replace(evidence, snapshots=())
    assert evidence.connected.client is not None
    said = json.loads(run_json(judge(early), early, Path("runs/x"), ()))
    assert said["buffers"]["client"]["rcvbuf"] == evidence.connected.client.rcvbuf
    earlier = replace(early, connected=Pair(None, None))
    said = json.loads(run_json(judge(earlier), earlier, Path("runs/x"), ()))
    assert said["buffers"] == {"client": {"rcvbuf": None, "sndbuf": None}, "server": {"rcvbuf": None, "sndbuf": None}}


def test_nothing_seen_is_null_throughout() -> None:
    nothing = replace(
        played("idle"),
        snapshots=(),
        wire=WireFacts(),
        capture=None,
        connected=Pair(None, None),
        settings=Pair(None, None),
    )
    (said,) = json.loads(connections_json([(None, judge(nothing))], []))["connections"]
    assert said["path"] is said["client"] is said["seal_ns"] is said["age_s"] is said["wire"]["frames"] is None
    assert set(said["account"].values()) == {None}
    assert said["outcome"] == "inconclusive"


def test_connections_and_errors_stand_side_by_side() -> None:
    said = json.loads(connections_json([("a", judge(played("upper", **SQUEEZED)))], [("b", "no such file")]))
    assert [each["path"] for each in said["connections"]] == ["a"]
    assert said["errors"] == [{"path": "b", "message": "no such file"}]
