"""Lets the kernel give up a connection that takes no data for too long (TCP_USER_TIMEOUT, RFC 5482).

The time runs although the other side answers the zero-window probes. When it is over, the kernel ends the connection.
The program gets ETIMEDOUT, and what was written is lost.
"""

from socket import IPPROTO_TCP, TCP_USER_TIMEOUT, socket

from lab.endpoint.client import write_then_read
from lab.endpoint.conversation import Conversation

PATIENCE_MS = 1000


def converse(connection: socket, conversation: Conversation) -> None:
    connection.setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, PATIENCE_MS)
    write_then_read.converse(connection, conversation)
