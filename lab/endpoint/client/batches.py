"""Sends a little, then reads all the answers to it, then sends on: the second published cure.

A batch must fit into the buffers while nobody reads: `lab forecast` says how much surely fits (its low bound). 4096
bytes fit into all but the smallest buffers that Linux grants.
"""

from socket import SHUT_WR, socket

from lab.endpoint.conversation import Conversation

BATCH = 4096


def converse(connection: socket, conversation: Conversation) -> None:
    for message in conversation.outgoing():
        if conversation.unanswered_bytes + len(message) > BATCH:
            while conversation.unanswered_bytes and (block := connection.recv(conversation.job.recv_size)):
                conversation.received(block)
        connection.sendall(message)
        conversation.sent(len(message))
    connection.shutdown(SHUT_WR)
    while block := connection.recv(conversation.job.recv_size):
        conversation.received(block)
