"""Answers only when the request has ended, which the client says by its half-close.

A protocol of one request and one answer, as HTTP/1.0 was. Nobody writes while the other writes, so no circle can
close. The whole request must be kept meanwhile.
"""

from socket import socket

from lab.endpoint.conversation import Conversation


def serve(connection: socket, conversation: Conversation) -> None:
    request = bytearray()
    while block := connection.recv(conversation.job.server_block):
        conversation.received(block)
        request += block
    for start in range(0, len(request), conversation.job.server_block):
        answer = conversation.answer(bytes(request[start : start + conversation.job.server_block]))
        connection.sendall(answer)
        conversation.sent(len(answer))
