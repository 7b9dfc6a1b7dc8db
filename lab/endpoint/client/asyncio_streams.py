"""Writes in one task and reads in another, on one thread. drain() makes the writer wait while the reader goes on.

Without drain() it would not freeze either: asyncio would keep in memory all that the kernel does not take. With drain()
and no reader beside it, it freezes as any blocking program does.
"""

import asyncio
from socket import socket

from lab.endpoint.conversation import Part


def converse(connection: socket, part: Part) -> None:
    asyncio.run(_converse(connection, part))


async def _converse(connection: socket, part: Part) -> None:
    reader, writer = await asyncio.open_connection(sock=connection)
    await asyncio.gather(_write(writer, part), _read(reader, part))
    writer.close()


async def _write(writer: asyncio.StreamWriter, part: Part) -> None:
    for message in part.outgoing():
        writer.write(message)
        part.sent(len(message))  # Asyncio took it; up to 64 KiB of that the kernel may not have yet.
        await writer.drain()
    writer.write_eof()


async def _read(reader: asyncio.StreamReader, part: Part) -> None:
    while block := await reader.read(part.job.recv_size):
        part.received(block)
