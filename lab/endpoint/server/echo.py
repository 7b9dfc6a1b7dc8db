"""Sends every block back before it reads the next. It freezes as `upper` does: what is answered does not matter."""

from socket import socket

from lab.endpoint.conversation import Conversation


def serve(connection: socket, conversation: Conversation) -> None:
    while block := connection.recv(conversation.job.server_block):
        conversation.received(block)
        connection.sendall(block)
        conversation.sent(len(block))
