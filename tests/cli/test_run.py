"""`lab run` as a person starts it: the contract's keys, the contract's codes, and a run directory."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lab import errors
from lab.cli import app
from lab.spec import Spec
from lab.testbed import Site, Startup, loopback
from tests.commanded import below, ending, lab, small_disk, started
from tests.waiting import LIMIT_S, until

KEYS = [
    *("outcome", "grade", "client", "server", "roles", "seal_ns", "proved_ns", "holds_until_ns", "age_s", "witnesses"),
    *("cycle", "tail", "live", "qualifiers", "missing", "contradictions", "account", "wire", "forecast"),
    *("seen", "last_data", "peer_probes", "diagnosis", "premises"),
    *("scenario", "expected", "testbed", "run", "buffers"),
]


def test_the_document_has_every_key_and_what_is_unknown_is_null(tmp_path: Path) -> None:
    for arguments in (["--payload", "32"], ["idle"], ["upper"]):
        said = lab("run", *arguments, "--until", "proof", "--format", "json", "--runs", tmp_path)
        assert (said.code, said.err) == (0, "")
        assert list(said.json) == KEYS
        assert list(said.json["account"]) == [
            *("client_accepted", "client_send_queue", "server_receive_queue", "server_processed"),
            *("in_hand", "server_send_queue", "client_receive_queue", "client_processed"),
        ]
        assert list(said.json["wire"]) == ["frames", "dropped", "zero_windows", "probes", "first_zero_window_ns"]
        for each in ("zero_windows", "probes", "first_zero_window_ns"):
            assert list(said.json["wire"][each]) == ["client", "server"]
        assert list(said.json["buffers"]) == ["client", "server"]
        for each in ("client_accepted", "server_processed"):
            assert list(said.json["forecast"][each]) == ["low", "point", "high"]
        for edge in said.json["cycle"]:
            assert list(edge) == ["waiter", "waits_for", "holder", "witnesses"]


def test_what_does_not_apply_is_null_and_never_0(tmp_path: Path) -> None:
    said = lab("run", "idle", "--format", "json", "--runs", tmp_path)
    assert said.json["forecast"]["client_accepted"] == {"low": None, "point": None, "high": None}
    assert said.json["wire"]["first_zero_window_ns"] == {"client": None, "server": None}
    assert said.json["wire"]["zero_windows"] == {"client": 0, "server": 0}
    assert said.json["grade"] is None


@pytest.mark.parametrize(
    ("arguments", "outcome", "code"),
    [
        (["upper", "--payload", "32"], "completed", 0),
        (["upper", "--payload", "32", "--expect", "deadlock"], "completed", 1),
        (["upper", "--payload", "32", "--expect", "completed"], "completed", 0),
        (["upper", "--until", "proof"], "deadlock", 0),
        (["upper", "--until", "proof", "--expect", "completed"], "deadlock", 1),
        (["upper", "--until", "2"], "deadlock", 0),
        (["read-read", "--expect", "deadlock"], "read-read", 1),
        (["healthy", "--payload", "1g", "--until", "0.2"], ("moving", "slow-reader"), 1),
    ],
)
def test_the_code_says_whether_it_came_as_expected(
    arguments: list[str], outcome: str | tuple[str, ...], code: int, tmp_path: Path
) -> None:
    said = lab("run", *arguments, "--format", "json", "--runs", tmp_path)
    assert said.code == code, said.err
    assert said.json["outcome"] in ([outcome] if isinstance(outcome, str) else outcome)


def test_the_run_directory_is_where_it_says_and_is_judged_the_same(tmp_path: Path) -> None:
    said = lab("run", "--format", "json", LAB_RUNS=str(tmp_path / "a" / "b"))
    run = Path(said.json["run"])
    assert run.parent == tmp_path / "a" / "b"
    assert (run.parent / "latest").resolve() == run
    (judged,) = lab("judge", run, "--format", "json").json["connections"]
    assert {key: judged[key] for key in KEYS[:20]} == {key: said.json[key] for key in KEYS[:20]}
    assert json.loads((run / "manifest.json").read_text())["host"]["kernel"]


def test_the_text_is_for_a_person(tmp_path: Path) -> None:
    said = lab("run", "--until", "proof", "--runs", tmp_path)
    assert (said.code, said.err) == (0, ""), "no progress where there is no terminal"
    assert "deadlock" in said.out.splitlines()[0].lower()
    assert "proven" in said.out.splitlines()[0].lower()
    assert "wire.pcapng" in said.out or str(tmp_path) in said.out.replace("\n", "")


def test_an_interrupted_run_can_still_be_judged(tmp_path: Path) -> None:
    """What was seen until then is on disk, whole."""
    process = started("run", "healthy", "--payload", "1t", "--runs", tmp_path)
    try:
        until(lambda: any(path.stat().st_size for path in tmp_path.glob("*/sockets.jsonl")))
        assert len(below(process.pid)) == 4
    finally:
        process.send_signal(signal.SIGINT)
    assert ending(process).code == 130
    said = lab("judge", tmp_path, "--format", "json")
    assert said.code == 0, said.err
    assert [each["outcome"] for each in said.json["connections"]] in (["moving"], ["slow-reader"])


def test_a_killed_run_can_still_be_judged(tmp_path: Path) -> None:
    """kill -9: nobody tidies up, and what was seen is on disk all the same."""
    process = started("run", "healthy", "--payload", "1t", "--capture", "full", "--runs", tmp_path)
    try:
        until(lambda: any(path.stat().st_size for path in tmp_path.glob("*/sockets.jsonl")))
    finally:
        process.kill()
        process.communicate(timeout=LIMIT_S)
    (run,) = (path for path in tmp_path.iterdir() if not path.is_symlink())
    (judged,) = lab("judge", run, "--format", "json").json["connections"]
    assert judged["outcome"] in ("moving", "slow-reader")
    assert judged["missing"] == ["what came later: the run was killed before its end"]
    assert (judged["wire"]["frames"] > 0, judged["wire"]["dropped"]) == (True, None)
    command = ["capinfos", "-T", "-r", "-c", "-M", str(run / "wire.pcapng")]
    counted = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_S).stdout.split()[-1]
    assert int(counted) == judged["wire"]["frames"]


def test_a_capture_of_several_files_is_named_as_such(tmp_path: Path) -> None:
    flags = ("--capture", "full", "--snaplen", "1000", "--capture-size", "128KiB", "--until", "proof")
    said = lab("run", *flags, "--runs", tmp_path)
    assert (said.code, said.err) == (0, "")
    files = sorted(path.name for path in (tmp_path / "latest").glob("wire*.pcapng"))
    assert len(files) > 2
    assert f"and on in wire.1.pcapng to wire.{len(files) - 1}.pcapng" in " ".join(said.out.split())
    refused = lab("run", "--capture-size", "100", "--runs", tmp_path)
    assert refused.code == 2
    assert "needs 131072 at least, for example 100MiB" in refused.err


@pytest.mark.root
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_full_disk_is_said_and_the_run_is_judged(tmp_path: Path, form: str) -> None:
    with small_disk(tmp_path, 5 << 18) as runs:
        flags = ("--capture", "full", "--snaplen", "1000", "--until", "0.5", "--payload", "1t")
        said = lab("run", "healthy", *flags, "--format", form, "--runs", runs)
        assert said.code == 4
        assert "wire.pcapng: No space left on device; not kept: " in said.err
        assert re.search("judged from memory: (moving|slow-reader)", said.err)
        assert said.err.count("\n") == 1
        assert said.out.startswith(("moving", "slow reader") if form == "text" else "")
        assert bool(said.out) == (form == "text")
        (judged,) = lab("judge", runs, "--format", "json").json["connections"]
    assert judged["outcome"] in ("moving", "slow-reader")
    assert judged["wire"]["dropped"] > 0
    assert judged["witnesses"]["wire"] == "missing"
    assert "captured packets, for which the disk had no room" in judged["missing"][0]


def test_a_place_that_breaks_away_while_it_is_taken_down_leaves_no_document(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def breaking(spec: Spec, startup: Startup) -> Iterator[Site]:
        with loopback.site(spec, startup) as site:
            yield site
        raise errors.TestbedError("the engine broke away")

    monkeypatch.setattr(loopback, "TESTBED", replace(loopback.TESTBED, hosts=breaking))
    words = ["run", "upper", "--testbed", "loopback", "--payload", "32", "--format", "json", "--runs", str(tmp_path)]
    with pytest.raises(errors.TestbedError, match="broke away"):
        app.main(words, prog_name="lab", standalone_mode=False)
    assert capsys.readouterr().out == ""
    assert (tmp_path / "latest/verdict.json").is_file()
