"""Sends all, says that it is done, and waits for the server to close: it expects no answer."""

from socket import SHUT_WR, socket

from lab.endpoint.conversation import Part


def converse(connection: socket, part: Part) -> None:
    for message in part.outgoing():
        connection.sendall(message)
        part.sent(len(message))
    connection.shutdown(SHUT_WR)
    if unexpected := connection.recv(part.job.recv_size):
        part.received(unexpected)
