"""`lab judge`: run directories and folders of them, with the contract's codes in the contract's precedence."""

from pathlib import Path

import pytest

from tests.commanded import is_one_line, lab
from tests.played import SQUEEZED, recorded, yielded


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, flags in (("idle", {}), ("upper", SQUEEZED), ("read-read", {})):
        recorded(folder, yielded(name, **flags))
    return folder


def one(runs: Path, name: str) -> Path:
    (found,) = runs.glob(f"*-{name}-*")
    return found


def test_no_deadlock_is_0_and_a_deadlock_is_1(runs: Path) -> None:
    idle, upper = (lab("judge", one(runs, name), "--format", "json") for name in ("idle", "upper"))
    assert (idle.code, [each["outcome"] for each in idle.json["connections"]]) == (0, ["idle"])
    assert (upper.code, [each["outcome"] for each in upper.json["connections"]]) == (1, ["deadlock"])
    assert upper.json["errors"] == []
    assert upper.json["connections"][0]["path"] == str(one(runs, "upper"))


def test_a_folder_is_every_run_in_it_once(runs: Path) -> None:
    said = lab("judge", runs, "--format", "json")
    assert said.code == 1
    assert sorted(each["outcome"] for each in said.json["connections"]) == ["deadlock", "idle", "read-read"]
    assert "latest" not in said.out
    assert [each["outcome"] for each in lab("judge", runs / "latest", "--format", "json").json["connections"]] == [
        "read-read"
    ]


def test_inconclusive_is_3(runs: Path, tmp_path: Path) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(one(runs, "upper"), run)
    (run / "sockets.jsonl").write_text("")
    said = lab("judge", run, "--format", "json")
    assert (said.code, said.json["connections"][0]["outcome"]) == (3, "inconclusive")
    assert lab("judge", run, one(runs, "upper"), "--format", "json").code == 1, "a deadlock comes before"


@pytest.mark.parametrize("what", ["missing", "a file", "an empty folder", "a name that is too long"])
def test_what_cannot_be_judged_is_2_and_the_rest_is_judged_all_the_same(runs: Path, tmp_path: Path, what: str) -> None:
    path = {"missing": tmp_path / "nowhere", "a file": tmp_path / "file", "an empty folder": tmp_path / "empty"}.get(
        what, tmp_path / ("x" * 300)
    )
    (tmp_path / "file").write_text("hello")
    (tmp_path / "empty").mkdir()
    said = lab("judge", path, one(runs, "upper"), "--format", "json")
    assert (said.code, said.err) == (2, "")
    assert [each["outcome"] for each in said.json["connections"]] == ["deadlock"]
    assert [each["path"] for each in said.json["errors"]] == [str(path)]
    assert "\n" not in said.json["errors"][0]["message"]


def test_a_damaged_run_among_others_is_named(runs: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "runs"
    shutil.copytree(runs, folder, symlinks=True)
    damaged = one(folder, "idle")
    (damaged / "sockets.jsonl").write_text("{}\n")
    said = lab("judge", folder, "--format", "json")
    assert said.code == 2
    assert [each["path"] for each in said.json["errors"]] == [str(damaged)]
    assert "sockets.jsonl: line 1" in said.json["errors"][0]["message"]
    assert len(said.json["connections"]) == 2


def test_one_run_is_shown_with_its_whole_report(runs: Path) -> None:
    said = lab("judge", one(runs, "upper"))
    assert (said.code, said.err) == (1, "")
    pieces = ("deadlock (", "client send queue", "witness ", "forecast in bytes", f"again      lab judge {runs}")
    for piece in pieces:
        assert piece in said.out
    assert "witness" not in lab("judge", one(runs, "upper"), one(runs, "idle")).out, "several are a table"


def test_one_damaged_run_is_one_line(runs: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(one(runs, "idle"), tmp_path / "run")
    (tmp_path / "run/manifest.json").write_text("{")
    said = lab("judge", tmp_path / "run")
    assert said.code == 2
    assert is_one_line(said)


@pytest.mark.root
def test_it_says_of_a_run_what_lab_run_said(tmp_path: Path) -> None:
    played = lab("run", "--until", "proof", "--runs", tmp_path)
    assert played.code == 0, played.err
    judged = lab("judge", tmp_path / "latest")
    assert (judged.code, judged.out) == (1, played.out)
    assert f"again      lab judge {(tmp_path / 'latest').resolve()}\n" in played.out


def test_nothing_to_judge_is_a_usage_error() -> None:
    said = lab("judge")
    assert said.code == 2
    assert is_one_line(said)


def test_the_text_names_every_run_and_every_error(runs: Path, tmp_path: Path) -> None:
    said = lab("judge", runs, tmp_path / "nowhere")
    assert said.code == 2
    for name in ("idle", "upper", "read-read", "nowhere"):
        assert name in said.out + said.err
