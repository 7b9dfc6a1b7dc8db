"""Answers only when the request has ended, which the client says by its half-close.

A protocol of one request and one answer, as HTTP/1.0 was. Nobody writes while the other writes, so no circle can
close. The whole request has to be kept meanwhile.
"""

from socket import socket

from lab.endpoint.conversation import Part


def serve(connection: socket, part: Part) -> None:
    request = bytearray()
    while block := connection.recv(part.job.server_block):
        part.received(block)
        request += block
    for start in range(0, len(request), part.job.server_block):
        answer = part.answer(bytes(request[start : start + part.job.server_block]))
        connection.sendall(answer)
        part.sent(len(answer))
