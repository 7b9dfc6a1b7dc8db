"""Detects by the queues alone, many times a second, a connection that stands with data to send at both ends."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any

from lab.kernel.sockets.counters import Counters
from lab.kernel.sockets.sock_diag import TOGETHER, Located, Motion, SocketDiag, motion, question, queues
from lab.spec import Pair

Queues = tuple[int, int]
NOTHING: Mapping[Any, Any] = MappingProxyType({})
POLLS_AFTER_PACKET = 12
"""So many more polls after the last packet: the next probe comes no sooner than 0.2 s after it."""
SOCKETS = 4
"""Reading the counters of a namespace costs less than so many lookups."""


class SocketQueries:
    """Questions about some sockets, each with a number, to be asked again and again."""

    def __init__(self, sockets: Mapping[int, Located], *, tell_motion: bool = False) -> None:
        by_diag: dict[SocketDiag, dict[int, bytes]] = {}
        for number, each in sockets.items():
            entry = each.entry
            asked = question(entry.local, entry.remote, entry.cookie, tell_motion=tell_motion)
            by_diag.setdefault(each.diag, {})[number] = asked
        self._asked = [(diag, part) for diag, questions in by_diag.items() for part in _parts(questions)]
        self.datagrams = [(diag.any_sends, b"".join(part.values()), len(part)) for diag, part in self._asked]
        """For each datagram: `SocketDiag.any_sends`, and its two arguments."""

    def queues(self) -> dict[int, Queues | None]:
        """Recv-Q and Send-Q by number; None if the socket is gone."""
        return {number: queues(answer) for number, answer in self._answers()}

    def motions(self) -> dict[int, Motion | None]:
        """By number; None if the socket is gone. Needs `tell_motion`."""
        return {number: motion(answer) for number, answer in self._answers()}

    def _answers(self) -> Iterator[tuple[int, bytes]]:
        for diag, part in self._asked:
            yield from zip(part, diag.answers(list(part.values())), strict=True)


def _parts(questions: dict[int, bytes]) -> Iterator[dict[int, bytes]]:
    """The questions of one datagram each."""
    numbers = iter(questions)
    while part := {number: questions[number] for number in islice(numbers, TOGETHER)}:
        yield part


class StallPoller:
    """Polls the queues of some connections. One whose queues are as in `judged`, by its index, is no new stall.

    With `counters` of their namespaces, it asks sockets only while packets move there, and for a little longer.
    """

    def __init__(
        self,
        pairs: Sequence[Pair[Located | None]],
        judged: Mapping[int, object] = NOTHING,
        counters: Mapping[SocketDiag, Counters] = NOTHING,
    ) -> None:
        self._judged = judged
        whole = {index: (client, server) for index, (client, server) in enumerate(pairs) if client and server}
        self._clients = SocketQueries({index: client for index, (client, _) in whole.items()})
        self._server = {index: server for index, (_, server) in whole.items()}
        self._servers, self._asked = SocketQueries({}), frozenset[int]()
        self._before: dict[int, tuple[Queues, Queues]] = {}
        diags = {client.diag for client, _ in whole.values()}
        worth_it = len(whole) >= SOCKETS * len(diags) and diags <= counters.keys()
        self._counters = [counters[diag] for diag in diags] if worth_it else []
        self._left = POLLS_AFTER_PACKET

    def found_new_stall(self) -> bool:
        """Whether a connection has data to send at both ends, and the same queues as in the last poll.

        The server's socket is asked only if the client's has data to send.
        """
        for counters in self._counters:
            if not counters.is_silent():
                self._left = POLLS_AFTER_PACKET
        if self._left == 0:
            return False
        if self._counters:
            self._left -= 1
        for any_sends, questions, number in self._clients.datagrams:
            if any_sends(questions, number):
                break
        else:
            self._before.clear()
            return False
        mine = {index: queues for index, queues in self._clients.queues().items() if queues and queues[1]}
        if mine.keys() != self._asked:
            self._asked = frozenset(mine)
            self._servers = SocketQueries({index: self._server[index] for index in mine})
        theirs = {index: queues for index, queues in self._servers.queues().items() if queues and queues[1]}
        before, self._before = self._before, {index: (mine[index], queues) for index, queues in theirs.items()}
        return any(
            before.get(index) == queues and self._judged.get(index) != queues for index, queues in self._before.items()
        )
