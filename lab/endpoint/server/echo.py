"""Sends every block back before it reads the next. It freezes as `upper` does: what is answered does not matter."""

from socket import socket

from lab.endpoint.conversation import Part


def serve(connection: socket, part: Part) -> None:
    while block := connection.recv(part.job.server_block):
        part.received(block)
        connection.sendall(block)
        part.sent(len(block))
