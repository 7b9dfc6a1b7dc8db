"""Reads whenever there is something to read and writes whenever there is room: the client that cannot freeze.

It never waits for room alone. So the server's answers always find a reader, and the server always reads on.
"""

from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from socket import SHUT_WR, socket

from lab.endpoint.conversation import Part


def converse(connection: socket, part: Part) -> None:
    connection.setblocking(False)
    messages = part.outgoing()
    message = next(messages, None)
    with DefaultSelector() as selector:
        selector.register(connection, EVENT_READ | EVENT_WRITE)
        while True:
            for _, ready in selector.select():
                if ready & EVENT_READ:
                    block = connection.recv(part.job.recv_size)
                    if not block:
                        return
                    part.received(block)
                if ready & EVENT_WRITE and message is not None:
                    part.sent(connection.send(message))
                    message = next(messages, None)
                elif ready & EVENT_WRITE:
                    connection.shutdown(SHUT_WR)
                    selector.modify(connection, EVENT_READ)
