"""Keeps at most a credit of bytes unanswered; every answered byte is credit for another: a window of its own.

TCP's window says what the kernels can hold; this one says what the two programs have agreed on. HTTP/2 and AMQP have
one for each stream. Unlike with batches, the connection never runs empty: while answers come in, messages go out.
"""

from socket import SHUT_WR, socket

from lab.endpoint.conversation import Conversation

CREDIT = 4096


def converse(connection: socket, conversation: Conversation) -> None:
    for message in conversation.outgoing():
        while conversation.unanswered_bytes > max(0, CREDIT - len(message)):
            if not (block := connection.recv(conversation.job.recv_size)):
                return
            conversation.received(block)
        connection.sendall(message)
        conversation.sent(len(message))
    connection.shutdown(SHUT_WR)
    while block := connection.recv(conversation.job.recv_size):
        conversation.received(block)
