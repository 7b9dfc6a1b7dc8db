"""Where the corpus asks our own rule: the structural proof at each tick, and `lab watch --once` as users do.

Both look from outside, at all of /proc: they are told the two namespaces, and nothing of the case.
"""

import json
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lab.evidence import SocketSample
from lab.kernel.place import sysctl
from lab.kernel.snapshots import SnapshotTaker, Target
from lab.kernel.sockets.send_room import max_tcp_header
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.kernel.sockets.window_share import adv_win_scale_counts
from lab.proof.deadlock import Analysis, analyse
from lab.proof.stack.traits import GIVING_UP, KernelTraits, drops_beyond_window, gives_up, headers
from lab.report.reasons import all_words, words
from lab.spec import Pair, Role
from tests.corpus.case import PROOFS
from tests.corpus.root import ROOT
from tests.corpus.stage import Connection, Stage

LIMIT_S = 60.0
COUNTED_NS = 60_000_000
"""After it whatever had moved before is in the counters, which are read each 20 ms."""
"""The first Linux that drops a segment beyond the window, acknowledgment and all (facts/proof.md 4.4)."""

Position = tuple[int, int, int, int]
"""Bytes written by the client, read by the server, written by the server, read by the client."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one of our rules said of one connection, and when."""

    by: str
    """`structure` or `watch`."""
    connection: Connection
    said_ns: int
    outcome: str
    grade: str | None = None
    until_ns: int | None = None
    qualifiers: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    """Who might still move it, and by what: the diagnosis of whatever is not proven."""
    position: Position | None = None
    """Where the programs stood when it was said, where that is known to the byte."""

    @property
    def proves(self) -> bool:
        return self.outcome == "deadlock" and self.grade in PROOFS


def position(sockets: Pair[SocketSample | None]) -> Position | None:
    """None once one end is gone."""
    client, server = sockets
    if client is None or server is None:
        return None
    (to_server, from_server), (to_client, from_client) = client.app_progress, server.app_progress
    return to_server, from_client, to_client, from_server


class Structure:
    """The structural proof alone, asked as often as one likes: some milliseconds each."""

    def __init__(self, stage: Stage, connections: tuple[Connection, ...]) -> None:
        self._connections = connections
        self._diags = Pair(*(SocketDiag(stage.namespaces[role]) for role in Role))
        self._taker = SnapshotTaker([self._targets(each) for each in connections], tuple(self._diags))
        self._namespaces = stage.namespaces

    def _targets(self, connection: Connection) -> Pair[Target]:
        client, server, home = connection.client, connection.server, connection.home
        return Pair(
            Target(Role.CLIENT, self._diags[home.client], client, server),
            Target(Role.SERVER, self._diags[home.server], server, client),
        )

    def _stack(self, pairs: Sequence[Pair[SocketSample | None]]) -> KernelTraits:
        """As the settings are now: a program of a case may have written them."""
        names = ("tcp_wmem", "tcp_adv_win_scale", *GIVING_UP)
        settings = [sysctl.read(self._namespaces[role], names) for role in Role]
        scales = dict(zip(Role, (int(each["tcp_adv_win_scale"]) for each in settings), strict=True))
        unseen = [
            (socket.inode, scales[connection.home[role]])
            for connection, sockets in zip(self._connections, pairs, strict=True)
            for role in Role
            if (socket := sockets[role]) and socket.rcv_wnd is None
        ]
        return KernelTraits(
            adv_win_scale_of=dict(unseen) if unseen and adv_win_scale_counts() else {},
            wmem_max=max(int(each["tcp_wmem"].split()[2]) for each in settings),
            max_tcp_headers=headers(max_tcp_header()),
            drops_beyond_window=drops_beyond_window(platform.release()),
            gives_up=gives_up(*settings),
        )

    def close(self) -> None:
        self._taker.close()
        for diag in self._diags:
            diag.close()

    def ask(self) -> tuple[Claim, ...]:
        """One snapshot, and what it proves of each connection."""
        first, *further = self._taker.take_all()
        now_ns = time.time_ns()
        sockets = [socket for each in further for socket in each.sockets if socket]
        snapshot = replace(first, others=(*first.others, *sockets))
        pairs = [each.sockets for each in (first, *further)]
        analysis = analyse(snapshot, now_ns, self._stack(pairs))
        return tuple(_told(*each, analysis, now_ns) for each in zip(self._connections, pairs, strict=True))


def _told(connection: Connection, sockets: Pair[SocketSample | None], analysis: Analysis, now_ns: int) -> Claim:
    client, server = sockets
    if client is None or server is None:
        return Claim("structure", connection, now_ns, "ended")
    knot = analysis.knot(client.inode, server.inode)
    if knot is None:
        against = analysis.against(client.inode, server.inode)
        live = tuple(f"{each.thread.name}: {words(each.waits_for)}: {words(each.why)}" for each in against)
        return Claim("structure", connection, now_ns, "no knot", live=live)
    return Claim(
        "structure",
        connection,
        now_ns,
        "deadlock",
        knot.grade.value,
        knot.holds_until_ns,
        all_words((*knot.qualifiers, *knot.closed_world)),
        position=position(sockets),
    )


class Watching:
    """`lab watch --once` on the two namespaces of a stage: it runs beside the watching of the counters."""

    def __init__(self, stage: Stage, connections: tuple[Connection, ...]) -> None:
        self._connections = connections
        namespaces = [word for folder in stage.folders() for word in ("--netns", folder)]
        self._output = stage.work / "watch.json"
        with self._output.open("wb") as output, (stage.work / "watch.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lab", "watch", "--once", "--format", "json", *namespaces],
                cwd=ROOT,
                stdout=output,
                stderr=log,
            )
        self._log = stage.work / "watch.log"
        self._deadline = time.monotonic() + LIMIT_S

    def has_answered(self) -> bool:
        """Whether it has ended."""
        assert time.monotonic() < self._deadline, f"lab watch does not answer within {LIMIT_S:.0f} s"
        return self._process.poll() is not None

    def claims(self) -> tuple[Claim, ...]:
        """What it said of each connection."""
        if self._process.returncode not in (0, 1, 3):
            raise RuntimeError(f"lab watch: exit {self._process.returncode}: {self._log.read_text()[-600:]}")
        verdicts = json.loads(self._output.read_text())["connections"]
        by_ends = {frozenset((each["client"], each["server"])): each for each in verdicts}
        return tuple(_read(each, by_ends.get(frozenset((each.client, each.server)))) for each in self._connections)


def _read(connection: Connection, verdict: dict[str, Any] | None) -> Claim:
    if verdict is None:
        return Claim("watch", connection, time.time_ns(), "not listed")
    proved_ns = verdict["proved_ns"]
    return Claim(
        "watch",
        connection,
        proved_ns + COUNTED_NS if proved_ns else time.time_ns(),
        verdict["outcome"],
        verdict["grade"],
        verdict["holds_until_ns"],
        tuple(map(str, verdict["qualifiers"])),
        tuple(map(str, verdict["live"])),
    )
