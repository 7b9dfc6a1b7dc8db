"""A program for tests of `lab watch`: a ring of processes, each writes to the next and reads only when it has written.

`python tests/ring.py LENGTH LATE [PORT]` connects LENGTH single-threaded children in a ring on loopback (any ports, or
PORT and those after it) and prints `ready PORT...`. With LATE=1 the last one waits for its standard input instead of
writing, and reads on when that ends. It waits for the end of its standard input itself; its children end with it.
"""

import ctypes
import os
import signal
import socket
import sys
import time
from pathlib import Path


def play(into: socket.socket, out: socket.socket, *, late: bool) -> None:
    if late:
        sys.stdin.read()
        while into.recv(1 << 16):
            pass
    while True:
        out.sendall(b"x" * 4096)


def at_rest(children: list[int]) -> bool:
    """Whether all sleep in their calls."""
    return all(" (python" in (line := Path(f"/proc/{pid}/stat").read_text()) and ") S " in line for pid in children)


def main() -> None:
    length, late = int(sys.argv[1]), sys.argv[2] == "1"
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    listeners = [socket.create_server(("127.0.0.1", first and first + number)) for number in range(length)]
    outs = [socket.create_connection(each.getsockname()) for each in listeners]
    intos = [each.accept()[0] for each in listeners]
    children = []
    for number in range(length):
        pid = os.fork()
        if pid == 0:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
            mine = intos[number - 1], outs[number]
            for each in (*listeners, *intos, *outs):
                if each not in mine:
                    each.close()
            play(*mine, late=late and number == length - 1)
        children.append(pid)
    for each in (*intos, *outs):
        each.close()
    while not at_rest(children):
        time.sleep(0.05)
    print("ready", *(each.getsockname()[1] for each in listeners), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
