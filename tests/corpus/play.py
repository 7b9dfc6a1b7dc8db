"""A program of a case, in a process of its own: makes its ends and calls its function. Standard library only.

`python -m tests.corpus.play REQUEST`, where REQUEST is JSON: module, function, options, and `ends`, a list of
{"listener": FD}, {"accepted": FD} and {"connected": [HOST, PORT]}.
"""

import importlib
import json
import socket
import sys
import time

CONNECT_LIMIT_S = 60.0


def connect(host: str, port: int) -> socket.socket:
    """A connection, as soon as the host can be reached and somebody listens there."""
    deadline = time.monotonic() + CONNECT_LIMIT_S
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.connect((host, port))
        except OSError:
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return connection


def _end(description: dict[str, int | list[str | int]]) -> socket.socket:
    ((kind, value),) = description.items()
    if isinstance(value, list):
        return connect(str(value[0]), int(value[1]))
    listener = socket.socket(fileno=value)
    return listener if kind == "listener" else listener.accept()[0]


def main() -> None:
    request = json.loads(sys.argv[1])
    function = getattr(importlib.import_module(request["module"]), request["function"])
    ends = [_end(description) for description in request["ends"]]
    function(*ends, **request["options"])


if __name__ == "__main__":
    main()
