"""Other people's containers: their names and their processes. Reads, and changes nothing."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from lab.errors import BadInputError, EnvironmentLacksError, TestbedError
from lab.kernel.procfs import text_of
from lab.testbed import engine

if TYPE_CHECKING:
    from docker import DockerClient

_ID = re.compile(r"\b[0-9a-f]{64}\b")
PROJECT = "com.docker.compose.project"
NAMES_S = 2
"""The limit for a question about names: an engine that stalls must not delay a verdict."""


def main_pids(names: Iterable[str], projects: Iterable[str]) -> dict[str, int]:
    """The main process of each container that was asked for, by its name. Raises BadInputError for an unknown one."""
    with engine.reached() as client:
        return {name: pid for found in _asked(client, names, projects) for name, pid in found().items()}


def main_pids_now(names: Iterable[str], projects: Iterable[str]) -> dict[str, int]:
    """The same for those that run at this moment; nothing if no engine answers soon."""
    found: dict[str, int] = {}
    with suppress(EnvironmentLacksError, TestbedError), engine.reached(NAMES_S) as client:
        for each in _asked(client, names, projects):
            with suppress(BadInputError):
                found |= each()
    return found


def _asked(
    client: "DockerClient", names: Iterable[str], projects: Iterable[str]
) -> Iterator[Callable[[], dict[str, int]]]:
    yield from (partial(_named, client, name) for name in names)
    yield from (partial(_in_project, client, project) for project in projects)


def _named(client: "DockerClient", name: str) -> dict[str, int]:
    import docker  # noqa: PLC0415 - 0.2 s to import

    try:
        return _running(client.api.inspect_container(name))
    except (docker.errors.NotFound, docker.errors.NullResource):
        raise BadInputError(f"no container '{name[:80]}': docker ps lists what runs") from None


def _in_project(client: "DockerClient", project: str) -> dict[str, int]:
    inside = client.api.containers(filters={"label": f"{PROJECT}={project}"})
    if not inside:
        raise BadInputError(f"no container of a compose project '{project[:80]}' runs: docker compose ls")
    found: dict[str, int] = {}
    for each in inside:
        found |= _named(client, each["Id"])
    return found


def _running(attributes: dict[str, dict[str, int]]) -> dict[str, int]:
    name = str(attributes["Name"]).lstrip("/")
    pid = int(attributes["State"]["Pid"])
    if not pid:
        raise BadInputError(f"container '{name}' does not run")
    return {name: pid}


def names_of(pids: Iterable[int]) -> dict[int, str]:
    """The container of each process that is in one, from its cgroup; the id if no engine answers soon."""
    ids = {pid: identifier for pid in pids if (identifier := _container_id(pid))}
    if not ids:
        return {}
    try:
        with engine.reached(NAMES_S) as client:
            named = {each["Id"]: each["Names"][0].lstrip("/") for each in client.api.containers()}
    except (EnvironmentLacksError, TestbedError):
        return {pid: identifier[:12] for pid, identifier in ids.items()}
    return {pid: named.get(identifier, identifier[:12]) for pid, identifier in ids.items()}


def _container_id(pid: int) -> str | None:
    try:
        found = _ID.search(text_of(f"/proc/{pid}/cgroup"))
    except OSError:
        return None
    return found[0] if found else None
