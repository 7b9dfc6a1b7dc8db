"""The names of containers are a help only: there is a verdict even if the engine does not give them."""

import gc
import os
import socket
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.testbed import containers
from tests.waiting import LIMIT_S

IDENTIFIER = "0123456789abcdef" * 4


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket of an engine that may not answer. This process is taken for one in a container."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "docker.sock"))
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
        monkeypatch.setattr(containers, "_container_id", lambda _: IDENTIFIER)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # docker's own
            yield listener
            gc.collect()


def test_an_engine_that_stalls_is_waited_for_a_moment_only(
    engine: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "NAMES_S", 0.2)
    engine.listen()
    began = time.monotonic()
    assert containers.names_of([os.getpid()]) == {os.getpid(): IDENTIFIER[:12]}
    assert time.monotonic() - began < LIMIT_S


@pytest.mark.usefixtures("engine")
def test_without_an_engine_it_is_named_by_its_id() -> None:
    assert containers.names_of([os.getpid()]) == {os.getpid(): IDENTIFIER[:12]}


def test_who_is_in_no_container_is_not_asked_for() -> None:
    assert containers.names_of([os.getpid()]) == {}
