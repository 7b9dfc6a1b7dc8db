"""Waits for the server's first byte, while the server waits for the client's: the deadlock with empty buffers."""

from socket import socket

from lab.endpoint.client import write_then_read
from lab.endpoint.conversation import Conversation


def converse(connection: socket, conversation: Conversation) -> None:
    if greeting := connection.recv(conversation.job.recv_size):
        conversation.received(greeting)
        write_then_read.converse(connection, conversation)
