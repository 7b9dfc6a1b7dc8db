"""`docker run` of the controller's image without any privilege: an ordinary container can only use its loopback."""

import json
import subprocess

import pytest

from tests.commanded import ROOT

IMAGE = "zero-window-lab-controller"
LIMIT_S = 60

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module", autouse=True)
def _image() -> None:
    """The image, made of this code."""
    subprocess.run([ROOT / "scripts/images"], check=True, timeout=600)


def contained(*arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = ["docker", "run", "--rm", *options, IMAGE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def test_it_plays_on_loopback_says_so_and_comes_to_the_same_outcome() -> None:
    done = contained("run", "--format", "json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["outcome"], said["testbed"]) == ("deadlock", "loopback")
    assert (said["witnesses"]["kernel"], said["witnesses"]["wire"]) == ("agrees", "agrees")
    # Docker's seccomp profile forbids pidfd_getfd() there. Without it a time limit of the socket cannot be excluded.
    assert (said["grade"] == "proven") != any("CAP_SYS_PTRACE" in each["waits_for"] for each in said["live"])
    assert said["wire"]["dropped"] == 0
    assert done.stderr.count("\n") == 1
    assert "playing on loopback" in done.stderr


def test_as_an_ordinary_user_it_names_what_it_may_not_see() -> None:
    done = contained("run", "--format", "json", options=("--user", "1000:1000"))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["outcome"], said["witnesses"]["kernel"], said["witnesses"]["wire"]) == (
        "deadlock",
        "agrees",
        "missing",
    )
    assert any("CAP_NET_RAW" in each for each in said["missing"])


def test_a_control_is_a_control_there_too() -> None:
    done = contained("run", "one-sided-stall", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "one-sided-stall"


def test_what_cannot_be_done_there_is_one_line_and_exit_4() -> None:
    done = contained("run", "--testbed", "netns")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1)
    assert done.stderr.startswith("lab: cannot make a network namespace")
