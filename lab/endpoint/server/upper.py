"""Answers every block in capitals before it reads the next: the published server that can freeze.

While its client has not read the answers, sendall() waits for room. While it waits, it does not read.
"""

from socket import socket

from lab.endpoint.conversation import Part


def serve(connection: socket, part: Part) -> None:
    while block := connection.recv(part.job.server_block):
        part.received(block)
        answer = block.upper()
        connection.sendall(answer)
        part.sent(len(answer))
