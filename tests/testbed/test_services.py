"""The services of compose.yaml are started by whichever Compose there is, followed to their end, and taken down."""

import gc
import random
import secrets
import shutil
import subprocess
import time
import warnings
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab import errors
from lab.kernel.procfs import argv
from lab.testbed import engine, services
from tests.testbed.lab_on_docker import ROOT, containers, holds_nothing
from tests.waiting import LIMIT_S, until

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

NET = "198.18.34"

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.xdist_group("docker")]


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder where programs are found."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_the_plugin_is_preferred_and_the_old_program_will_do(found: Path) -> None:
    program(found, "docker-compose", "exit 0")
    program(found, "docker", "exit 0")
    assert services.command() == ("docker", "compose")
    program(found, "docker", "exit 1")
    assert services.command() == ("docker-compose",)


def test_with_neither_it_says_what_installs_one(found: Path) -> None:
    program(found, "docker", "exit 1")
    with pytest.raises(errors.EnvironmentLacksError, match="neither docker compose nor docker-compose: scripts/setup"):
        services.command()


def test_its_version_is_its_last_line(found: Path) -> None:
    program(found, "docker-compose", 'echo "a warning"; echo; echo " 1.29.2 "; echo')
    assert services.version(("docker-compose",)) == "1.29.2"


def test_one_that_hangs_is_ended_and_told_in_one_line(found: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "QUESTION_S", 0.3)
    seconds = f"3600.{secrets.randbits(40)}"
    program(found, "docker-compose", f"/bin/sleep {seconds} & wait")
    began = time.monotonic()
    with pytest.raises(errors.EnvironmentLacksError, match=r"^`docker-compose version` did not end within 0\.3 s$"):
        services.version(("docker-compose",))
    assert time.monotonic() - began < LIMIT_S
    until(lambda: not [each for each in Path("/proc").glob("[0-9]*") if seconds in argv(int(each.name))])


def test_the_environment_has_the_last_word_on_what_images_are_built_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASE_IMAGE", "python:3.12-slim")
    assert services.base_image() == "python:3.12-slim"
    monkeypatch.delenv("BASE_IMAGE")
    dotenv = ROOT / ".env"
    noted = dotenv.exists() and "BASE_IMAGE=" in dotenv.read_text()
    assert noted or services.base_image() == "python:3.13-slim"


def test_an_example_of_another_net_is_another_net() -> None:
    number = random.Random(0).randrange(256)
    assert services.another(f"198.18.{number}") == f"for example 198.18.{(number + 1) % 256}"
    assert services.another("198.18.255") == "for example 198.18.0"


@pytest.fixture(scope="module")
def _images() -> None:
    subprocess.run([ROOT / "scripts/images"], check=True, timeout=600)


@pytest.fixture
def client(_images: None) -> "Iterator[DockerClient]":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # docker's own
        with engine.reached() as client:
            yield client
        gc.collect()


def values() -> dict[str, str]:
    return {"LAB_NET": NET, "LAB_OWNER": engine.this_lab()}


def ran(client: "DockerClient", code: str, labels: dict[str, str]) -> "Container":
    """A container of the endpoint's image that has run this."""
    made = client.containers.run(
        "zero-window-lab-endpoint", ["-c", code], entrypoint="python3", detach=True, labels=labels,
        name=f"zero-window-lab-test-{secrets.token_hex(4)}", network_mode="none",
    )  # fmt: skip
    made.wait(timeout=60)
    return made


@pytest.mark.usefixtures("_images")
def test_images_that_were_just_made_are_current() -> None:
    assert services.images_are_current()


@pytest.mark.usefixtures("_images")
def test_images_are_older_than_what_they_copy_and_than_nothing_else(tmp_path: Path) -> None:
    """A picture beside the Dockerfile is not in them."""
    for name in ("scripts", "images", "lab"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "dev", "benchmarks"))
    for name in ("requirements.txt", ".env"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, tmp_path / name)
    check = [str(tmp_path / "scripts/images"), "--check"]
    assert subprocess.run(check, timeout=60, check=False).returncode == 0
    (tmp_path / "images/another.png").write_bytes(b"PNG")
    (tmp_path / "scripts/another").write_text("")
    assert subprocess.run(check, timeout=60, check=False).returncode == 0
    with (tmp_path / "lab/version.py").open("a") as code:
        code.write("\n")
    assert subprocess.run(check, timeout=60, check=False).returncode == 1


def test_what_is_started_is_found_by_its_labels_and_an_error_takes_it_down(client: "DockerClient") -> None:
    owner = engine.this_lab()
    with pytest.raises(ZeroDivisionError), services.started(client, values(), "server"):  # noqa: PT012
        server = services.container(client, owner, NET, "server")
        assert server.attrs["State"]["Running"]
        assert [str(server.short_id)] == containers(NET)
        with pytest.raises(errors.TestbedError, match="the client's container is gone"):
            services.container(client, owner, NET, "client")
        raise ZeroDivisionError
    assert holds_nothing(NET)


def test_one_that_ended_at_once_is_told_with_its_last_line(client: "DockerClient") -> None:
    labels = {engine.NET: NET, engine.OWNER: "", "com.docker.compose.service": "server"}
    ended = ran(client, "import sys; sys.exit('no such behaviour')", labels)
    try:
        with pytest.raises(errors.TestbedError, match="ended at once: no such behaviour"):
            services.container(client, "", NET, "server")
    finally:
        ended.remove(force=True)


@pytest.mark.parametrize("code", services.DOCUMENTED)
def test_a_documented_exit_code_comes_through_with_both_streams(client: "DockerClient", code: int) -> None:
    said = f"import os; os.write(1, 'sagt \\u00fc'.encode()); os.write(2, b'complains'); os._exit({code})"
    controller, out, err = ran(client, said, {}), StringIO(), StringIO()
    try:
        assert services.followed(controller, out, err) == code
    finally:
        controller.remove(force=True)
    assert (out.getvalue(), err.getvalue()) == ("sagt \u00fc", "complains")


def test_any_other_end_is_somebody_elses_doing(client: "DockerClient") -> None:
    controller = ran(client, "import os; os.kill(os.getpid(), 9); os._exit(137)", {})
    try:
        with pytest.raises(errors.TestbedError, match=r"was ended from outside \(status 137\)"):
            services.followed(controller, StringIO(), StringIO())
    finally:
        controller.remove(force=True)
