"""What killed labs left is ended, put back or named; a living lab, and what is not the lab's, is left alone."""

import fcntl
import gc
import os
import secrets
import select
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.kernel.place import journal
from lab.testbed import engine, leftovers
from lab.testbed.engine import Thing
from tests.commanded import ROOT, parent_of
from tests.testbed.test_engine import mark
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The journal's folder, of this test alone, and no engine."""
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    tmp_path.chmod(0o700)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # docker's own, for an engine that is not there
        yield tmp_path
        gc.collect()


def endpoint() -> list[str]:
    return [sys.executable, "-S", "-m", "lab.endpoint", "server", f"left-{secrets.token_hex(8)}"]


@contextmanager
def orphan() -> Iterator[int]:
    """An endpoint that has outlived who started it."""
    leave = "import subprocess as s, sys; print(s.Popen(sys.argv[1:], stdout=s.DEVNULL).pid, flush=True)"
    words = [sys.executable, "-c", leave, *endpoint()]
    said = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, timeout=LIMIT_S, check=True).stdout
    pidfd = os.pidfd_open(int(said))
    try:
        yield int(said)
        assert select.select([pidfd], [], [], LIMIT_S)[0], "it lives on"
    finally:
        os.close(pidfd)


def test_an_endpoint_that_outlived_its_lab_is_ended_and_named() -> None:
    with orphan() as pid:
        assert parent_of(pid) != os.getpid()
        assert leftovers.Leftover("process", f"{pid} (lab.endpoint)", "its lab is gone") in leftovers.restore().removed


def test_an_endpoint_whose_parent_lives_is_not_touched() -> None:
    with subprocess.Popen(endpoint(), cwd=ROOT) as kept:
        assert f"{kept.pid} (lab.endpoint)" not in [each.name for each in leftovers.restore().removed]
        assert kept.poll() is None
        kept.kill()


def test_without_an_engine_that_is_named_and_the_rest_is_done() -> None:
    (told,) = (each for each in leftovers.restore().untouched if each.kind == "engine")
    assert told.why.startswith("no Docker engine answers at")


def test_a_journal_that_cannot_be_believed_is_for_a_person_to_see_to(state: Path) -> None:
    (state / journal.NAME).write_text("{")
    (failed,) = leftovers.restore().failed
    assert (failed.kind, failed.name) == ("settings", "net.core")
    assert "is damaged or was not written by the lab" in failed.why


def test_settings_that_a_living_lab_has_are_left_to_it(state: Path) -> None:
    held = os.open(state, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        restored = leftovers.restore()
    finally:
        os.close(held)
    assert restored.failed == restored.put_back == ()
    (told,) = (each for each in restored.untouched if each.kind == "settings")
    assert told.why.startswith("another lab has the settings of this host")


def test_a_thing_is_left_if_its_lab_is_known_to_be_gone_and_only_then() -> None:
    def of(owner: str) -> Thing:
        return Thing("container", "1", "name", "198.18.20", owner)

    assert leftovers.is_left(of(mark(os.getpid(), start="1")))
    assert not leftovers.is_left(of(engine.this_lab()))
    assert not leftovers.is_left(of(mark(os.getpid(), namespace="1"))), "it cannot be known from here"
    assert not leftovers.is_left(of("")), "a person's own"
