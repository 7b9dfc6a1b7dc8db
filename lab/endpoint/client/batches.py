"""Sends a little, then reads all the answers to it, then sends on: the second published cure.

A batch must fit where nobody reads: `lab forecast` says how much surely does (its low bound). 4096 bytes do in all but
the smallest buffers that Linux grants.
"""

from socket import SHUT_WR, socket

from lab.endpoint.conversation import Part

BATCH = 4096


def converse(connection: socket, part: Part) -> None:
    for message in part.outgoing():
        if part.unanswered_bytes + len(message) > BATCH:
            while part.unanswered_bytes and (block := connection.recv(part.job.recv_size)):
                part.received(block)
        connection.sendall(message)
        part.sent(len(message))
    connection.shutdown(SHUT_WR)
    while block := connection.recv(part.job.recv_size):
        part.received(block)
