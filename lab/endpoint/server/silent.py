"""Accepts, and then neither reads nor writes. One window closes for good, and only one side waits: no circle."""

import signal
from socket import socket

from lab.endpoint.conversation import Conversation


def serve(_connection: socket, _part: Conversation) -> None:
    signal.pause()  # No signal is handled here, so this never returns.
