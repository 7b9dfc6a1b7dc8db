"""Reads on while it cannot write: answers wait in its own memory, and beyond a limit on disk.

It works with clients that write without reading. An SMTP server or a database may need that: it cannot choose its
clients. The price is room for all answers that any client has not read.
"""

from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from socket import socket

from lab.endpoint.conversation import Conversation
from lab.endpoint.spool import Spool


def serve(connection: socket, conversation: Conversation) -> None:
    connection.setblocking(False)
    reading = EVENT_READ
    with Spool() as answers, DefaultSelector() as selector:
        key = selector.register(connection, reading)
        while reading or answers:
            wanted = reading | (EVENT_WRITE if answers else 0)
            if key.events != wanted:
                key = selector.modify(connection, wanted)
            for _, ready in selector.select():
                if ready & EVENT_READ:
                    if block := connection.recv(conversation.job.server_block):
                        conversation.received(block)
                        answers.put(conversation.answer(block))
                    else:
                        reading = 0
                if ready & EVENT_WRITE:
                    taken = connection.send(answers.front())
                    answers.drop(taken)
                    conversation.sent(taken)
