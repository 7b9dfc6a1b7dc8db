"""`lab doctor`: the contract of its JSON, its text, and its exit code."""

from pathlib import Path

from tests.commanded import lab


def test_the_document_has_the_keys_of_the_contract(tmp_path: Path) -> None:
    said = lab("doctor", "--format", "json", "--runs", tmp_path)
    assert (said.code, said.err) == (0, "")
    assert list(said.json) == ["checks", "knobs"]
    assert all(list(check) == ["name", "ok", "found", "remedy"] for check in said.json["checks"])
    assert said.json["knobs"]


def test_no_engine_is_a_finding_and_no_failure(tmp_path: Path) -> None:
    nowhere = "unix:///nonexistent/docker.sock"
    said = lab("doctor", "--format", "json", "--runs", tmp_path, DOCKER_HOST=nowhere)
    checks = {check["name"]: check for check in said.json["checks"]}
    assert said.code == 0
    assert not checks["engine"]["ok"]
    assert "DOCKER_HOST" in checks["engine"]["remedy"]


def test_the_text_names_every_check_and_every_knob(tmp_path: Path) -> None:
    said, document = lab("doctor", "--runs", tmp_path), lab("doctor", "--format", "json", "--runs", tmp_path).json
    assert (said.code, said.err) == (0, "")
    for check in document["checks"]:
        assert f" {check['name']} " in said.out
    for knob in document["knobs"]:
        assert f"  {knob['name'].rpartition('.')[2]} " in said.out
