"""Reads the answer to each message before it sends the next: the first published cure.

Never more than one message is on its way, so no buffer can fill. Every message costs a round trip.
"""

from socket import SHUT_WR, socket

from lab.endpoint.conversation import Part


def converse(connection: socket, part: Part) -> None:
    for message in part.outgoing():
        connection.sendall(message)
        part.sent(len(message))
        while part.unanswered_bytes and (block := connection.recv(part.job.recv_size)):
            part.received(block)
    connection.shutdown(SHUT_WR)
    while block := connection.recv(part.job.recv_size):
        part.received(block)
