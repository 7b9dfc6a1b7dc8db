"""Gives up a send that takes too long (SO_SNDTIMEO). It fails loudly instead of hanging; nothing is cured.

The program gets its error and goes on to something else. It does not close the connection, like a program that keeps
the connection in a pool or in a traceback. So the server stays frozen: it never hears of the failure.

The time limit is that of one send(). A send() that has placed a part of its message returns that part when its time is
over. Then sendall() starts again, so the error comes after up to twice the time.
"""

import signal
import struct
from socket import SO_SNDTIMEO, SOL_SOCKET, socket

from lab.endpoint.client import write_then_read
from lab.endpoint.conversation import Conversation

PATIENCE_S = 1


def converse(connection: socket, conversation: Conversation) -> None:
    connection.setsockopt(SOL_SOCKET, SO_SNDTIMEO, struct.pack("ll", PATIENCE_S, 0))
    try:
        write_then_read.converse(connection, conversation)
    except BlockingIOError as error:  # EAGAIN is what the kernel calls it.
        conversation.give_up(error)
        signal.pause()
