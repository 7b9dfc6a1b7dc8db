"""Waits for the server's first byte, while the server waits for the client's: the deadlock with empty buffers."""

from socket import socket

from lab.endpoint.client import write_then_read
from lab.endpoint.conversation import Part


def converse(connection: socket, part: Part) -> None:
    if greeting := connection.recv(part.job.recv_size):
        part.received(greeting)
        write_then_read.converse(connection, part)
