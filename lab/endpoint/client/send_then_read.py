"""Sends all first and reads after, by plain send(): the published client of the echo server.

send() says how much it took. This client believes the number; that cures nothing, for send() waits as sendall() does.
"""

from socket import SHUT_WR, socket

from lab.endpoint.conversation import Part


def converse(connection: socket, part: Part) -> None:
    for message in part.outgoing():
        taken = connection.send(message)
        part.sent(taken)
    connection.shutdown(SHUT_WR)
    while block := connection.recv(part.job.recv_size):
        part.received(block)
