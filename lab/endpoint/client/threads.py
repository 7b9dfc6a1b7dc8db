"""Writes in one thread and reads in another: the third published cure. The writer may block; the reader does not."""

from concurrent.futures import ThreadPoolExecutor
from socket import SHUT_RDWR, SHUT_WR, socket

from lab.endpoint.conversation import Conversation


def converse(connection: socket, conversation: Conversation) -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="reader") as reader:
        reading = reader.submit(_read, connection, conversation)
        for message in conversation.outgoing():
            connection.sendall(message)
            conversation.sent(len(message))
        connection.shutdown(SHUT_WR)
        reading.result()  # Raises what the reader raised.


def _read(connection: socket, conversation: Conversation) -> None:
    try:
        while block := connection.recv(conversation.job.recv_size):
            conversation.received(block)
    except BaseException:
        connection.shutdown(SHUT_RDWR)  # Without a reader the writer would wait forever: the freeze itself.
        raise
