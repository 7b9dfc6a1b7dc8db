"""Sends all its messages first and reads the answers after: the published client that can freeze.

As long as the four buffers between the two programs take up everything, nobody notices. Then sendall() waits for a
server that waits for this client to read.
"""

from socket import SHUT_WR, socket

from lab.endpoint.conversation import Part


def converse(connection: socket, part: Part) -> None:
    for message in part.outgoing():
        connection.sendall(message)
        part.sent(len(message))
    connection.shutdown(SHUT_WR)
    while block := connection.recv(part.job.recv_size):
        part.received(block)
