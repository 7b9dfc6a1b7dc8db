"""Sends all its messages first and reads the answers after: the published client that can freeze.

As long as the four buffers between the two programs take up everything, nobody notices. Then sendall() waits for a
server that waits for this client to read.
"""

from socket import SHUT_WR, socket

from lab.endpoint.conversation import Conversation


def converse(connection: socket, conversation: Conversation) -> None:
    for message in conversation.outgoing():
        connection.sendall(message)
        conversation.sent(len(message))
    connection.shutdown(SHUT_WR)
    while block := connection.recv(conversation.job.recv_size):
        conversation.received(block)
