"""A clone and an installed package differ in where runs land and in what installs more, and in nothing else."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from lab import installation
from tests import doors
from tests.commanded import ROOT, Said, environment, is_one_line, lab
from tests.test_main import said

Package = Callable[..., Said]


def test_this_is_a_clone_and_its_runs_are_in_it() -> None:
    assert installation.is_clone()
    assert installation.default_runs() == ROOT / "runs"
    assert installation.to_install("sweep") == "scripts/setup --venv sweep"


def test_the_runs_of_a_package_land_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "FOLDER", tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    assert installation.default_runs() == tmp_path / "runs"
    assert installation.to_install("cluster") == "pip install 'zero-window-lab[cluster]'"


@pytest.fixture
def package(installed: Path, tmp_path: Path) -> Package:
    """The installed lab, in an empty folder."""

    def call(*words: str, **more: str) -> Said:
        return said([str(installed), *words], tmp_path, **more)

    return call


def test_a_package_plays_judges_and_foretells_in_an_empty_folder(package: Package, tmp_path: Path) -> None:
    played = package("run", "--payload", "1GiB", "--until", "proof", "--format", "json")
    assert (played.code, played.json["outcome"]) == (0, "deadlock"), played.err
    assert Path(played.json["run"]).parent == tmp_path / "runs"
    assert package("judge", "runs/latest", "--format", "json").code == 1
    assert package("forecast").code == 0
    assert package("limits").code == 0
    assert package("watch", "--once", "--port", "9").code == 0
    doctor = package("doctor", "--format", "json")
    assert doctor.code == 0
    (runs,) = (each for each in doctor.json["checks"] if each["name"] == "runs")
    assert runs["found"].startswith(f"{tmp_path / 'runs'}: ")
    assert [each.name for each in tmp_path.iterdir()] == ["runs"]


def test_a_package_has_no_compose_file_and_says_so(package: Package) -> None:
    refused = package("run", "--testbed", "compose")
    assert refused.code == 4
    assert is_one_line(refused)
    assert "clone it" in refused.err


@pytest.mark.parametrize(
    ("hidden", "words", "extra"),
    [
        ("duckdb", ("sweep", "grid.toml"), "sweep"),
        ("distributed", ("sweep", "grid.toml", "--cluster", "x:1"), "cluster"),
    ],
)
def test_a_missing_extra_is_named_as_the_door_installs_it(
    package: Package, tmp_path: Path, hidden: str, words: tuple[str, ...], extra: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules['{hidden}'] = None\n")
    (tmp_path / "grid.toml").write_text("payload = 1\n")
    refused = package(*words, PYTHONPATH=str(tmp_path))
    assert refused.code == 4
    assert is_one_line(refused)
    assert f": pip install 'zero-window-lab[{extra}]' installs " in refused.err
    in_the_clone = lab(*words, PYTHONPATH=str(tmp_path))
    assert in_the_clone.code == 4
    assert f": scripts/setup --venv {extra} installs " in in_the_clone.err


def test_a_wheel_holds_the_package_with_its_types_and_licence_and_nothing_else(tmp_path: Path) -> None:
    made = doors.wheel(tmp_path)
    with ZipFile(made) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(each).decode() for each in names if each.endswith("METADATA"))
    modules = {str(each.relative_to(ROOT)) for each in (ROOT / "lab").rglob("*.py")}
    assert {each for each in names if ".dist-info/" not in each} == modules | {"lab/py.typed"}
    assert any(each.endswith("licenses/LICENSE") for each in names)
    assert "License-Expression: MIT\n" in metadata
    assert {f"Provides-Extra: {each}" in metadata for each in ("sweep", "cluster")} == {True}
    assert "Project-URL" not in metadata
    assert "Home-page" not in metadata
    assert sorted(each.name for each in (tmp_path / "copy").iterdir()) == sorted(doors.SOURCES), (
        "a build leaves nothing"
    )


def test_nothing_of_a_build_is_in_the_clone() -> None:
    listed = subprocess.run(
        ["git", "status", "--porcelain", "--ignored", "build", "dist"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert listed.stdout == ""
