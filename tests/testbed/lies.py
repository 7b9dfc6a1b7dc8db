"""What a program may say to make its controller fail: conversations drawn by a seed, and what must hold of each.

Everything that it says is taken in, or refused in one line. What was taken in can be judged, stored and shown like any
fact, and a pair that is frozen by the kernel's witness is never called completed.
"""

import json
import os
import random
import socket
import struct
import time
import traceback
from contextlib import closing
from dataclasses import replace
from io import StringIO
from pathlib import Path

from lab.errors import LabError, SpecError, TestbedError
from lab.evidence import Evidence
from lab.proof.judge import judge
from lab.report import text
from lab.spec import Outcome, Pair, Role
from lab.store import load
from lab.testbed.barrier import Program
from tests.captures.mutants import Failure
from tests.played import recorded
from tests.report.report_samples import CLIENT, SERVER, evidence

JOB: dict[str, object] = {"address": "198.18.20.10", "port": 1060}
ENDS = {Role.CLIENT: (CLIENT, SERVER), Role.SERVER: (SERVER, CLIENT)}
TOKENS = (
    *(
        "null",
        "true",
        "-1",
        "0",
        "1",
        "1.0",
        "1e2",
        "1e400",
        "-1e400",
        "NaN",
        "-Infinity",
        "65535",
        "65536",
        "[]",
        "{}",
    ),
    *("1099511627776", "9007199254740993"),
    *("18446744073709551616", "1" + "0" * 400, "9" * 5000, "[" * 3000 + "]" * 3000, '{"a":' * 3000),
    *('""', '"x"', '"\\ud800"', '"\\u0000\\u001b[2J"', '"\\u202e' + "y" * 700 + '"'),
    *('["127.0.0.1"]', '["198.18.20.10", 1060]', '["::1", 65536]', '["\\u0000", 1]', '["127.0.0.1", 1e9]'),
    *('["198.18.20.20", 54542]', '["::ffff:198.18.20.10", 1060]'),
)
"""Values as JSON text, and some that are no JSON."""
CHECKED_EVERY = 4
"""Every so many conversations, what was taken in is also stored, loaded and shown."""


def message(dice: random.Random, role: Role) -> bytes:
    """One line: a right message, or one with a few errors in it."""
    local, remote = (_pair(each) for each in ENDS[role])
    right = {
        "listening": {"port": "1060"},
        "connected": {"local": local, "remote": remote, "rcvbuf": "8192", "sndbuf": "8192", "resident": "1"},
        "ended": {"sent": "1", "received": "1", "error": "null", "corrupt": "false", "peak": "1"},
        "refused": {"error": '"no"'},
        "exited": {"status": "0", "signal": "null"},
        "hums": {},
    }
    event = dice.choice(list(right))
    parts = [("event", f'"{event}"'), *right[event].items()]
    for _ in range(dice.choice((0, 0, 1, 1, 2))):
        at = dice.randrange(len(parts))
        parts[at] = (parts[at][0], dice.choice(TOKENS))
    if dice.random() < 0.1:
        parts.append(dice.choice(parts))
    if dice.random() < 0.1:
        parts.pop(dice.randrange(len(parts)))
    line = bytearray("{" + ", ".join(f'"{key}": {value}' for key, value in parts) + "}", "ascii")
    if dice.random() < 0.1:
        line[dice.randrange(len(line))] = dice.randrange(256)
    return bytes(line) + (b"\n" if dice.random() < 0.97 else b"")


def conversation(dice: random.Random, role: Role) -> bytes:
    begun = {Role.SERVER: b'{"event": "listening", "port": 1060}\n', Role.CLIENT: b""}[role]
    return (begun if dice.random() < 0.7 else b"") + b"".join(message(dice, role) for _ in range(dice.randint(1, 8)))


def _pair(address: str) -> str:
    host, _, port = address.rpartition(":")
    return json.dumps([host, int(port)])


def hear(dice: random.Random, role: Role, said: bytes) -> Evidence | None:
    """A frozen pair, one of whose programs says this and scribbles on its page; None if that was refused."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with closing(Program(role, ours)) as program, theirs:
        program.play(JOB)
        _, descriptors, _, _ = socket.recv_fds(theirs, 1 << 16, 2)
        page, log = descriptors
        os.pwrite(page, struct.pack("<5Q", *(dice.getrandbits(dice.choice((0, 8, 63, 64))) for _ in range(5))), 0)
        os.write(log, said[:1000])
        for descriptor in descriptors:
            os.close(descriptor)
        try:
            while said:
                size = dice.choice((1, 7, 100, 1 << 16))
                sent = theirs.send(said[:size])
                said = said[sent:]
                program.read_messages()
        except (TestbedError, SpecError) as error:
            refused: LabError | None = error
        else:
            refused = None
        assert refused is None or ("\n" not in str(refused) and len(str(refused)) < 1500), refused
        return None if refused else _believed(program)


def _believed(program: Program) -> Evidence:
    base = evidence()
    role, progress, last = program.role, program.progress(), base.snapshots[-1]

    def mine(facts: Pair, fact: object) -> Pair:  # type: ignore[type-arg]
        return Pair(*(fact if each is role else facts[each] for each in Role))

    counters = mine(last.progress, progress and replace(progress, time_ns=last.time_ns))
    return replace(
        base,
        connected=mine(base.connected, program.connected),
        ended=mine(base.ended, program.ended),
        logs=mine(base.logs, program.log().decode(errors="replace")),
        snapshots=(replace(last, progress=counters),),
    )


def check(believed: Evidence, runs: Path | None) -> None:
    """Also as if the other program said that it has ended well. If `runs` is given, it is stored there."""
    for other in (None, *(end and replace(end, role=end.role.peer) for end in believed.ended)):
        ended = Pair(*(each or (other if other and other.role is role else None)
                       for role, each in zip(Role, believed.ended, strict=True)))  # fmt: skip
        told = replace(believed, ended=ended)
        verdict = judge(told)
        assert verdict.outcome is not Outcome.COMPLETED, told.ended
        assert verdict.grade is None or not verdict.grade.startswith("proven"), verdict
        if runs is not None:
            kept = load(recorded(runs, (told,)))
            assert (kept.connected, kept.ended, kept.snapshots) == (told.connected, told.ended, told.snapshots)
            stream = StringIO()
            text.show(verdict, told, None, (), stream=stream)
            assert all(line.isprintable() for line in stream.getvalue().split("\n"))


def run(folder: Path, seed: int, *, deadline: float, most: int | None = None) -> tuple[int, Failure | None]:
    """How many were heard until there were so many, or the deadline (time.monotonic), and the first that failed."""
    dice, count = random.Random(seed), 0
    while count != most and time.monotonic() < deadline:
        count += 1
        role = dice.choice(tuple(Role))
        said = conversation(dice, role)
        try:
            believed = hear(dice, role, said)
            if believed is not None:
                check(believed, folder if count % CHECKED_EVERY == 0 else None)
        except (Exception, LabError):  # noqa: BLE001 - any exception is what this looks for
            return count, Failure(count, said, traceback.format_exc())
    return count, None
