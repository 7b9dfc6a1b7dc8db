"""An ordinary user with a clone and a venv of his own: what root has is not readable for him.

The venv is made once a machine (it takes ten seconds): in a folder named by what is in it, under the temporary folder.
"""

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.commanded import ROOT, Said, environment
from tests.waiting import LIMIT_S

UID = 54321
"""Nobody's; a user namespace needs no name for it."""

PYTHON = "/usr/bin/python3"


@functools.cache
def venv() -> Path:
    """Python with the core requirements, readable for everybody."""
    requirements = ROOT / "requirements.txt"
    version = subprocess.run([PYTHON, "--version"], capture_output=True, check=True, timeout=LIMIT_S).stdout
    key = hashlib.sha256(version + requirements.read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir(), f"zero-window-lab-tests-{key}")
    if not (folder / "bin/python").exists():
        _make(folder, requirements)
    return folder


def _make(folder: Path, requirements: Path) -> None:
    """Beside its place first, so that a test run that is broken off leaves no half of one there."""
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, "venv")
        subprocess.run([PYTHON, "-m", "venv", made], check=True, timeout=120)
        install = [
            str(made / "bin/python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "-r",
            str(requirements),
        ]
        subprocess.run([*install, "--disable-pip-version-check"], check=True, timeout=240)
        subprocess.run(["chmod", "-R", "a+rX", made], check=True, timeout=60)
        if not folder.exists():
            made.rename(folder)


@contextmanager
def clone() -> Iterator[Path]:
    """A copy of the project that the user owns."""
    with tempfile.TemporaryDirectory(prefix="zero-window-lab-clone-") as name:
        folder = Path(name)
        shutil.copytree(ROOT / "lab", folder / "lab", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "runs").mkdir()
        for each in (folder, *folder.rglob("*")):
            os.chown(each, UID, UID)
        yield folder


def command(*arguments: str | Path) -> list[str]:
    as_the_user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all"]
    return [*as_the_user, str(venv() / "bin/python"), "-m", "lab", *map(str, arguments)]


def lab(where: Path, *arguments: str | Path, before: tuple[str, ...] = ()) -> Said:
    done = subprocess.run(
        [*before, *command(*arguments)],
        cwd=where,
        env=environment(HOME=str(where)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)
