"""`lab watch` finds both ends of a connection that a NAT of this host changes on its way, and proves its freeze."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.kernel.place.netns import Namespace, program_in
from lab.spec import Outcome
from tests import nat
from tests.commanded import ROOT
from tests.waiting import LIMIT_S, seen

pytestmark = pytest.mark.xdist_group("nat")

WATCH = [sys.executable, "-m", "lab", "watch", "--once", "--format", "json"]
SMALL = """
import socket, sys
def small(end):
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        end.setsockopt(socket.SOL_SOCKET, option, 8192)
    return end
family = {"4": socket.AF_INET, "6": socket.AF_INET6}[sys.argv[1]]
address = sys.argv[2], int(sys.argv[3])
"""
SERVES = f"""{SMALL}
with small(socket.socket(family)) as listener:
    listener.bind(address)
    listener.listen()
    print("ready", flush=True)
    connection, _ = listener.accept()
while block := connection.recv(1024):
    connection.sendall(block)
"""
ASKS = f"""{SMALL}
connection = small(socket.socket(family))
connection.connect(address)
print("ready", flush=True)
while sys.argv[4] == "frozen":
    connection.sendall(bytes(1024))
connection.sendall(b"once")
connection.recv(4, socket.MSG_WAITALL)
connection.recv(1)
"""
NO_DEADLOCK = tuple(each.value for each in Outcome if each is not Outcome.DEADLOCK)
STAYS = "print('ready', flush=True); input()"


@contextmanager
def program(namespace: Namespace, text: str, *arguments: str) -> Iterator[int]:
    """Its pid, once it says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", text, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=program_in(namespace),  # noqa: PLW1509 - nothing else can setns
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate(timeout=LIMIT_S)


@contextmanager
def pair(ip: int, does: str, *, masquerade: bool = False) -> Iterator[tuple[int, int]]:
    """The pids of a client and a server with a router between, in whose namespace is somebody as well."""
    with ExitStack() as stack:
        hosts = stack.enter_context(nat.routed(masquerade=masquerade))
        stack.enter_context(program(hosts.router, STAYS))
        server = stack.enter_context(program(hosts.server, SERVES, str(ip), nat.SERVER[ip], str(nat.SERVED)))
        words = (str(ip), nat.ROUTER[ip], str(nat.PUBLISHED), does)
        yield stack.enter_context(program(hosts.client, ASKS, *words)), server


def watched(*arguments: str, before: tuple[str, ...] = ()) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run(
        [*before, *WATCH, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)["connections"]


def until(outcome: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The only connection, once it is so and, if it is a deadlock, proven: TCP's own last moves take half a second.

    Until then it is called anything but a deadlock that it is not.
    """

    def is_so(said: tuple[int, list[dict[str, Any]]]) -> bool:
        _, connections = said
        assert all(each["outcome"] in (outcome, *NO_DEADLOCK) for each in connections), connections
        return [each["outcome"] for each in connections] == [outcome] and all(
            each["grade"] in ("proven", "qualified", None) for each in connections
        )

    code, (found,) = seen(lambda: watched(*arguments), is_so)
    return code, found


@pytest.mark.parametrize(("ip", "masquerade"), [(4, False), (4, True), (6, False), (6, True)])
def test_a_frozen_pair_is_proven_through_a_router_s_nat(ip: int, masquerade: bool) -> None:
    with pair(ip, "frozen", masquerade=masquerade) as (client, server):
        code, found = until("deadlock", "--pid", str(client))
        assert code == 1
        assert found["grade"] is not None
        # Of PID 1, of pytest, of the pair itself, and of any process whose descriptors are just on their way.
        expected = ("fd tables", "alarm", "SO_RCVBUF", "in no table")
        assert all(any(word in each for word in expected) for each in found["qualifiers"]), found["qualifiers"]
        assert {each["waiter"] for each in found["cycle"]} == {f"{pid}/{pid} {_name(pid)}" for pid in (client, server)}
        assert not any("one end only" in each for each in found["missing"])
        address = f"[{nat.SERVER[6]}]" if ip == 6 else nat.SERVER[4]
        assert found["server"] == f"{address}:{nat.SERVED}", "as it calls itself"
        assert nat.CLIENT[ip] in found["client"]


def test_a_healthy_pair_is_none_by_its_published_port_or_by_the_one_behind_it() -> None:
    with pair(4, "healthy") as (client, _):
        pids = set()
        for port in nat.PUBLISHED, nat.SERVED:
            code, found = until("read-read", "--port", str(port))
            assert code == 0
            pids.add((found["client"], found["server"]))
        assert len(pids) == 1
        assert until("read-read", "--pid", str(client))[0] == 0


def test_who_may_not_ask_the_nat_says_what_is_needed() -> None:
    less = ("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin")
    with pair(4, "frozen") as (client, _):
        until("deadlock", "--pid", str(client))
        _, (found,) = watched("--pid", str(client), before=less)
    assert (found["seen"], found["grade"] in (None, "consistent")) == ("client", True), "one end proves nothing"
    (missing,) = [each for each in found["missing"] if each.startswith("one end only")]
    assert "another host, or NAT in between" in missing
    assert "CAP_NET_ADMIN" in missing


def test_without_a_process_in_the_router_s_namespace_there_is_one_end_only() -> None:
    """Nobody knows of such a namespace."""
    with ExitStack() as stack:
        hosts = stack.enter_context(nat.routed())
        stack.enter_context(program(hosts.server, SERVES, "4", nat.SERVER[4], str(nat.SERVED)))
        words = ("4", nat.ROUTER[4], str(nat.PUBLISHED), "healthy")
        client = stack.enter_context(program(hosts.client, ASKS, *words))
        _, (found,) = watched("--pid", str(client))
    assert found["missing"][-1] == (
        "one end only: no socket of this host has the reversed addresses (another host, or NAT in between)"
    )


@pytest.mark.docker
@pytest.mark.xdist_group("docker")
def test_a_frozen_pair_is_proven_through_a_published_port_of_a_container() -> None:
    """Docker's own rules lead the client there; its docker-proxy listens for those whom they leave out."""
    subprocess.run([ROOT / "scripts/images"], check=True, timeout=600)
    name, gateway = f"published-{os.getpid()}", "198.18.83.1"
    docker("network", "create", "--subnet", f"{gateway}/24", "--gateway", gateway, name)
    words = ["--rm", "--init", "--name", name, "--network", name, "--publish", f"{gateway}::{nat.SERVED}"]
    image = ["--entrypoint", "python3", "zero-window-lab-endpoint"]
    server = subprocess.Popen(
        ["docker", "run", *words, *image, "-c", SERVES, "4", "0.0.0.0", str(nat.SERVED)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        port = docker("port", name, str(nat.SERVED)).rpartition(":")[2]
        with program(Namespace.here(), ASKS, "4", gateway, port, "frozen"):
            for target in ("--container", name), ("--port", port):
                code, found = until("deadlock", *target)
                assert code == 1
                assert found["grade"] is not None
                assert found["server"].endswith(f":{nat.SERVED}")
                assert any(name in each["waiter"] for each in found["cycle"])
                assert found["client"].startswith(f"{gateway}:"), "no proxy is in between"
                assert not any("one end only" in each for each in found["missing"])
    finally:
        docker("rm", "--force", name)
        server.communicate(timeout=LIMIT_S)
        docker("network", "rm", name)


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], check=True, capture_output=True, text=True, timeout=LIMIT_S)
    return done.stdout.strip()


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
