"""Writes in one task and reads in another, on one thread. drain() makes the writer wait while the reader goes on.

Without drain() it would not freeze either: asyncio would keep in memory all that the kernel does not take. With drain()
and no reader beside it, it freezes as any blocking program does.
"""

import asyncio
from socket import socket

from lab.endpoint.conversation import Conversation


def converse(connection: socket, conversation: Conversation) -> None:
    asyncio.run(_converse(connection, conversation))


async def _converse(connection: socket, conversation: Conversation) -> None:
    reader, writer = await asyncio.open_connection(sock=connection)
    await asyncio.gather(_write(writer, conversation), _read(reader, conversation))
    writer.close()


async def _write(writer: asyncio.StreamWriter, conversation: Conversation) -> None:
    for message in conversation.outgoing():
        writer.write(message)
        conversation.sent(len(message))  # Asyncio took it; up to 64 KiB of that the kernel may not have yet.
        await writer.drain()
    writer.write_eof()


async def _read(reader: asyncio.StreamReader, conversation: Conversation) -> None:
    while block := await reader.read(conversation.job.recv_size):
        conversation.received(block)
