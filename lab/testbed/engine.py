"""The Docker engine: connects to it, and finds and removes what a lab made in it, by labels and never by name."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import EnvironmentLacksError, TestbedError
from lab.installation import advice
from lab.kernel import procfs

if TYPE_CHECKING:
    from docker import DockerClient

NET, OWNER = "org.zero-window-lab.net", "org.zero-window-lab.owner"
"""Labels of compose.yaml. The owner is empty for what a person brought up by hand."""

CALL_S = 60
QUIET_S, LOOKS = 0.5, 3
"""What a killed lab had asked for may still appear, 0.03 to 0.97 s after the kill (6 of 20 kills during the start). So
this many looks in a row, with this pause between them, must find nothing."""
LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Thing:
    """A container or a network that some lab made."""

    kind: str
    id: str
    name: str
    net: str
    owner: str


@contextmanager
def reached(call_s: int = CALL_S) -> Iterator["DockerClient"]:
    """A client of the engine, whose calls take at most `call_s`.

    Raises EnvironmentLacksError if no engine answers, TestbedError if the engine refuses or the connection breaks.
    """
    import docker  # noqa: PLC0415 - 0.2 s to import
    import requests  # noqa: PLC0415

    try:
        client = docker.from_env(timeout=call_s)
    except docker.errors.DockerException as error:
        raise EnvironmentLacksError(_unreachable(str(error))) from None
    try:
        yield client
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise TestbedError(f"the Docker engine broke away or refuses: {_one_line(error)}") from None
    finally:
        client.close()


def _unreachable(why: str) -> str:
    if os.environ.get("LAB_CONTROLLER"):
        return (
            "the controller's container has no docker.sock, and so knows no containers: run this on the host; "
            "`lab watch` takes --pid, --netns and --port here too"
        )
    instead = "`lab run` without --testbed compose needs no Docker"
    if "ermission denied" in why:
        return f"this user may not use the Docker engine: join the group docker, or run as root; {instead}"
    if there := os.environ.get("DOCKER_HOST"):
        return f"no Docker engine answers at {there[:80]}: unset DOCKER_HOST, or correct it; {instead}"
    start = advice("scripts/setup installs and starts one", "install Docker and start it")
    return f"no Docker engine answers here: {start}; {instead}"


def _one_line(error: Exception) -> str:
    return " ".join(str(getattr(error, "explanation", None) or error).split())[:300]


def this_lab() -> str:
    """The mark that this process puts on what it makes: `pid:start ticks:boot id:pid namespace`."""
    pid = os.getpid()
    return f"{pid}:{procfs.start_of(pid)}:{procfs.boot_id()}:{_pid_namespace()}"


def lives(owner: str) -> bool | None:
    """Whether the lab that made it still runs; None if that cannot be known from here."""
    match owner.split(":"):
        case [pid, start, boot, namespace] if pid.isdecimal() and start.isdecimal():
            pass
        case _:
            return None
    if boot != procfs.boot_id():
        return False
    if namespace != _pid_namespace():
        return None
    return procfs.is_alive(int(pid), int(start))


def _pid_namespace() -> str:
    return str(Path("/proc/self/ns/pid").stat().st_ino)


def is_local() -> bool:
    """Whether the engine is on this machine. Nothing can be known here about the labs of another one."""
    return os.environ.get("DOCKER_HOST", "unix://").startswith("unix://")


def things(client: "DockerClient", **labels: str) -> list[Thing]:
    """What has the lab's labels, with these values, in any state: containers first, since they use the networks."""
    wanted = [f"{_LABELS[key]}={value}" for key, value in labels.items()] or [NET]
    containers = client.api.containers(all=True, filters={"label": wanted})
    networks = client.api.networks(filters={"label": wanted})
    return [
        *(_thing("container", each["Id"], each["Names"][0].lstrip("/"), each["Labels"]) for each in containers),
        *(_thing("network", each["Id"], each["Name"], each["Labels"]) for each in networks),
    ]


_LABELS = {"net": NET, "owner": OWNER}


def _thing(kind: str, identifier: str, name: str, labels: dict[str, str]) -> Thing:
    return Thing(kind, identifier, name, labels.get(NET, ""), labels.get(OWNER, ""))


def clear(client: "DockerClient", doomed: Callable[[], list[Thing]], looks: int) -> list[Thing]:
    """Remove what `doomed` finds, until so many looks in a row find nothing. Returns what was removed.

    Raises TestbedError for what is still there after LIMIT_S.
    """
    removed: dict[str, Thing] = {}
    deadline = time.monotonic() + LIMIT_S
    quiet = 0
    while True:
        found = doomed()
        for thing in found:
            why = _remove(client, thing)
            if why is None:
                removed[thing.id] = thing
            elif time.monotonic() > deadline:
                raise TestbedError(f"cannot remove the {thing.kind} {thing.name}: {why}")
        quiet = 0 if found else quiet + 1
        if quiet >= looks:
            return list(removed.values())
        if not found:
            time.sleep(QUIET_S)


def _remove(client: "DockerClient", thing: Thing) -> str | None:
    """None once it is gone, else the reason: it is being removed or still starts, or containers use the network."""
    import docker  # noqa: PLC0415

    try:
        if thing.kind == "container":
            client.api.remove_container(thing.id, force=True, v=True)
        else:
            client.api.remove_network(thing.id)
    except docker.errors.NotFound:
        return None
    except docker.errors.APIError as error:
        time.sleep(0.05)
        return _one_line(error)
    return None
