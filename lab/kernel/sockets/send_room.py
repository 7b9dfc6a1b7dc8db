"""Asks this kernel how much room a segment takes in a send buffer, by a connection of its own over loopback.

tcp_sndbuf_expand() reckons with MAX_TCP_HEADER, which depends on how the kernel was built; nothing tells it but the
buffer that a new connection is given.
"""

import socket
from contextlib import ExitStack
from functools import cache

MSS = 1448
"""One at which the two values of MAX_TCP_HEADER fall into different powers of two."""
WAIT_S = 1.0
MAX_TCP_HEADER = {46080: 256, 87040: 320}
"""By the send buffer of a new connection: 2 x 10 segments, each a power of two and an sk_buff."""


@cache
def max_tcp_header() -> int | None:
    """MAX_TCP_HEADER, in bytes; None where it does not show (no loopback, or tcp_wmem is too small)."""
    try:
        with ExitStack() as stack:
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, MSS)
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            client = stack.enter_context(socket.socket())
            client.settimeout(WAIT_S)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
            client.connect(listener.getsockname())
            return MAX_TCP_HEADER.get(client.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))
    except OSError:
        return None
