"""Where this lab lies: in a clone of the project, or installed as a package. Paths and advice depend on it."""

from pathlib import Path

PACKAGE = "zero-window-lab"
FOLDER = Path(__file__).resolve().parent.parent
"""What holds the package `lab`: the clone, or site-packages."""


def is_clone() -> bool:
    return (FOLDER / "scripts/lab").is_file()


def default_runs() -> Path:
    """Where run directories lie unless somebody says otherwise: in the clone, else in the working directory."""
    return (FOLDER if is_clone() else Path.cwd()) / "runs"


def advice(clone: str, package: str) -> str:
    """What to do, for a person with a clone, or for one with the package: there are no scripts then."""
    return clone if is_clone() else package


def to_install(extra: str) -> str:
    """The command that installs the packages of an extra."""
    return advice(f"scripts/setup --venv {extra}", f"pip install '{PACKAGE}[{extra}]'")
