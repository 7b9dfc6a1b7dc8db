"""Reads a block, rests a moment, reads the next, and answers nothing.

Its window closes and opens again all the time. On the wire each closing looks like a freeze, and is none: it moves.
"""

import time
from socket import socket

from lab.endpoint.conversation import Part

REST_S = 0.00025


def serve(connection: socket, part: Part) -> None:
    while block := connection.recv(part.job.server_block):
        part.received(block)
        time.sleep(REST_S)
