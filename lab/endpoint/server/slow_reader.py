"""Reads a block, rests a moment, reads the next, and answers nothing.

Its window closes and opens again all the time. On the wire each closing looks like a freeze, but bytes still move.
"""

import time
from socket import socket

from lab.endpoint.conversation import Conversation

REST_S = 0.00025


def serve(connection: socket, conversation: Conversation) -> None:
    while block := connection.recv(conversation.job.server_block):
        conversation.received(block)
        time.sleep(REST_S)
