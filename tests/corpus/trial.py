"""Plays one case once: starts it, lets it settle, asks every rule, and keeps watching the byte counters afterwards."""

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lab.evidence import SocketSample
from lab.kernel.capture.ring import Capture
from lab.kernel.place import link
from lab.spec import CaptureMode, Pair
from lab.tcp.frame import dissect
from lab.wire.witness import WireWitness
from tests.corpus import ours, rules
from tests.corpus.case import PORT, Case, Truth
from tests.corpus.ours import Claim, Position, position
from tests.corpus.stage import TICK_S, Connection, Stage, set_up

STILL_S = 0.6
"""The counters must stand this long before anybody is asked (the delayed persist fragment comes at 0.2 s) ..."""
IMPATIENT_S = 4.0
"""... unless they never do: then all are asked after this, counted from the earliest moment."""
STOOD_S = 1.0
"""What has to move later must have stood this long, or it would not be a look-alike."""
AGAIN_S = 2.8
"""Ours are asked again after this, and the rule of packets first: probes come 0.2, 0.6, 1.4, 3.1 s after the seal."""
EASE = 5
"""Ticks of rest from one structural proof to the next, once all have been asked."""
SLACK_NS = 20_000_000
"""A claim may be this much late about its own end: a tick of the watching and one of the kernel."""


class Ask(StrEnum):
    """How far: the simpler rules only, the structural proof too, and `lab watch` too, which costs the most."""

    SIMPLE = "simple"
    STRUCTURE = "structure"
    WATCH = "watch"


@dataclass(slots=True)
class Track:
    """The byte positions of one connection over time: what the two programs have written and read."""

    connection: Connection
    history: list[tuple[int, Position]] = field(default_factory=list)
    ended_ns: int | None = None
    sockets: Pair[SocketSample | None] = field(default_factory=lambda: Pair(None, None))

    def look(self, sockets: Pair[SocketSample | None], now_ns: int) -> None:
        here = position(sockets)
        if here is None:
            self.ended_ns = self.ended_ns or now_ns
            return
        self.sockets = sockets
        if not self.history or here != self.history[-1][1]:
            self.history.append((now_ns, here))

    def still_s(self, now_ns: int) -> float:
        last = self.ended_ns or (self.history[-1][0] if self.history else now_ns)
        return (now_ns - last) / 1e9

    def moved_ns(self, since_ns: int, here: Position | None = None) -> int | None:
        """The first instant after `since_ns` at which it was not `here` (where it had been) any more, or had ended."""
        if here is None:
            here = max((each for each in self.history if each[0] <= since_ns), default=(0, None))[1]
        moves = [at for at, there in self.history if at > since_ns and there != here]
        return min([*moves, *([self.ended_ns] if self.ended_ns and self.ended_ns > since_ns else [])], default=None)

    def sealed_ns(self, by_ns: int) -> int:
        """The last move up to then."""
        return max((at for at, _ in self.history if at <= by_ns), default=by_ns)


@dataclass(slots=True)
class Trial:
    """What came of one case."""

    case: Case
    claims: list[Claim] = field(default_factory=list)
    """All that our rules said, each claim once as long as it stays the same."""
    answers: list[Claim] = field(default_factory=list)
    """What they said of each connection when they were asked last."""
    said: dict[str, bool] = field(default_factory=dict)
    """By the name of a simpler rule: whether it says that the pair is deadlocked."""
    confirmed: bool = False
    """Whether the byte counters bear the truth out."""
    asked_ns: int = 0
    still_s: float = 0.0
    """For how long the pair had stood when it was asked."""
    moved_after_s: float | None = None
    starved: int = 0
    broken_claims: list[str] = field(default_factory=list)
    proof_ms: float | None = None
    """From the last byte that a program moved (as seen each 20 ms) to the first structural proof of all connections."""
    error: str | None = None
    seconds: float = 0.0
    again: bool = False
    """Whether it is the second try."""

    @property
    def came_to_nothing(self) -> bool:
        """Whether it could not be played, or was not what it says. A false proof is never nothing."""
        return (self.error is not None or not self.confirmed) and not self.broken_claims


def play(case: Case, ask: Ask) -> Trial:
    trial = Trial(case)
    began = time.monotonic()
    try:
        with set_up(case) as stage, ExitStack() as stack:
            _Player(trial, stage, stack, ask).play()
    except Exception as error:  # noqa: BLE001 - told in the table, and fails the run
        trial.error = f"{type(error).__name__}: {error}"
    trial.seconds = time.monotonic() - began
    return trial


class _Player:
    def __init__(self, trial: Trial, stage: Stage, stack: ExitStack, ask: Ask) -> None:
        self.trial, self.case, self.stage, self.ask = trial, trial.case, stage, ask
        self.stack = stack
        self.capture: Capture | None = None
        self.wire: dict[Connection, WireWitness] = {}
        self.tracks: list[Track] = []
        self.structure: ours.Structure | None = None
        self.acted_ns = 0
        self.rests_until = 0.0
        self.latest: dict[Connection, Claim] = {}

    def play(self) -> None:
        case, stage = self.case, self.stage
        self._listen_in()
        stage.start()
        connections = stage.connections()
        self.tracks = [Track(connection) for connection in connections]
        if self.ask is not Ask.SIMPLE:
            self.structure = ours.Structure(stage, connections)
            self.stack.callback(self.structure.close)
        if case.in_motion:
            self._watch(0.5)
        else:
            self._settle(case.ask_s)
        if case.act:
            case.act(stage)
            self.acted_ns = time.time_ns()
            self._settle(0.0)
        self._ask()
        self._watch_on()
        self._conclude()

    def _listen_in(self) -> None:
        capture = Capture(self.stage.namespaces.client, link.INTERFACE, CaptureMode.PROOF, PORT, 96)
        self.stack.callback(self._stop_listening)
        self.capture = capture

    def _stop_listening(self) -> None:
        """A pair that moves on at full speed would keep us busy with its frames, and away from its counters."""
        if self.capture:
            self.capture.close()
        self.capture = None

    def _look(self) -> int:
        self._count()
        if self.structure and time.monotonic() >= self.rests_until:
            self._ask_structure(self.structure)
        if self.trial.asked_ns and any(track.moved_ns(self.trial.asked_ns) for track in self.tracks):
            self._stop_listening()
        if self.capture:
            for segment in filter(None, map(dissect, self.capture.drain())):
                for track in self.tracks:
                    ends = Pair(track.connection.client, track.connection.server)
                    self.wire.setdefault(track.connection, WireWitness(ends)).feed(segment)
        return time.time_ns()

    def _ask_structure(self, structure: ours.Structure) -> None:
        """Then rest, so that on a busy machine the counters are looked at all the same."""
        began = time.monotonic()
        self._note(structure.ask())
        took_s = time.monotonic() - began
        self.rests_until = began + took_s + max(took_s, EASE * TICK_S if self.trial.asked_ns else 0.0)

    def _count(self) -> None:
        for track in self.tracks:
            if track.ended_ns is None:
                track.look(self.stage.sample(track.connection), time.time_ns())

    def _note(self, claims: tuple[Claim, ...]) -> None:
        """Keep a claim when it is another one than before: what is said again and again is said once."""
        for claim in claims:
            before = self.latest.get(claim.connection)
            if before is None or _gist(before) != _gist(claim):
                self.trial.claims.append(claim)
            self.latest[claim.connection] = claim
        judged = [claim for claim in claims if claim.connection.judged]
        if self.trial.proof_ms is None and all(claim.proves for claim in judged):
            sealed = max(t.sealed_ns(claims[0].said_ns) for t in self.tracks if t.connection.judged)
            self.trial.proof_ms = (claims[0].said_ns - sealed) / 1e6

    def _settle(self, at_least_s: float) -> None:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < at_least_s + IMPATIENT_S:
            now = self._look()
            if passed >= at_least_s and all(track.still_s(now) >= STILL_S for track in self.tracks):
                return
            time.sleep(TICK_S)

    def _watch(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._look()
            time.sleep(TICK_S)

    def _ask(self) -> None:
        now = self._look()
        self.trial.still_s = min(track.still_s(now) for track in self.tracks)
        judged = [track for track in self.tracks if track.connection.judged]
        sending = rules.sending(pid for part in self.stage.pids for pid in self.stage.processes(part))
        simple = {
            "R2 persist timers": [rules.persist_timers(track.sockets) for track in judged],
            "Rw windows": [rules.windows(track.sockets) for track in judged],
            "R3 windows+syscalls": [rules.windows_and_syscalls(track.sockets, sending) for track in judged],
        }
        self.trial.said |= {name: all(said) for name, said in simple.items()}
        self.trial.starved = sum(_is_starved(track.sockets) for track in judged if self.case.truth is Truth.DEADLOCK)
        self.trial.asked_ns = now
        self._ask_ours()

    def _ask_packets(self) -> None:
        facts = [wire.facts() for connection, wire in self.wire.items() if connection.judged]
        for probes in (1, 2, 3):
            self.trial.said[f"P({probes}) packets"] = bool(facts) and all(rules.packets(f, probes) for f in facts)

    def _ask_ours(self) -> None:
        """The latest word of the structural proof, and `lab watch`; while that answers the counters are watched."""
        answers = list(self.latest.values())
        if self.ask is Ask.WATCH:
            watching = ours.Watching(self.stage, tuple(track.connection for track in self.tracks))
            while not watching.has_answered():
                self._look()
                time.sleep(TICK_S)
            claims = watching.claims()
            self.trial.claims += claims
            answers += claims
        self.trial.answers = answers

    def _watch_on(self) -> None:
        """Until the watch is over, or what had to move has moved; all rules are asked once more meanwhile.

        The answer that counts for a deadlock is the last: some take an answered probe to be proven, and a few are not
        sealed before a persist timer of seconds has sent what a silly window leaves (a round trip measured too long).
        """
        asked = time.monotonic()
        again = False
        while (passed := time.monotonic() - asked) < self.case.watch_s:
            self._look()
            moved = all(track.moved_ns(self.trial.asked_ns) for track in self.tracks if track.connection.judged)
            if not again and passed >= AGAIN_S:
                again = True
                self._ask_packets()
                self._stop_listening()
                if self.case.truth is Truth.DEADLOCK and not moved:
                    self._ask_ours()
            if moved and again and self.case.truth is not Truth.MOVES:
                break
            time.sleep(TICK_S)

    def _conclude(self) -> None:
        trial = self.trial
        self._look()
        if self.case.provable and not all(claim.proves for claim in trial.answers):
            self._ask_ours()
        judged = [track for track in self.tracks if track.connection.judged]
        moves = [track.moved_ns(trial.asked_ns) for track in judged]
        first = min(filter(None, moves), default=None)
        trial.moved_after_s = (first - trial.asked_ns) / 1e9 if first else None
        trial.confirmed = self._is_true(judged, moves)
        by_connection = {track.connection: track for track in self.tracks}
        for claim in trial.claims:
            broken = _broken(claim, by_connection[claim.connection], self.case, self.acted_ns)
            if broken:
                trial.broken_claims.append(broken)

    def _is_true(self, judged: list[Track], moves: list[int | None]) -> bool:
        if self.case.truth is Truth.MOVES:
            return all(moves)
        if self.case.truth is Truth.LATER:
            return all(moves) and self.trial.still_s + (self.trial.moved_after_s or 0) >= STOOD_S
        if any(moves):
            return False
        return self.case.truth is Truth.STANDS or all(map(self._is_full, judged))

    def _is_full(self, track: Track) -> bool:
        """Both sides want to write, and both have not read (but for ACK starvation, where one may have read all)."""
        client, server = track.sockets
        if client is None or server is None or not (client.wqueue and server.wqueue):
            return False
        return bool(client.rqueue and server.rqueue) or self.case.starved


def _broken(claim: Claim, track: Track, case: Case, acted_ns: int) -> str | None:
    """Why a claim of a proof was false; None if it was not, or was no such claim.

    What was said before the pair was stopped, or its path broken, was said of another state: it must hold all the same.
    """
    if not claim.proves:
        return None
    what = f"{claim.by}: {claim.grade} of {claim.connection.client}-{claim.connection.server}"
    moved = track.moved_ns(claim.said_ns, claim.position)
    kept = claim.until_ns is not None and moved is not None and moved >= claim.until_ns - SLACK_NS
    if moved and not kept and not _is_excused(claim, case):
        return f"{what} moved {(moved - claim.said_ns) / 1e9:.2f} s after it was said"
    if track.connection.judged and claim.said_ns >= acted_ns and claim.grade not in case.sound:
        return f"{what}, which nobody can know" if case.truth is Truth.DEADLOCK else f"{what}, which is no deadlock"
    return None


def _is_excused(claim: Claim, case: Case) -> bool:
    """What moved it is what the grade leaves out and names: a new connection, or an alarm that nobody can see."""
    named = claim.grade == "proven-closed-world" or any(case.named in each for each in claim.qualifiers)
    return case.truth is Truth.LATER and case.grades is not None and claim.grade in case.grades and named


def _is_starved(sockets: Pair[SocketSample | None]) -> bool:
    """A blocked pair with one receive queue empty or one window open: facts/proof.md 4.4."""
    client, server = sockets
    if client is None or server is None:
        return False
    return bool(client.wqueue and server.wqueue) and not (
        client.rqueue and server.rqueue and client.snd_wnd == 0 and server.snd_wnd == 0
    )


def _gist(claim: Claim) -> tuple[object, ...]:
    return claim.outcome, claim.grade, claim.until_ns, claim.position if claim.proves else None


def summary(trial: Trial) -> dict[str, Any]:
    """For JSON."""
    return {
        "case": trial.case.name,
        "summary": trial.case.summary,
        "truth": trial.case.truth.value,
        "confirmed": trial.confirmed,
        "answers": [
            {
                "by": each.by,
                "outcome": each.outcome,
                "grade": each.grade,
                "qualifiers": each.qualifiers,
                "live": each.live,
            }
            for each in trial.answers
        ],
        "proof_ms": trial.proof_ms,
        "still_s": round(trial.still_s, 3),
        "moved_after_s": trial.moved_after_s,
        "rules": trial.said,
        "broken_claims": trial.broken_claims,
        "error": trial.error,
        "seconds": round(trial.seconds, 2),
    }
