"""Sends all, says that it is done, and waits for the server to close: it expects no answer."""

from socket import SHUT_WR, socket

from lab.endpoint.conversation import Conversation


def converse(connection: socket, conversation: Conversation) -> None:
    for message in conversation.outgoing():
        connection.sendall(message)
        conversation.sent(len(message))
    connection.shutdown(SHUT_WR)
    if unexpected := connection.recv(conversation.job.recv_size):
        conversation.received(unexpected)
