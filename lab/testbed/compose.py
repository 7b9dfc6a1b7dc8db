"""Two containers on a network of their own: compose.yaml starts them, the Docker SDK finds them by their labels.

In the controller's container the pair runs already, or will soon: it is found in /proc, met, and left standing. On the
host, root starts the pair for one run and plays it from outside. For a user who may use Docker only, the controller's
container plays it.
"""

import errno
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import EnvironmentLacksError, LabError, TestbedError
from lab.installation import default_runs
from lab.kernel.place import journal, link
from lab.kernel.place.netns import Namespace
from lab.kernel.procfs import argv, parent_of, start_of
from lab.spec import Pair, Role, Spec
from lab.testbed import ALONE, Site, Startup, Testbed, engine, process, services
from lab.testbed.leftovers import is_left
from lab.testbed.services import Pipe

if TYPE_CHECKING:
    from docker import DockerClient

RETRY_S = 0.02
EXEC_S = 2.0
"""The engine reports a container as running a moment before its process has executed the container's program."""
IPV6_S = 5.0
"""An address is tentative for a second or two, until no duplicate has answered (RFC 4862 section 5.4)."""


@contextmanager
def site(spec: Spec, startup: Startup = ALONE) -> Iterator[Site]:
    startup.meanwhile()
    with _in_a_controller(spec) if os.environ.get("LAB_CONTROLLER") == "1" else _on_the_host(spec) as ready:
        yield ready


@contextmanager
def _in_a_controller(spec: Spec) -> Iterator[Site]:
    with ExitStack() as stack:
        hosts = Pair(*(_found(spec, role) for role in Role))
        for _, namespace in hosts:
            stack.enter_context(namespace)
        pids, namespaces = (Pair(*each) for each in zip(*hosts, strict=True))
        yield stack.enter_context(_met(spec, namespaces, pids, {}))


@contextmanager
def _on_the_host(spec: Spec) -> Iterator[Site]:
    services.require_clone()
    with engine.reached() as client, ExitStack() as stack:
        owner = engine.this_lab()
        _refuse_what_stands(client, spec.net)
        values = {"LAB_NET": spec.net, "LAB_OWNER": owner, "LAB_MTU": str(spec.mtu or "")}
        stack.enter_context(services.started(client, values, "server", "client"))
        namespaces, pids, notes = [], [], {"engine": str(client.version()["Version"])}
        for role in Role:
            container = services.container(client, owner, spec.net, role)
            pids.append(container.attrs["State"]["Pid"])
            namespaces.append(stack.enter_context(_namespace_of(spec, role, pids[-1])))
            notes |= {
                f"{role} image": container.attrs["Image"],
                f"{role} container": container.attrs["Name"].lstrip("/"),
            }
        yield stack.enter_context(_met(spec, Pair(*namespaces), Pair(*pids), notes))


@contextmanager
def _met(spec: Spec, namespaces: Pair[Namespace], pids: Pair[int], notes: Mapping[str, str]) -> Iterator[Site]:
    """The pair, held at the barrier."""
    addresses = Pair(*(spec.address(role) for role in Role))
    for role in Role:
        _await_address(namespaces[role], addresses[role])
    with (
        _alone(namespaces.server, spec.net),
        process.programs(namespaces, spec.net, spec.limits.barrier_s, pids) as programs,
    ):
        interfaces = Pair(*(link.interface_of(namespaces[role], addresses[role]) for role in Role))
        yield Site(namespaces, programs, addresses, interfaces, standing=_look_at(pids), notes=notes)


def _look_at(pids: Pair[int]) -> str:
    return f"nsenter -n -t {pids.client} ss -tnoiem on the host, and {pids.server} for the server"


@contextmanager
def _alone(namespace: Namespace, net: str) -> Iterator[None]:
    """Hold the lock of a pair's only controller. No kill leaves it behind: an abstract name ends with its socket."""
    with namespace.call(socket.socket, socket.AF_UNIX) as lock:
        try:
            lock.bind(f"\0zero-window-lab/{net}/controller")
        except OSError:
            raise TestbedError(
                f"another lab plays on {net} already: set LAB_NET to another, {services.another(net)}"
            ) from None
        yield


def _found(spec: Spec, role: Role) -> tuple[int, Namespace]:
    """The endpoint of this lab, as soon as it runs. The start order does not matter."""
    deadline = time.monotonic() + spec.limits.barrier_s
    why = "is its container up, with the same LAB_NET? (docker compose ps)"
    while True:
        for pid in _endpoints(role, spec.net):
            try:
                return pid, _namespace_of(spec, role, pid)
            except LabError as error:
                why = str(error)
        if time.monotonic() > deadline:
            raise TestbedError(f"waited {spec.limits.barrier_s:g} s for the {role}'s program of {spec.net}: {why}")
        time.sleep(RETRY_S)


def _endpoints(role: Role, net: str) -> list[int]:
    """Processes that run as this endpoint, without the processes that they have forked, whose argv is the same."""
    wanted = ["-m", "lab.endpoint", role, net]
    return [
        pid
        for pid in (int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal())
        if argv(pid)[1:] == wanted and argv(parent_of(pid) or 0)[1:] != wanted
    ]


def _namespace_of(spec: Spec, role: Role, pid: int) -> Namespace:
    """The process's network namespace. Raises TestbedError unless it holds this lab's address of this role."""
    deadline = time.monotonic() + EXEC_S
    while argv(pid)[1:] != ["-m", "lab.endpoint", role, spec.net]:
        if start_of(pid) is None or time.monotonic() > deadline:
            raise TestbedError(
                f"process {pid} is not the {role}'s program: it ended, or the engine's processes are not this "
                "machine's; play inside, with `docker compose up`"
            )
        time.sleep(RETRY_S)
    namespace = Namespace.of(pid)
    try:
        link.interface_of(namespace, _identifying(spec, role))
    except LabError:
        namespace.close()
        raise
    return namespace


def _identifying(spec: Spec, role: Role) -> str:
    """The address that only this lab's endpoint has. It is that of IPv4, since IPv6 may be missing."""
    return f"{spec.net}.{10 if role is Role.SERVER else 20}"


def _await_address(namespace: Namespace, address: str) -> None:
    """Wait until a program can bind the address; a tentative one cannot be bound."""
    deadline = time.monotonic() + IPV6_S
    while not namespace.call(_may_bind, address):
        if time.monotonic() > deadline:
            raise EnvironmentLacksError(
                f"the containers have no address {address}: this host or its Docker engine is without IPv6; use --ip 4"
            )
        time.sleep(RETRY_S)


def _may_bind(address: str) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise
        return False
    return True


def _refuse_what_stands(client: "DockerClient", net: str) -> None:
    """Remove what a killed lab left on this net. Refuse to play if anything of somebody else stands there."""
    engine.clear(client, lambda: [each for each in engine.things(client, net=net) if is_left(each)], 1)
    standing = engine.things(client, net=net)
    if standing:
        first = standing[0]
        whose = "another lab" if first.owner else "`docker compose up`"
        raise EnvironmentLacksError(
            f"{net} is taken by {whose} ({first.kind} {first.name}): end that, or set LAB_NET to another, "
            f"{services.another(net)}"
        )


def through_the_controller(spec: Spec, environment: Mapping[str, str], out: Pipe, err: Pipe) -> int:
    """The exit code of the controller's container. It gets these LAB_* variables, `out` and `err` its output."""
    services.require_clone()
    runs = Path(environment.get("LAB_RUNS") or default_runs()).absolute()
    try:
        runs.mkdir(parents=True, exist_ok=True)  # else the engine makes it, as root
    except OSError as error:
        raise EnvironmentLacksError(f"cannot make {runs} ({error.strerror}): give another folder with --runs") from None
    with engine.reached() as client:
        owner = engine.this_lab()
        _refuse_what_stands(client, spec.net)
        # The engine makes the journal's folder, as root, which a rootless engine may not: only if it is needed.
        state = str(journal.path()) if spec.host_sysctls else os.devnull
        mine = {"LAB_NET": spec.net, "LAB_OWNER": owner, "LAB_RUNS_ON_HOST": str(runs), "LAB_STATE": state}
        with services.started(client, {**environment, **mine}, "server", "client", "controller"):
            return services.followed(services.container(client, owner, spec.net, "controller"), out, err)


TESTBED = Testbed("compose", "two containers on a network of their own, brought up by Docker Compose", site)
