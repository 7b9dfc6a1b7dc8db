"""The Python door: its example is true, its options are those of the command line, and importing it costs nothing."""

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import lab
from lab.errors import BadInputError, SpecError
from tests.commanded import ROOT, environment
from tests.waiting import LIMIT_S


def python(code: str, folder: Path) -> str:
    """What the code prints, run in this folder."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_does_what_it_says(tmp_path: Path) -> None:
    found = re.search(r"\n\n((?: {4}.*\n|\n)+)", lab.__doc__ or "")
    assert found
    first, second = python(dedent(found[1]), tmp_path).splitlines()
    assert re.fullmatch(r"deadlock proven \d+", first)
    assert second == "deadlock"
    assert (tmp_path / "runs/latest/verdict.json").is_file()


def test_to_import_it_imports_nothing_else(tmp_path: Path) -> None:
    """An endpoint imports it before all else, and has to be quick."""
    code = "import sys; before = set(sys.modules); import lab; print(sorted(set(sys.modules) - before))"
    assert python(code, tmp_path) == "['lab']\n"


def test_an_option_is_a_flag_of_lab_run() -> None:
    played = lab.run("echo", testbed="loopback", payload="1KiB", so_rcvbuf="client=64KiB;server=4096", nodelay=1)
    assert played.spec.scenario.name == "echo"
    assert played.spec.scenario.load.payload == 1024
    assert [options.so_rcvbuf for options in played.spec.options] == [65536, 4096]
    assert all(options.nodelay for options in played.spec.options)
    assert (played.verdict.outcome, played.run) == ("completed", None)


def test_what_is_no_option_is_refused() -> None:
    with pytest.raises(SpecError, match=r"unknown option 'payloads': did you mean 'payload'?"):
        lab.run(payloads=1)
    with pytest.raises(SpecError, match="size 'much'"):
        lab.run(payload="much")


def test_what_is_no_run_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=re.escape(str(tmp_path))):
        lab.judge(tmp_path)
