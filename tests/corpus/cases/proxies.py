"""A third between the two: four threads and two connections in one cycle, or a cycle with a tail, or none."""

import select
import socket
import threading
from dataclasses import dataclass

from tests.corpus.case import LATE_S, LATER_S, LIMIT_S, UPSTREAM_PORT, Case, Truth, accepting, connecting, listening
from tests.corpus.play import connect
from tests.corpus.programs import echo, write_and_read_later, write_and_read_slowly, write_only

BUFFER = 4096


def by_threads(listener: socket.socket, upstream: socket.socket) -> None:
    """One thread a direction."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(BUFFER):
            sink.sendall(data)

    downstream = listener.accept()[0]
    threading.Thread(target=pump, args=(downstream, upstream)).start()
    pump(upstream, downstream)


def by_select(listener: socket.socket, upstream: socket.socket) -> None:
    """One thread that waits for both and then sends, blocking: it can be stuck with one while the other calls."""
    downstream = listener.accept()[0]
    other = {downstream: upstream, upstream: downstream}
    while True:
        for source in select.select([downstream, upstream], [], [])[0]:
            other[source].sendall(source.recv(BUFFER))


@dataclass(slots=True)
class Side:
    """One connection of the event loop, and what is to be written to it."""

    connection: socket.socket
    pending: bytes = b""


def by_epoll(listener: socket.socket, upstream: socket.socket, idle_s: float | None = None) -> None:
    """An event loop with one bounded buffer a direction; with `idle_s` it gives up after so long a silence."""
    downstream = listener.accept()[0]
    pair = (Side(downstream), Side(upstream))
    epoll = select.epoll()
    for side in pair:
        side.connection.setblocking(False)
        epoll.register(side.connection, 0)
    while True:
        for side, other in (pair, pair[::-1]):
            epoll.modify(side.connection, _mask(side, other))
        events = dict(epoll.poll(idle_s))
        if not events:
            return
        for side, other in (pair, pair[::-1]):
            event = events.get(side.connection.fileno(), 0)
            if event & select.EPOLLIN:
                other.pending = side.connection.recv(BUFFER)
            if event & select.EPOLLOUT:
                side.pending = side.pending[side.connection.send(side.pending) :]


def _mask(side: Side, other: Side) -> int:
    return (0 if other.pending else select.EPOLLIN) | (select.EPOLLOUT if side.pending else 0)


def over_one_event_loop(listener: socket.socket) -> None:
    """A server of its own kind: the proxy's upstream is this very process."""
    inner = socket.create_server(("127.0.0.1", UPSTREAM_PORT))
    upstream = connect("127.0.0.1", UPSTREAM_PORT)
    served = inner.accept()[0]
    threading.Thread(target=echo, args=(served,)).start()
    by_epoll(listener, upstream)


CASES = (
    Case(
        "proxy-by-threads",
        "A thread a direction: one cycle of four threads over two connections.",
        Truth.DEADLOCK,
        accepting(echo),
        connecting(write_only),
        middle=listening(by_threads),
    ),
    Case(
        "proxy-by-epoll",
        "An event loop with bounded buffers, stuck in both directions.",
        Truth.DEADLOCK,
        accepting(echo),
        connecting(write_only),
        middle=listening(by_epoll),
    ),
    Case(
        "proxy-by-select",
        "Selects, then sends blocking: a cycle with the client, the server as its tail.",
        Truth.DEADLOCK,
        accepting(echo),
        connecting(write_only),
        middle=listening(by_select),
    ),
    Case(
        "proxy-and-server-in-one",
        "Proxy and server are threads of one process, and know each other by TCP only.",
        Truth.DEADLOCK,
        listening(over_one_event_loop),
        connecting(write_only),
    ),
    Case(
        "proxy-idle-limit",
        "The event loop ends both connections when nothing has happened for so long.",
        Truth.LATER,
        accepting(echo),
        connecting(write_only),
        middle=listening(by_epoll, idle_s=LIMIT_S),
        watch_s=LATER_S,
    ),
    Case(
        "proxy-slow-client",
        "The client reads 512 bytes each 0.3 s.",
        Truth.MOVES,
        accepting(echo),
        connecting(write_and_read_slowly),
        middle=listening(by_epoll),
    ),
    Case(
        "proxy-late-client",
        "The client's reader comes later.",
        Truth.LATER,
        accepting(echo),
        connecting(write_and_read_later, later_s=LATE_S),
        middle=listening(by_threads),
        watch_s=LATER_S,
    ),
)
