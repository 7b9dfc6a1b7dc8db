"""Event loops of Python, and servers that would also accept: what else wakes them decides."""

import asyncio
import contextlib
import socket
import threading

from tests.corpus.case import LATER_S, LIMIT_S, Case, Truth, accepting, connecting, listening
from tests.corpus.programs import echo, write_only


async def _streams(connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(sock=connection, limit=1024)


async def _write(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 1024)
        await writer.drain()


def drains(connection: socket.socket) -> None:
    """Writes and drains; what it receives fills the stream's own buffer and then pauses it."""

    async def main() -> None:
        _, writer = await _streams(connection)
        await _write(writer)

    asyncio.run(main())


def drains_with_heartbeat(connection: socket.socket) -> None:
    async def beat() -> None:
        while True:
            await asyncio.sleep(0.3)

    async def main() -> None:
        _, writer = await _streams(connection)
        await asyncio.gather(_write(writer), beat())

    asyncio.run(main())


def drains_within_limit(connection: socket.socket) -> None:
    async def main() -> None:
        reader, writer = await _streams(connection)
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(_write(writer), LIMIT_S)
        while await reader.read(4096):
            pass

    asyncio.run(main())


def serve(listener: socket.socket) -> None:
    """asyncio's own server: the listener stays in the loop."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()

    async def main() -> None:
        server = await asyncio.start_server(answer, sock=listener, limit=1024)
        await server.serve_forever()

    asyncio.run(main())


def serve_by_threads(listener: socket.socket) -> None:
    """A thread a connection; the main one accepts the next."""
    while True:
        threading.Thread(target=echo, args=(listener.accept()[0],)).start()


CLOSED_WORLD = frozenset({"proven-closed-world", "qualified"})

CASES = (
    Case(
        "asyncio-drain",
        "An asyncio client that writes and drains.",
        Truth.DEADLOCK,
        accepting(echo),
        connecting(drains),
    ),
    Case(
        "asyncio-server",
        "asyncio's server: a new connection would wake it.",
        Truth.DEADLOCK,
        listening(serve),
        connecting(write_only),
        grades=CLOSED_WORLD,
    ),
    Case(
        "asyncio-both",
        "asyncio on both sides.",
        Truth.DEADLOCK,
        listening(serve),
        connecting(drains),
        grades=CLOSED_WORLD,
    ),
    Case(
        "thread-a-connection",
        "The main thread accepts; a thread serves.",
        Truth.DEADLOCK,
        listening(serve_by_threads),
        connecting(write_only),
        grades=CLOSED_WORLD,
    ),
    Case(
        "asyncio-heartbeat",
        "A task ticks each 0.3 s: dead, and not to be known.",
        Truth.DEADLOCK,
        accepting(echo),
        connecting(drains_with_heartbeat),
        grades=frozenset(),
    ),
    Case(
        "asyncio-wait-for",
        "wait_for gives up the drain; then it reads.",
        Truth.LATER,
        accepting(echo),
        connecting(drains_within_limit),
        watch_s=LATER_S,
    ),
)
