"""The controller's image is the lab of people without Python: `docker run ... watch --once` proves a host's pair."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab.spec import Grade
from tests.commanded import ROOT
from tests.unprivileged import PYTHON, UID
from tests.waiting import LIMIT_S
from tests.watching.watched import crowd

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.xdist_group("docker")]

CAPABILITIES = ("SYS_PTRACE", "DAC_READ_SEARCH", "SYS_ADMIN")
"""What threads wait for; tables and namespaces of other users' processes; to enter other network namespaces."""
SHOWN = ("--security-opt", "systempaths=unconfined")
"""Docker hides /proc/timer_list, which shows pending alarms."""


@pytest.fixture(scope="module", autouse=True)
def _images() -> None:
    subprocess.run([ROOT / "scripts/images"], check=True, timeout=600)


@contextmanager
def pair_on_the_host() -> Iterator[int]:
    """A frozen pair of an ordinary user in the host's own namespace: its client's port."""
    user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all"]
    script = (ROOT / "tests/crowd.py").read_text()
    process = subprocess.Popen(
        [*user, PYTHON, "-c", script, "1", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline().split()[1])
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(LIMIT_S)


def watched(port: int, capabilities: tuple[str, ...]) -> list[dict[str, Any]]:
    added = [word for each in capabilities for word in ("--cap-add", each)]
    command = ["docker", "run", "--rm", "--pid=host", "--network=host", "--read-only", "--cap-drop=ALL", *added, *SHOWN]
    watch = ["zero-window-lab-controller", "watch", "--once", "--format", "json", "--port", str(port)]
    done = subprocess.run([*command, *watch], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout)["connections"]
    assert done.returncode == int(any(each["outcome"] == "deadlock" for each in found)), done.stderr
    return found


def test_with_three_capabilities_a_pair_of_the_host_is_proven() -> None:
    with pair_on_the_host() as port:
        (found,) = watched(port, CAPABILITIES)
        assert found["outcome"] == "deadlock"
        # Qualified where even root may not read some process, or an alarm is pending, such as pytest's own.
        assert found["grade"] in (Grade.PROVEN, Grade.QUALIFIED)
        for left_out in ("SYS_PTRACE", "DAC_READ_SEARCH"):
            (less,) = watched(port, tuple(each for each in CAPABILITIES if each != left_out))
            assert less["grade"] == Grade.CONSISTENT
            assert left_out in str(less["missing"])


def test_a_pair_in_another_namespace_needs_sys_admin_too() -> None:
    with crowd(1, frozen=True) as (_, _, port, _):
        (found,) = watched(port, CAPABILITIES)
        assert found["grade"] in (Grade.PROVEN, Grade.QUALIFIED)
        assert watched(port, ("SYS_PTRACE", "DAC_READ_SEARCH")) == []
