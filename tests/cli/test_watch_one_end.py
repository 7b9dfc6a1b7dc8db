"""`lab watch` where the peer is on another host: what one end shows is said, and never as a proof."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from lab.kernel.place.netns import Namespace
from tests.cli.test_watch import watch
from tests.commanded import ROOT
from tests.waiting import LIMIT_S, until
from tests.watching.far_peer import FAR
from tests.watching.watched import fill, loopback, program

pytestmark = pytest.mark.root
PORT = 17125


@contextmanager
def far_peer(mode: str) -> Iterator[tuple[Namespace, str]]:
    """A namespace from which 198.18.67.2 is reached, and its folder."""
    with (
        loopback() as namespace,
        program(namespace, sys.executable, str(ROOT / "tests/watching/far_peer.py"), mode) as peer,
    ):
        assert peer.stdout is not None
        assert peer.stdout.readline() == "ready\n"
        yield namespace, f"/proc/{peer.pid}/ns/net"


@contextmanager
def connection(namespace: Namespace, *, writes: bool = True) -> Iterator[socket.socket]:
    """To the far peer: filled until there is no room, or silent."""
    with namespace.call(socket.create_connection, (FAR, PORT), LIMIT_S) as end:
        if writes:
            fill(end)
        yield end


def until_it_says(folder: str, outcome: str) -> dict[str, Any]:
    """Probes and retransmissions come after ever longer gaps."""
    last: list[tuple[int, dict[str, Any]]] = []

    def said() -> bool:
        last.append(watch("--netns", folder))
        return [each["outcome"] for each in last[-1][1]["connections"]] == [outcome]

    until(said)
    code, document = last[-1]
    (only,) = document["connections"]
    assert code == {"deadlock": 1, "inconclusive": 3}.get(outcome, 0)
    assert only["grade"] in (None, "consistent"), "never a proof"
    assert only["seen"] == "client"
    assert document["knots"] == []
    return dict(only)


def test_a_peer_that_does_not_read_is_a_one_sided_stall() -> None:
    with far_peer("stops") as (namespace, folder), connection(namespace):
        said = until_it_says(folder, "one-sided-stall")
        assert watch("--netns", folder, "--alarm", "one-sided-stall")[0] == 1
        assert watch("--netns", folder, "--alarm", "deadlock/proven*")[0] == 0
    assert said["diagnosis"]["summary"].startswith(f"the program at {FAR}:{PORT} does not read")
    assert f"lab watch --once --port {PORT}" in said["diagnosis"]["next"][0]
    assert said["account"]["client_send_queue"] > 0
    assert said["account"]["client_receive_queue"] == 0
    assert said["account"]["server_send_queue"] is None


def test_a_peer_that_probes_while_both_windows_are_closed_is_a_deadlock_that_is_not_proven() -> None:
    with far_peer("mutual") as (namespace, folder), connection(namespace):
        said = until_it_says(folder, "deadlock")
    assert said["grade"] == "consistent"
    assert said["peer_probes"]["count"] > 0
    assert said["diagnosis"]["summary"].startswith("both windows are closed")


def test_what_our_own_program_does_not_read_is_its_own_stall() -> None:
    with far_peer("sends") as (namespace, folder), connection(namespace, writes=False):
        said = until_it_says(folder, "one-sided-stall")
    assert said["peer_probes"]["count"] > 0
    assert "are unread at" in said["diagnosis"]["summary"]


def test_an_upload_into_a_black_hole_is_one() -> None:
    with far_peer("dies") as (namespace, folder), connection(namespace):
        said = until_it_says(folder, "blackhole")
    assert said["diagnosis"]["summary"].startswith(f"nothing comes back from {FAR}:{PORT}")


def test_a_syn_to_nowhere_is_a_black_hole() -> None:
    with far_peer("nobody") as (namespace, folder), namespace.call(socket.socket) as end:
        end.setblocking(False)
        with suppress(BlockingIOError):
            end.connect((FAR, PORT))
        said = until_it_says(folder, "blackhole")
    assert said["diagnosis"]["summary"].startswith(f"{FAR}:{PORT} does not answer: the SYN was sent again")


def test_a_silent_connection_is_idle() -> None:
    with far_peer("stops") as (namespace, folder), connection(namespace, writes=False):
        assert until_it_says(folder, "idle")["diagnosis"] is None


def test_the_report_says_what_is_not_seen() -> None:
    with far_peer("stops") as (namespace, folder), connection(namespace):
        until_it_says(folder, "one-sided-stall")
        command = [sys.executable, "-m", "lab", "watch", "--once", "--netns", folder]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    text = " ".join(done.stdout.split())
    assert "one-sided-stall, one end seen: " in text
    assert "next not seen: the program at" in text
