"""Never blocks, never reads, and tries again at once: the freeze goes on, now at the price of a whole processor.

No thread hangs in a system call, so no list of blocked threads shows it. It is a livelock: it runs, and nothing moves.
"""

from socket import SHUT_WR, socket

from lab.endpoint.conversation import Part


def converse(connection: socket, part: Part) -> None:
    connection.setblocking(False)
    for message in part.outgoing():
        try:
            part.sent(connection.send(message))
        except BlockingIOError:
            part.refused()
    connection.setblocking(True)
    connection.shutdown(SHUT_WR)
    while block := connection.recv(part.job.recv_size):
        part.received(block)
