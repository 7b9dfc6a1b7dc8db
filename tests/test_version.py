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
    assert package["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "lab.version.VERSION"}
