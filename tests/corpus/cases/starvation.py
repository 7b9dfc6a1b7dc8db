"""ACK starvation: small reads let the receiver pull its window's edge back, and acknowledgments fall beyond it.

By chance, about one in ten (facts: 5 of 48, 11 of 108): so there are many pairs side by side, each of its own two
processes. All of them are dead, starved or not; simpler rules miss the starved, and some not even we can prove.
"""

import os
import socket

from tests.corpus.case import PORT, Case, Truth, connecting, listening
from tests.corpus.play import connect
from tests.corpus.programs import upper, wait_for_ever, write_only

PAIRS = 12


def serve_all(listener: socket.socket, pairs: int, block: int) -> None:
    for _ in range(pairs):
        connection = listener.accept()[0]
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if os.fork() == 0:
            listener.close()
            upper(connection, block)
        connection.close()
    wait_for_ever(listener)


def connect_all(connection: socket.socket, pairs: int) -> None:
    host = connection.getpeername()[0]
    for _ in range(pairs - 1):
        if os.fork() == 0:
            connection.close()
            connection = connect(host, PORT)
            break
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    write_only(connection, 48)


CASES = tuple(
    Case(
        f"starved-{block}-byte-reads",
        f"Twelve pairs, each server reading {block} bytes at a time without delay.",
        Truth.DEADLOCK,
        server=listening(serve_all, pairs=PAIRS, block=block),
        client=connecting(connect_all, pairs=PAIRS),
        pairs=PAIRS,
        starved=True,
        hard=True,
    )
    for block in (48, 96)
)
