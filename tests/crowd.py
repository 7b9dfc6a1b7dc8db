"""A program for tests of `lab watch`: many healthy pairs, and one frozen pair of two processes if asked for.

`python tests/crowd.py HEALTHY FROZEN` listens on loopback, makes its pairs, prints `ready CLIENT_PORT SERVER_PORT` (of
the frozen pair, or 0 0) and waits for the end of its standard input. Its children end with it.
"""

import ctypes
import os
import resource
import signal
import socket
import sys
import time


def frozen() -> tuple[int, int]:
    """An echo that is never read: both processes end up blocked in sendall()."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.socket()
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        client.setsockopt(socket.SOL_SOCKET, option, 8192)
    client.connect(listener.getsockname())
    server, _ = listener.accept()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    ports = client.getsockname()[1], server.getsockname()[1]
    for mine, other in ((client, server), (server, client)):
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
            other.close()
            listener.close()
            while True:
                mine.sendall(b"x" * 1024 if mine is client else mine.recv(1024))
    client.close()
    server.close()
    listener.close()
    return ports


def settle() -> None:
    """TCP's own last moves: a squeezed pair was seen to move until 390 ms after its last byte."""
    time.sleep(1.0)


def main() -> None:
    healthy, wanted = int(sys.argv[1]), sys.argv[2] == "1"
    resource.setrlimit(resource.RLIMIT_NOFILE, (4 * healthy + 256, 4 * healthy + 256))
    ports = frozen() if wanted else (0, 0)
    listener = socket.create_server(("127.0.0.1", 0), backlog=healthy + 1)
    pairs = []
    for number in range(healthy):
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        pairs += [client, server]
        if number % 2:
            client.sendall(b"read later")  # data that waits to be read is no freeze
    settle()
    print("ready", *ports, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
