"""The lab as a wheel, and as the command that pip installs from it."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.commanded import ROOT

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "lab")
OFFLINE = ("--quiet", "--no-deps", "--no-index")
LIMIT_S = 300.0


def wheel(folder: Path) -> Path:
    """Built from a copy of the sources by the tests' own packages: nothing is downloaded."""
    copy = folder / "copy"
    copy.mkdir(parents=True)
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    options: list[str | Path] = [*OFFLINE, "--no-build-isolation", "--wheel-dir", folder / "wheels"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, copy], check=True, timeout=LIMIT_S)
    (made,) = (folder / "wheels").glob("*.whl")
    return made


def installed(folder: Path) -> Path:
    """The installed command: in a venv of its own, which borrows from the tests' venv all packages but the lab."""
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=LIMIT_S)
    python = venv / "bin/python"
    install: list[str | Path] = [sys.executable, "-m", "pip", "--python", python, "install", *OFFLINE]
    subprocess.run([*install, wheel(folder)], check=True, timeout=LIMIT_S)
    (packages,) = venv.glob("lib/python3*/site-packages")
    # Of a folder that a .pth file names no .pth file is read: the clone stays out.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return venv / "bin/lab"
