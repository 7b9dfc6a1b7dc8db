"""`lab watch` on a Compose project that is not the lab's: two containers that run as an ordinary user and freeze."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.testbed.lab_on_docker import LIMIT_S, ROOT, environment
from tests.waiting import seen

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.xdist_group("docker")]

PORT = 7707
PROJECT = f"strangers-{os.getpid()}"
CONTROLLER_S = ["docker", "compose", "--project-name", f"{PROJECT}-watched"]
ENVIRONMENT = environment("198.18.35")
SERVES = f"""
import socket
with socket.create_server(("", {PORT})) as listener:
    while True:
        connection, _ = listener.accept()
        while block := connection.recv(1024):
            connection.sendall(block)
"""
ASKS = f"""
import socket, time
while True:
    try:
        connection = socket.create_connection(("serves", {PORT}))
        break
    except OSError:
        time.sleep(0.1)
if {{frozen}}:
    while True:
        connection.sendall(bytes(1024))
connection.recv(1)
"""


def compose_file(*, frozen: bool) -> str:
    shared = {
        "image": "zero-window-lab-endpoint",
        "user": "1000:1000",
        "entrypoint": ["python3", "-c"],
        "init": True,
        "networks": ["theirs"],
        "sysctls": {"net.ipv4.tcp_rmem": "4096 8192 8192", "net.ipv4.tcp_wmem": "4096 8192 8192"},
    }
    services = {
        "serves": {**shared, "command": [SERVES]},
        "asks": {**shared, "command": [ASKS.format(frozen=frozen)], "depends_on": ["serves"]},
    }
    network = {"ipam": {"config": [{"subnet": "198.18.34.0/24"}]}}
    return json.dumps({"services": services, "networks": {"theirs": network}})


@pytest.fixture(params=[True, False], ids=["frozen", "waiting to read"])
def frozen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[bool]:
    """Whether the pair that stands is frozen."""
    subprocess.run([ROOT / "scripts/images"], check=True, timeout=600)
    path = tmp_path / "compose.json"
    path.write_text(compose_file(frozen=request.param))
    words = ["docker", "compose", "--project-name", PROJECT, "--file", str(path)]
    try:
        subprocess.run([*words, "up", "--detach"], check=True, timeout=LIMIT_S, capture_output=True)
        yield request.param
    finally:
        for each in (words, CONTROLLER_S):
            down = [*each, "down", "--timeout", "1"]
            subprocess.run(down, cwd=ROOT, env=ENVIRONMENT, check=True, timeout=LIMIT_S, capture_output=True)


def said(command: list[str]) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert told["errors"] == []
    return done.returncode, told["connections"]


def until_it_stands(look: Callable[[], tuple[int, list[dict[str, Any]]]], code: int) -> list[dict[str, Any]]:
    """Containers start in their own time, and TCP's own last moves take half a second."""
    _, connections = seen(look, lambda said: said[0] == code and said[1], pause_s=0.2)
    return connections


def test_it_is_found_from_the_host_and_from_the_controller_s_image(frozen: bool) -> None:
    words = ["watch", "--once", "--format", "json"]
    host = [sys.executable, "-m", "lab", *words, "--compose", PROJECT]
    controller = [*CONTROLLER_S, "run", "--rm", "--no-deps", "controller", *words, "--port", str(PORT)]
    (from_host,) = until_it_stands(lambda: said(host), 1 if frozen else 0)
    (from_controller,) = until_it_stands(lambda: said(controller), 1 if frozen else 0)
    for found in (from_host, from_controller):
        assert found["server"].endswith(f":{PORT}")
        assert found["outcome"] == ("deadlock" if frozen else "read-read")
        for each in found["qualifiers"]:
            assert "unreadable fd tables" in each or "an alarm is pending" in each, "of PID 1, and of pytest"
        assert found["grade"] in (("proven", "qualified") if frozen else (None,))
    assert from_host["client"] == from_controller["client"]
    if frozen:
        assert {edge["waiter"].split()[1] for edge in from_controller["cycle"]} == {"python3"}
        assert all(PROJECT in edge["waiter"] for edge in from_host["cycle"])
