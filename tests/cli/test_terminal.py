"""A command's own lines: nothing that they quote steers a terminal, and a stream that is full is no second error."""

import subprocess
import sys
from pathlib import Path

import pytest

from lab.cli import terminal
from tests.commanded import ROOT
from tests.waiting import LIMIT_S

HOSTILE = "a\x1b[2Jb\u202ec\rd"


def test_a_line_keeps_its_line_feeds_and_nothing_else_that_a_terminal_acts_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal.echo(f"one\ntwo {HOSTILE}")
    assert capsys.readouterr() == ("one\ntwo a\\x1b[2Jb\\u202ec\\rd\n", "")


def test_an_error_is_one_line_on_standard_error_whatever_it_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.error(f"no such\n\n  file {HOSTILE}")
    assert capsys.readouterr() == ("", "lab: no such file a\\x1b[2Jb\\u202ec d\n")


@pytest.mark.parametrize(("call", "code"), [("error('x')", 0), ("echo('x', err=True)", 0), ("echo('x')", 28)])
def test_a_message_that_cannot_be_written_is_dropped_and_an_output_is_not(call: str, code: int) -> None:
    """The exit code tells of an error all the same; of an output nothing would."""
    script = f"""
import os
from lab.cli import terminal
try:
    terminal.{call}
except OSError as error:
    os._exit(error.errno)
os._exit(0)
"""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, stdout=full, stderr=full, timeout=LIMIT_S, check=False
        )
    assert done.returncode == code
