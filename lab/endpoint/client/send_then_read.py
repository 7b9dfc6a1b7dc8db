"""Sends all first and reads after, by plain send(): the published client of the echo server.

send() returns how much it took, and this client uses the number. That cures nothing: send() blocks as sendall() does.
"""

from socket import SHUT_WR, socket

from lab.endpoint.conversation import Conversation


def converse(connection: socket, conversation: Conversation) -> None:
    for message in conversation.outgoing():
        taken = connection.send(message)
        conversation.sent(taken)
    connection.shutdown(SHUT_WR)
    while block := connection.recv(conversation.job.recv_size):
        conversation.received(block)
