"""The version is the one that the package has, in three numbers."""

import re
import tomllib
from pathlib import Path

from lab.version import VERSION

ROOT = Path(__file__).parent.parent


def test_the_version_is_three_numbers() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)


def test_the_package_takes_its_version_from_here() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert package["project"]["dynamic"] == ["version"]
    version = package["tool"]["hatch"]["version"]
    found = re.search(version["pattern"], (ROOT / version["path"]).read_text())
    assert found is not None
    assert found["version"] == VERSION
