"""Watches connections that already run: finds, gathers and judges once, or again whenever something has changed.

The cheap questions come first: whether any packet came or went, then Recv-Q and Send-Q. All is judged again only when
a connection comes, goes or moves, or stands anew with something to send at both ends, and now and then.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from lab.kernel.sockets.counters import Counters
from lab.kernel.sockets.sock_diag import SocketDiag
from lab.kernel.sockets.stall_poller import SocketQueries, StallPoller
from lab.proof.judge import judge_all
from lab.verdict import Verdict
from lab.watching.connections import ConnectionFinder, WatchedConnection
from lab.watching.evidence import BothSamples, EvidenceGatherer, may_be_stuck, motions_of
from lab.watching.namespaces import Namespaces, Targets

POLL_S = 0.0196
"""From one poll of the queues to the next: 50 a second, for a sleep ends a little later than it was asked to."""
REFRESH_S = 1.0
"""Between two searches for new connections, and for bytes that moved."""
PATIENCE_S = 3.0
"""How long one judgement waits for a probe."""
MAX_WAIT_S = 60.0
"""Where nothing moves, all are judged again after twice as long as the time before, or four times if no pair has
something to send, and after this long at most: it costs 20 to 100 ms, by the number of processes, where a
poll of ten connections costs 0.1."""


@dataclass(frozen=True, slots=True)
class JudgedConnection:
    connection: WatchedConnection
    sockets: BothSamples
    """As they were when it was judged."""
    verdict: Verdict | None
    """None: it ended meanwhile."""


class ChangeDetector:
    """Tells by the sockets alone whether a connection has changed since it was judged."""

    def __init__(self, judged: Sequence[JudgedConnection], counters: Mapping[SocketDiag, Counters]) -> None:
        """`counters` of the namespaces: while a namespace is silent, its sockets are not asked."""
        queues = {index: _queues(each.sockets) for index, each in enumerate(judged)}
        self._poller = StallPoller([each.connection.ends for each in judged], queues, counters)
        ends = [end for each in judged for end in each.connection.ends]
        self._queries = SocketQueries({index: end for index, end in enumerate(ends) if end}, tell_motion=True)
        self._motions = [motion for each in judged for motion in motions_of(each.sockets)]

    def any_moved(self) -> bool:
        """Whether a byte moved, or a program left its socket."""
        return any(self._motions[index] != now for index, now in self._queries.motions().items())

    def found_new_stall(self, deadline: float) -> bool:
        """Whether a pair has come to a stand with something to send at both ends. Polls until then, or the deadline.

        The first poll shows how long each takes, so that fifty a second are made if half the time is enough.
        """
        began = time.monotonic()
        stalled, now = self._poller.found_new_stall(), time.monotonic()
        pause_s = max(POLL_S / 2, POLL_S - (now - began))
        for _ in range(round((deadline - began) / (now - began + pause_s))):
            if stalled:
                break
            time.sleep(pause_s)
            stalled = self._poller.found_new_stall()
        return stalled


class Reports:
    """What was reported of each connection, and how long all may stay as it was reported."""

    def __init__(self) -> None:
        self._reported: dict[tuple[int, ...], Verdict] = {}
        self._any_news = True
        self._wait_s = REFRESH_S

    def news(self, judged: Sequence[JudgedConnection]) -> list[Verdict]:
        """The verdicts that have changed, and those that are given again after the time that a proof held for."""
        verdicts = {each.connection.key: each.verdict for each in judged if each.verdict}
        news = {key: verdict for key, verdict in verdicts.items() if is_news(verdict, self._reported.get(key))}
        self._reported = {key: news.get(key) or self._reported[key] for key in verdicts}
        self._any_news = bool(news)
        return list(news.values())

    def next_wait_s(self, judged: Sequence[JudgedConnection], *, changed: bool) -> float:
        """Until all are judged again. The wait grows while there is no news and nothing has `changed` before."""
        if changed or self._any_news:
            self._wait_s = REFRESH_S
        else:
            factor = 2 if any(may_be_stuck(each.sockets) for each in judged) else 4
            self._wait_s = min(factor * self._wait_s, MAX_WAIT_S)
        return min([self._wait_s, *seconds_left(self._reported.values())])


class Watch:
    """Finds the connections and judges them. Close it."""

    def __init__(
        self,
        targets: Targets,
        container_names: Callable[[Iterable[int]], dict[int, str]] | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`container_names` finds the containers of processes; `report` is told of a target that ends."""
        with ExitStack() as stack:
            self._namespaces = stack.enter_context(closing(Namespaces()))
            self._finder = ConnectionFinder(targets, self._namespaces, report)
            self._gatherer = EvidenceGatherer(self._namespaces, container_names)
            self._namespaces.find()
            self._stack = stack.pop_all()
        self.verdicts: list[Verdict] = []
        """Of all connections, as they were judged last."""

    def close(self) -> None:
        self._stack.close()

    @property
    def unseen(self) -> int:
        """The number of processes whose namespace is unknown or cannot be looked into."""
        return self._namespaces.unseen

    def connections(self) -> list[WatchedConnection]:
        """Those that fit the targets, as they are now."""
        return self._finder.find()

    def once(self, patience_s: float = PATIENCE_S) -> list[Verdict]:
        """Every connection, judged. A probe of a peer elsewhere is waited for so long, only where it would decide."""
        self._judge(patience_s)
        return self.verdicts

    def live(self, for_s: float = float("inf")) -> Iterator[list[Verdict]]:
        """After each round the verdicts that are news, or [] if there are none: then all were judged again in vain.

        A verdict is news if it has changed, or if it is a proof that held until an instant, once that has passed. After
        `for_s` all are judged once more, and it ends.
        """
        reports, changed, end = Reports(), True, time.monotonic() + for_s
        while True:
            last = time.monotonic() >= end
            judged = self._judge()
            yield reports.news(judged)
            if last:
                return
            wait_s = min(reports.next_wait_s(judged, changed=changed), max(0.0, end - time.monotonic()))
            changed = self._changes_within(wait_s, judged)

    def _judge(self, patience_s: float = 0.0) -> list[JudgedConnection]:
        gathered = self._gatherer.gather(self._finder.find(), self._finder.homes, patience_s)
        verdicts = iter(judge_all(each.evidence for each in gathered if each.evidence))
        judged = [
            JudgedConnection(each.connection, each.sockets, next(verdicts) if each.evidence else None)
            for each in gathered
        ]
        self.verdicts = [each.verdict for each in judged if each.verdict]
        return judged

    def _changes_within(self, limit_s: float, judged: Sequence[JudgedConnection]) -> bool:
        """Wait until a connection comes, goes or moves, then True; or for about so long."""
        detector = ChangeDetector(judged, {each.diag: each.counters for each in self._namespaces})
        connections = [each.connection for each in judged]
        deadline = time.monotonic() + limit_s
        while True:
            if detector.found_new_stall(min(deadline, time.monotonic() + REFRESH_S)):
                return True
            if self._finder.changed_since(connections) or detector.any_moved():
                return True
            if time.monotonic() >= deadline:
                return False


def is_news(verdict: Verdict, reported: Verdict | None) -> bool:
    if reported is None or (verdict.outcome, verdict.grade) != (reported.outcome, reported.grade):
        return True
    return reported.holds_until_ns is not None and reported.holds_until_ns <= time.time_ns()


def seconds_left(verdicts: Iterable[Verdict]) -> list[float]:
    """For how long each proof holds that a time limit ends."""
    now_ns = time.time_ns()
    ends = [each.holds_until_ns for each in verdicts if each.holds_until_ns is not None]
    return [max(0.0, (end_ns - now_ns) / 1e9) for end_ns in ends]


def _queues(sockets: BothSamples) -> object:
    """As the poller sees them."""
    return tuple((socket.rqueue, socket.wqueue) for socket in sockets if socket)
