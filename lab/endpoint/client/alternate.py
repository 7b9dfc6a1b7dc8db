"""Reads the answer to each message before it sends the next: the first published cure.

Never more than one message is on its way, so no buffer can fill. Every message costs a round trip.
"""

from socket import SHUT_WR, socket

from lab.endpoint.conversation import Conversation


def converse(connection: socket, conversation: Conversation) -> None:
    for message in conversation.outgoing():
        connection.sendall(message)
        conversation.sent(len(message))
        while conversation.unanswered_bytes and (block := connection.recv(conversation.job.recv_size)):
            conversation.received(block)
    connection.shutdown(SHUT_WR)
    while block := connection.recv(conversation.job.recv_size):
        conversation.received(block)
