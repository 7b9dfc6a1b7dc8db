"""`lab judge` says in JSON and in text what a capture holds, with the documented exit codes."""

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.captures import recorded

ROOT = Path(__file__).parent.parent.parent
BY_NAME = {recorded.name(path): path for path in recorded.ALL}

VERDICT = {
    "path", "outcome", "grade", "client", "server", "roles", "seal_ns", "proved_ns", "holds_until_ns", "age_s",
    "witnesses", "cycle", "tail", "live", "qualifiers", "missing", "contradictions", "account", "wire", "forecast",
    *("seen", "last_data", "peer_probes", "diagnosis"),
    "premises",
}  # fmt: skip
FURTHER = {"since_ns", "until_ns", "ended", "evidence", "marks", "chain"}


def lab(*arguments: object, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "lab", "judge", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, check=False, timeout=60)


def document(*arguments: object, stdin: bytes | None = None, code: int) -> dict[str, Any]:
    done = lab("--format", "json", *arguments, stdin=stdin)
    assert done.returncode == code, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_connection_has_every_key() -> None:
    found = document(BY_NAME["mixed"], code=1)
    assert found.keys() == {"connections", "errors"}
    assert len(found["connections"]) == 6
    for each in found["connections"]:
        assert each.keys() == VERDICT | FURTHER
    frozen = [each for each in found["connections"] if each["outcome"] == "deadlock"]
    assert len(frozen) == 3
    for each in frozen:
        assert each["grade"] == "consistent"
        assert each["ended"].startswith("still frozen")
        assert each["wire"]["zero_windows"]["client"] > 0
        assert each["wire"]["dropped"] is None
        assert {"frame", "time_ns", "says"} == each["evidence"][0].keys()
    healthy = [each for each in found["connections"] if each["outcome"] == "idle"]
    assert healthy[0]["marks"] is None
    assert healthy[0]["wire"]["first_zero_window_ns"] == {"client": None, "server": None}


@pytest.mark.parametrize(
    ("name", "code"), [("socat-cat", 1), ("idle", 0), ("late-reader", 0), ("one-direction", 3), ("slow-both-cut", 0)]
)
def test_the_exit_code_is_the_outcomes(name: str, code: int) -> None:
    document(BY_NAME[name], code=code)


def test_a_directory_is_all_captures_in_it_and_what_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    shutil.copy(BY_NAME["idle"], tmp_path / "sub/a.pcap.gz")
    (tmp_path / "b.pcap").write_bytes(recorded.raw(BY_NAME["socat-cat"]))
    (tmp_path / "notes.txt").write_text("not looked at")
    found = document(tmp_path, code=1)
    assert sorted(each["outcome"] for each in found["connections"]) == ["deadlock", "idle"]
    (tmp_path / "broken.pcapng").write_bytes(b"nonsense")
    found = document(tmp_path, code=2)
    assert len(found["connections"]) == 2
    (error,) = found["errors"]
    assert error["path"].endswith("broken.pcapng")
    assert "at byte 0" in error["message"]


def test_standard_input() -> None:
    found = document("-", stdin=recorded.raw(BY_NAME["socat-cat"]), code=1)
    assert found["connections"][0]["path"] == "-"
    assert document("-", stdin=b"", code=2)["errors"][0]["path"] == "-"


@pytest.mark.parametrize("wrong", [[], ["/nowhere/at/all"], [ROOT / "lab"]])
def test_bad_input_exits_2(wrong: list[object]) -> None:
    assert lab(*wrong).returncode == 2


def test_the_text_leads_with_the_frozen_and_names_frames() -> None:
    done = lab(BY_NAME["idle"], BY_NAME["nginx-send-timeout"])
    text = done.stdout.decode()
    assert done.returncode == 1
    assert text.startswith("2 connections: 1 deadlock, 1 idle (1 NOT PROVEN)")
    assert text.index("consistent") < text.index("  idle ")
    assert "reset by the server" in text
    assert "first zero window of the client" in text


def test_an_annotated_copy_opens_in_tshark_with_its_comments(tmp_path: Path) -> None:
    out = tmp_path / "told.pcapng"
    assert lab(BY_NAME["socat-cat"], "--annotate", out).returncode == 1
    fields = [
        "-e",
        "frame.number",
        "-e",
        "frame.len",
        "-e",
        "tcp.seq_raw",
        "-e",
        "frame.time_epoch",
        "-e",
        "frame.comment",
    ]
    seen = _tshark(out, fields)
    plain = tmp_path / "plain.pcap"
    plain.write_bytes(gzip.decompress(BY_NAME["socat-cat"].read_bytes()))
    original = _tshark(plain, fields)
    assert [row[:4] for row in seen] == [row[:4] for row in original]
    comments = {int(row[0]): row[4] for row in seen if len(row) > 4 and row[4]}
    assert any("first zero window" in text for text in comments.values())
    assert any("Wireshark calls this Keep-Alive" in text for text in comments.values())
    assert document(out, code=1)["connections"][0]["outcome"] == "deadlock"


def test_annotating_needs_one_capture(tmp_path: Path) -> None:
    done = lab(BY_NAME["idle"], BY_NAME["socat-cat"], "--annotate", tmp_path / "x.pcapng")
    assert done.returncode == 2
    assert b"--annotate" in done.stderr


def _tshark(path: Path, fields: list[str]) -> list[list[str]]:
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", *fields]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return [line.split("\t") for line in output.splitlines()]
