"""Reads whenever there is something to read and writes whenever there is room: the client that cannot freeze.

It never waits for room alone. So the server's answers always find a reader, and the server always reads on.
"""

from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from socket import SHUT_WR, socket

from lab.endpoint.conversation import Conversation


def converse(connection: socket, conversation: Conversation) -> None:
    connection.setblocking(False)
    messages = conversation.outgoing()
    message = next(messages, None)
    with DefaultSelector() as selector:
        selector.register(connection, EVENT_READ | EVENT_WRITE)
        while True:
            for _, ready in selector.select():
                if ready & EVENT_READ:
                    block = connection.recv(conversation.job.recv_size)
                    if not block:
                        return
                    conversation.received(block)
                if ready & EVENT_WRITE and message is not None:
                    conversation.sent(connection.send(message))
                    message = next(messages, None)
                elif ready & EVENT_WRITE:
                    connection.shutdown(SHUT_WR)
                    selector.modify(connection, EVENT_READ)
