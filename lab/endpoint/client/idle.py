"""Connects, and then neither writes nor reads: a connection that rests, as most connections do most of the time."""

import signal
from socket import socket

from lab.endpoint.conversation import Conversation


def converse(_connection: socket, _part: Conversation) -> None:
    signal.pause()  # No signal is handled here, so this never returns.
