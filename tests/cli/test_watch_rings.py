"""`lab watch` on rings of programs: each connection has one end that writes, and all are told once, by their knot."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cli.test_watch import watch
from tests.commanded import ROOT
from tests.waiting import LIMIT_S, until
from tests.watching.watched import loopback, started

PROOFS = ("proven", "qualified")


@contextmanager
def ring(length: int, *, late: bool = False) -> Iterator[tuple[str, list[str]]]:
    """The namespace of a ring, and the port of each of its connections."""
    with loopback() as namespace:
        process = started(namespace, sys.executable, str(ROOT / "tests/ring.py"), str(length), str(int(late)))
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            word, *ports = process.stdout.readline().split()
            assert word == "ready"
            yield f"/proc/{process.pid}/ns/net", ports
        finally:
            process.stdin.close()
            process.stdout.close()
            process.wait(LIMIT_S)


def once_still(*arguments: str, wanted: list[str]) -> tuple[int, dict[str, Any]]:
    """When each connection has come to rest: TCP's own last moves come late on a busy machine."""
    said: list[tuple[int, dict[str, Any]]] = []

    def told() -> bool:
        said.append(watch(*arguments))
        return sorted(each["outcome"] for each in said[-1][1]["connections"]) == wanted

    until(told)
    return said[-1]


@pytest.mark.parametrize("length", [3, 4])
def test_a_ring_is_one_deadlock_with_all_its_connections(length: int) -> None:
    with ring(length) as (folder, _):
        code, said = once_still("--netns", folder, wanted=["deadlock"] * length)
    assert code == 1
    assert {each["grade"] for each in said["connections"]} <= set(PROOFS)
    (knot,) = said["knots"]
    assert knot["connections"] == list(range(length))
    assert {each["knot"] for each in said["connections"]} == {knot["id"]}
    waiters = [each["waiter"] for each in knot["edges"]]
    assert len(set(waiters)) == length
    assert {each["holder"] for each in knot["edges"]} == set(waiters)
    assert {each["waits_for"] for each in knot["edges"]} == {"room to write"}


def test_one_leg_of_a_ring_is_enough() -> None:
    """The waits lead to the others."""
    with ring(3) as (folder, ports):
        once_still("--netns", folder, wanted=["deadlock"] * 3)
        code, said = watch("--port", ports[1])
    assert (code, len(said["connections"])) == (1, 1)
    assert said["connections"][0]["grade"] in PROOFS
    assert len(said["knots"][0]["edges"]) == 3


def test_the_report_tells_a_ring_once() -> None:
    with ring(3) as (folder, ports):
        once_still("--netns", folder, wanted=["deadlock"] * 3)
        command = [sys.executable, "-m", "lab", "watch", "--once", "--netns", folder]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    text = " ".join(done.stdout.split())
    assert text.count("would have to act") == 3
    assert "3 connections, in one circle" in text
    assert all(text.count(f"127.0.0.1:{port}:") == 1 for port in ports)


def test_a_ring_of_which_one_may_read_on_is_no_deadlock() -> None:
    """The connections before it stand, and it may still set them going."""
    with ring(3, late=True) as (folder, _):
        code, said = once_still("--netns", folder, wanted=["idle", "one-sided-stall", "one-sided-stall"])
    assert code == 0
    assert said["knots"] == []
    stalled = [each for each in said["connections"] if each["outcome"] == "one-sided-stall"]
    assert all(each["live"] for each in stalled), "who may still read is named"
