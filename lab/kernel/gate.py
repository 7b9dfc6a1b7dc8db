"""Sees by the queues alone, many times a second, whether a connection stands with something to send at both ends."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from lab.kernel.sockdiag import Progress, SocketDiag, question
from lab.kernel.socketindex import Located
from lab.spec import Pair

T = TypeVar("T")
Queues = tuple[int, int]
NOTHING: Mapping[int, object] = MappingProxyType({})


class Asked:
    """Some sockets that are asked about again and again, by a number each."""

    def __init__(self, sockets: Mapping[int, Located], *, tell_progress: bool = False) -> None:
        self._groups: dict[SocketDiag, tuple[list[int], list[bytes]]] = {}
        for number, each in sockets.items():
            numbers, questions = self._groups.setdefault(each.diag, ([], []))
            numbers.append(number)
            entry = each.entry
            questions.append(question(entry.local, entry.remote, entry.cookie, tell_progress=tell_progress))

    def queues(self) -> dict[int, Queues | None]:
        """Recv-Q and Send-Q; None where the socket is gone."""
        return self._by_number(SocketDiag.queues)

    def progress(self) -> dict[int, Progress | None]:
        """Where `tell_progress` was asked for."""
        return self._by_number(SocketDiag.progress)

    def _by_number(self, answers: Callable[[SocketDiag, Sequence[bytes]], list[T]]) -> dict[int, T]:
        found: dict[int, T] = {}
        for diag, (numbers, questions) in self._groups.items():
            found.update(zip(numbers, answers(diag, questions), strict=True))
        return found


class Gate:
    """Some connections; a pair whose queues are as `judged` has them, by its index, is no news."""

    def __init__(self, pairs: Sequence[Pair[Located | None]], judged: Mapping[int, object] = NOTHING) -> None:
        self._judged = judged
        whole = {index: pair for index, pair in enumerate(pairs) if all(pair)}
        self._server = {index: pair.server for index, pair in whole.items() if pair.server}
        self._clients = Asked({index: pair.client for index, pair in whole.items() if pair.client})
        self._servers, self._sending = Asked({}), frozenset[int]()
        self._before: dict[int, tuple[Queues, Queues]] = {}

    def stands_anew(self) -> bool:
        """Whether one has something to send at both ends, and the same queues as at the last glance.

        The server is asked only where the client has something to send.
        """
        mine = {index: queues for index, queues in self._clients.queues().items() if queues and queues[1]}
        if mine.keys() != self._sending:
            self._sending = frozenset(mine)
            self._servers = Asked({index: self._server[index] for index in mine})
        theirs = {index: queues for index, queues in self._servers.queues().items() if queues and queues[1]}
        before, self._before = self._before, {index: (mine[index], queues) for index, queues in theirs.items()}
        return any(
            before.get(index) == queues and self._judged.get(index) != queues for index, queues in self._before.items()
        )
