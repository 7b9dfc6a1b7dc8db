"""Docker 26 with cgroup version 2: Compose, the lab's testbed, and a stranger's project that is paused and watched."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from machines.inside.command import CommandError, lab
from machines.inside.pair import SENDS_ONCE, SERVER
from machines.inside.runs import run
from machines.inside.suspended import READS_ON
from machines.row import Row, judged

IMAGES = Path("/dev/vdd")
"""What `docker save` wrote: a tar archive, as it is."""
LOG = Path("/tmp/dockerd.log")
STRANGER: dict[str, dict[str, dict[str, Any]]] = {
    "services": {
        "server": {"command": [SERVER, "0.0.0.0", "7000"]},  # noqa: S104 - in a container
        "client": {"command": [SENDS_ONCE, "server", "7000"]},
    }
}
LIMIT_S = 240
WAIT_S = 60


def play() -> Iterator[Row]:
    with LOG.open("wb") as log:
        subprocess.Popen(["dockerd"], stdout=log, stderr=log)
    yield _engine()
    with IMAGES.open("rb") as archive:
        subprocess.run(["docker", "load", "--quiet"], stdin=archive, capture_output=True, timeout=LIMIT_S, check=True)
    yield judged("docker compose up", ("deadlock",), _composed())
    yield run("upper, compose", ("upper", "--testbed", "compose"))
    yield from _stranger()


def _engine() -> Row:
    deadline = time.monotonic() + WAIT_S
    while not (told := _answer()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no Docker engine: {LOG.read_text()[-200:]}")
        time.sleep(0.5)
    found = json.loads(told)
    note = f"{found['Driver']}, {', '.join(found['SecurityOptions'])}"
    version = f"Docker {found['ServerVersion']}, cgroup v{found['CgroupVersion']}"
    return Row("engine", "cgroup v2", version, right=found["CgroupVersion"] == "2", note=note)


def _answer() -> str:
    """What the engine tells of itself; nothing while it does not answer."""
    try:
        return docker("info", "--format", "{{json .}}")
    except CommandError:
        return ""


def _composed() -> dict[str, Any]:
    """The verdict that the controller prints."""
    docker("compose", "up", "--detach", "--no-build", LAB_FORMAT="json")
    controller = docker("compose", "ps", "--all", "--quiet", "controller").strip()
    docker("wait", controller)
    document: dict[str, Any] = json.loads(docker("logs", controller))
    docker("compose", "down", "--timeout", "1")
    return document


def _stranger() -> Iterator[Row]:
    """Not the lab's project: another network, other programs, another name."""
    folder = Path("/tmp/stranger")
    folder.mkdir()
    for service in STRANGER["services"].values():
        service |= {"image": "zero-window-lab-endpoint", "entrypoint": ["python3", "-c"]}
    (folder / "compose.yaml").write_text(json.dumps(STRANGER))
    docker("compose", "--project-directory", str(folder), "up", "--detach")
    yield _watched("before", ("deadlock",), settle=True)
    docker("pause", "stranger-client-1")
    yield _watched("docker pause", ("suspended",))
    docker("unpause", "stranger-client-1")
    yield _watched("docker unpause", READS_ON)
    docker("compose", "--project-directory", str(folder), "down", "--timeout", "1")


def _watched(when: str, expected: tuple[str, ...], *, settle: bool = False) -> Row:
    """With `settle`, asked until the pair is there and does not move any more."""
    deadline = time.monotonic() + WAIT_S
    while True:
        connections = lab("watch", "--once", "--compose", "stranger")["connections"]
        verdict: dict[str, Any] | None = connections[0] if len(connections) == 1 else None
        if verdict and not (settle and verdict["outcome"] in ("moving", "inconclusive")):
            return judged(f"watch --compose stranger: {when}", expected, verdict)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(connections)} connections of the stranger's project")


def docker(*words: str, **variables: str) -> str:
    """What `docker WORDS...` prints, with these variables."""
    argv, environment = ["docker", *words], os.environ | variables
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=environment)
    if done.returncode != 0:
        raise CommandError(f"docker {' '.join(words[:2])} ended with {done.returncode}: {done.stderr[-200:]}")
    return done.stdout
