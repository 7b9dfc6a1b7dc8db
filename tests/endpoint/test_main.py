"""An endpoint's command line: its name at the barrier is its own, and it ends when it is told to."""

import subprocess
import sys

import pytest

from tests.endpoint.endpoint_stage import ROOT, Stage
from tests.waiting import LIMIT_S


@pytest.mark.parametrize("arguments", [[], ["client"], ["waiter", "x"], ["client", "a b"], ["client", "x", "y"]])
def test_a_wrong_command_line_is_answered_with_the_right_one(arguments: list[str]) -> None:
    command = [sys.executable, "-S", "-m", "lab.endpoint", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: python3 -m lab.endpoint client|server IDENTITY")


def test_two_programs_cannot_have_one_name(stage: Stage) -> None:
    stage.start("server")
    stage.call("server")
    second = stage.start("server", stderr=subprocess.PIPE)
    assert second.wait(LIMIT_S) == 4
    assert second.stderr is not None
    with second.stderr:
        assert second.stderr.read().decode() == (
            f"server {stage.identity}: cannot listen at the barrier: Address already in use\n"
        )


def test_both_sides_of_one_identity_listen_at_once(stage: Stage) -> None:
    for role in ("client", "server"):
        stage.start(role)
        stage.call(role)


@pytest.mark.parametrize("role", ["client", "server"])
def test_it_ends_at_sigterm_though_it_never_had_a_job(stage: Stage, role: str) -> None:
    process = stage.start(role)
    stage.call(role)
    process.terminate()
    assert process.wait(LIMIT_S) == 0
