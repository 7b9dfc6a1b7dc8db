"""`lab watch` on rings of programs, and on connections whose peer no tool of this machine can look into."""

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from machines.inside.command import LIMIT_S, lab
from machines.row import PROOFS, Row, judged, wrong
from tests.commanded import ROOT
from tests.watching.far_peer import FAR
from tests.watching.watched import fill, loopback, program

PORT = 17125
FAR_PEERS = (
    ("stops", True, "one-sided-stall"),
    ("mutual", True, "deadlock"),
    ("sends", False, "one-sided-stall"),
    ("dies", True, "blackhole"),
    ("stops", False, "idle"),
)
"""The mode of tests/watching/far_peer.py, whether our end writes, and the outcome."""
LENGTHS = (3, 4)


def play() -> Iterator[Row]:
    for mode, writes, outcome in FAR_PEERS:
        what = f"watch: one end, peer {mode}, we {'write' if writes else 'do not read'}"
        try:
            yield one_end(what, mode, outcome, writes=writes)
        except Exception as error:  # noqa: BLE001 - told in the table, and the next is played
            yield wrong(what, outcome, f"{type(error).__name__}: {error}")
    for length in LENGTHS:
        yield ring(length)


def one_end(what: str, mode: str, outcome: str, *, writes: bool) -> Row:
    """A proof would be false: nobody sees the peer's program."""
    with ExitStack() as stack:
        namespace = stack.enter_context(loopback())
        folder = stack.enter_context(_started(namespace, "tests/watching/far_peer.py", mode))
        end = stack.enter_context(namespace.call(socket.create_connection, (FAR, PORT), LIMIT_S))
        if writes:
            fill(end)
        (connection,) = _once_said(folder, [outcome])["connections"]
    row, proof = judged(what, (outcome,), connection), connection["grade"] in PROOFS
    return replace(row, right=row.right and not proof, false_proof=proof)


def ring(length: int) -> Row:
    """All of it must be proven, as one knot."""
    with loopback() as namespace, _started(namespace, "tests/ring.py", str(length), "0") as folder:
        said = _once_said(folder, ["deadlock"] * length)
    grades = [each["grade"] for each in said["connections"]]
    whole = len(grades) == length and len(said["knots"]) == 1 and PROOFS.issuperset(grades)
    row = judged(f"watch: a ring of {length}", ("deadlock",), said["connections"][0])
    return replace(row, right=row.right and whole)


@contextmanager
def _started(namespace: Any, *words: str) -> Iterator[str]:  # noqa: ANN401 - the lab's
    """The folder of the namespace, once the program is ready."""
    file, *arguments = words
    with program(namespace, sys.executable, str(ROOT / file), *arguments) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        yield f"/proc/{process.pid}/ns/net"


def _once_said(folder: str, outcomes: list[str]) -> dict[str, Any]:
    """The first document with these outcomes; after the limit the last: probes come after ever longer gaps."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        said = lab("watch", "--once", "--netns", folder)
        if [each["outcome"] for each in said["connections"]] == outcomes or time.monotonic() > deadline:
            return said
        time.sleep(0.2)
