"""Answers every block in capitals before it reads the next: the published server that can freeze.

While its client has not read the answers, sendall() waits for room. While it waits, it does not read.
"""

from socket import socket

from lab.endpoint.conversation import Conversation


def serve(connection: socket, conversation: Conversation) -> None:
    while block := connection.recv(conversation.job.server_block):
        conversation.received(block)
        answer = block.upper()
        connection.sendall(answer)
        conversation.sent(len(answer))
