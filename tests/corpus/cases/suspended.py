"""A side is stopped or frozen from outside: it is in the call that it shows, and is not; going on, a send is short."""

import os
import secrets
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.corpus.case import Case, Truth, accepting, connecting
from tests.corpus.container import docker
from tests.corpus.programs import converse, echo, write_only, write_paced
from tests.corpus.stage import Stage

CGROUPS = Path("/sys/fs/cgroup")
SUSPENDED = frozenset({"suspended"})


def stop_client(stage: Stage) -> None:
    _stop(stage, "client")


def stop_server(stage: Stage) -> None:
    _stop(stage, "server")


def _stop(stage: Stage, part: str) -> None:
    pid = stage.pids[part]
    os.kill(pid, signal.SIGSTOP)
    stage.until(lambda: "\nState:\tT" in Path(f"/proc/{pid}/status").read_text(), "SIGSTOP does not stop it", 5)


def freeze_client(stage: Stage) -> None:
    """By the cgroup freezer, version 1 if there is one; thawed and removed when the stage ends."""
    version_1 = (CGROUPS / "freezer").is_dir()
    _freeze(stage, CGROUPS / ("freezer" if version_1 else ""), version_1=version_1)


def freeze_client_by_version_2(stage: Stage) -> None:
    """Version 2 has its freezer in every group. Where it is not mounted it is for as long as the stage stands."""
    if (CGROUPS / "cgroup.controllers").exists():
        _freeze(stage, CGROUPS, version_1=False)
        return
    mounted = Path(tempfile.mkdtemp(prefix="corpus-cgroup2-"))
    stage.stack.callback(mounted.rmdir)
    subprocess.run(["mount", "-t", "cgroup2", "corpus", str(mounted)], check=True)
    stage.stack.callback(subprocess.run, ["umount", str(mounted)], check=True)
    _freeze(stage, mounted, version_1=False)


def _freeze(stage: Stage, above: Path, *, version_1: bool) -> None:
    group = above / f"corpus-{secrets.token_hex(6)}"
    group.mkdir()
    home, members = group.parent / "cgroup.procs", group / "cgroup.procs"
    state, frozen, thawed = ("freezer.state", "FROZEN", "THAWED") if version_1 else ("cgroup.freeze", "1", "0")

    def undo() -> None:
        (group / state).write_text(thawed)
        for pid in members.read_text().split():
            home.write_text(pid)
        group.rmdir()

    stage.stack.callback(undo)
    members.write_text(str(stage.pids["client"]))
    (group / state).write_text(frozen)

    def is_frozen() -> bool:
        if version_1:
            return (group / state).read_text().strip() == frozen
        return "frozen 1" in (group / "cgroup.events").read_text()

    stage.until(is_frozen, "the freezer does not freeze it", 5)


def pause_container(stage: Stage) -> None:
    assert stage.container is not None
    docker("pause", stage.container.id)


CASES = (
    Case(
        "stopped-after-the-seal",
        "SIGSTOP of the client of a frozen pair.",
        Truth.STANDS,
        accepting(echo),
        connecting(write_only),
        act=stop_client,
        outcomes=SUSPENDED,
    ),
    Case(
        "server-stopped-after-the-seal",
        "SIGSTOP of the server of a frozen pair.",
        Truth.STANDS,
        accepting(echo),
        connecting(write_only),
        act=stop_server,
        outcomes=SUSPENDED,
    ),
    Case(
        "stopped-in-motion",
        "SIGSTOP of the client while the two converse.",
        Truth.STANDS,
        accepting(echo),
        connecting(converse),
        act=stop_client,
        in_motion=True,
        outcomes=SUSPENDED,
    ),
    Case(
        "stopped-before-the-seal",
        "SIGSTOP of the server while the client fills it.",
        Truth.STANDS,
        accepting(echo, block=16),
        connecting(write_paced),
        act=stop_server,
        in_motion=True,
        outcomes=SUSPENDED,
    ),
    Case(
        "cgroup-frozen",
        "The client of a frozen pair in a frozen cgroup.",
        Truth.STANDS,
        accepting(echo),
        connecting(write_only),
        act=freeze_client,
        outcomes=SUSPENDED,
    ),
    Case(
        "cgroup-frozen-by-version-2",
        "The client of a frozen pair in a frozen cgroup of version 2: nothing of it shows but where it sleeps.",
        Truth.STANDS,
        accepting(echo),
        connecting(write_only),
        act=freeze_client_by_version_2,
        outcomes=SUSPENDED,
    ),
    Case(
        "docker-paused",
        "`docker pause` of the client of a frozen pair.",
        Truth.STANDS,
        accepting(echo),
        connecting(write_only),
        act=pause_container,
        docker=True,
        outcomes=SUSPENDED,
    ),
    Case(
        "docker-frozen-pair",
        "The client in a container that is not paused: plainly dead.",
        Truth.DEADLOCK,
        accepting(echo),
        connecting(write_only),
        docker=True,
    ),
)
